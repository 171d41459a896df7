#include "base/result.hpp"

namespace ztna::base {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::not_found: return "not_found";
    case ErrorCode::already_exists: return "already_exists";
    case ErrorCode::permission_denied: return "permission_denied";
    case ErrorCode::unauthenticated: return "unauthenticated";
    case ErrorCode::unavailable: return "unavailable";
    case ErrorCode::exhausted: return "exhausted";
    case ErrorCode::timed_out: return "timed_out";
    case ErrorCode::protocol: return "protocol";
    case ErrorCode::closed: return "closed";
    case ErrorCode::internal: return "internal";
  }
  return "unknown";
}

std::string Error::message() const {
  std::string text;
  if (!where.empty()) text = where + ": ";
  text += what;
  if (!cause.empty()) text += " (" + cause + ")";
  return text;
}

}  // namespace ztna::base
