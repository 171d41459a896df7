#include "io/connect_error.hpp"

#include <cerrno>

namespace ztna::io {

std::string_view to_string(ConnectError error) {
  switch (error) {
    case ConnectError::refused: return "refused";
    case ConnectError::unreachable: return "unreachable";
    case ConnectError::timed_out: return "timed out";
    case ConnectError::no_such_host: return "no such host";
    case ConnectError::exhausted: return "out of descriptors, ports or memory";
    case ConnectError::not_permitted: return "not permitted";
    case ConnectError::other: break;
  }
  return "failed";
}

ConnectFailure connect_failure(int os_error) {
  switch (os_error) {
    case ECONNREFUSED:
    case ECONNRESET: return {ConnectError::refused, os_error};
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EAFNOSUPPORT: return {ConnectError::unreachable, os_error};
    case ETIMEDOUT: return {ConnectError::timed_out, os_error};
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EAGAIN:
    case EADDRNOTAVAIL: return {ConnectError::exhausted, os_error};  // the latter: no port left
    case EACCES:
    case EPERM: return {ConnectError::not_permitted, os_error};
    default: return {ConnectError::other, os_error};
  }
}

}  // namespace ztna::io
