#include "io/socket_util.hpp"

#include <netinet/in.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace ztna::io {

void Fd::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

SockAddr to_sockaddr(const base::Address& address, int socket_family) {
  SockAddr out;
  if (address.is_v4() && socket_family == AF_INET) {
    auto* in = reinterpret_cast<sockaddr_in*>(&out.storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(address.port());
    std::memcpy(&in->sin_addr, address.octets().data(), 4);
    out.length = sizeof(sockaddr_in);
    return out;
  }
  auto* in6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  in6->sin6_family = AF_INET6;
  in6->sin6_port = htons(address.port());
  if (address.is_v4()) {
    in6->sin6_addr.s6_addr[10] = in6->sin6_addr.s6_addr[11] = 0xff;
    std::memcpy(&in6->sin6_addr.s6_addr[12], address.octets().data(), 4);
  } else {
    std::memcpy(&in6->sin6_addr, address.octets().data(), 16);
  }
  out.length = sizeof(sockaddr_in6);
  return out;
}

base::Address from_sockaddr(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(address);
    std::array<std::uint8_t, 4> octets{};
    std::memcpy(octets.data(), &in->sin_addr, octets.size());
    return base::Address::v4(octets, ntohs(in->sin_port));
  }
  if (address->sa_family == AF_INET6) {
    const auto* in6 = reinterpret_cast<const sockaddr_in6*>(address);
    std::array<std::uint8_t, 16> octets{};
    std::memcpy(octets.data(), &in6->sin6_addr, octets.size());
    return base::Address::v6(octets, ntohs(in6->sin6_port));
  }
  return {};
}

base::Address local_address_of(int fd) {
  SockAddr address;
  address.length = sizeof address.storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0)
    return {};
  return from_sockaddr(address.get());
}

base::Address remote_address_of(int fd) {
  SockAddr address;
  address.length = sizeof address.storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0)
    return {};
  return from_sockaddr(address.get());
}

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

int get_option(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

int take_socket_error(int fd) { return get_option(fd, SOL_SOCKET, SO_ERROR); }

namespace {

base::ErrorCode code_of(int error) {
  switch (error) {
    case EACCES:
    case EPERM: return base::ErrorCode::permission_denied;
    case EADDRINUSE: return base::ErrorCode::already_exists;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return base::ErrorCode::exhausted;
    default: return base::ErrorCode::unavailable;
  }
}

std::string advice(int error, int type, const base::Address& address) {
  const std::string kind = type == SOCK_DGRAM ? "UDP" : "TCP";
  switch (error) {
    case EADDRINUSE: return "cannot listen: another program already uses this " + kind + " port";
    case EACCES:
      return "cannot listen: ports below 1024 need privileges (port " +
             std::to_string(address.port()) + ")";
    case EADDRNOTAVAIL: return "cannot listen: this machine has no such address";
    case EAFNOSUPPORT: return "cannot listen: this machine has no IPv6";
    default: return "cannot listen for " + kind;
  }
}

}  // namespace

base::Result<Fd> bind_socket(const base::Address& address, int type, bool reuse, bool dual_stack) {
  const int family = address.is_v4() ? AF_INET : AF_INET6;
  const auto refused = [&](int error) {
    return base::fail(code_of(error), advice(error, type, address), address.to_string(),
                      errno_text(error));
  };
  Fd fd(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return refused(errno);
  if (reuse && !set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1)) return refused(errno);
  if (family == AF_INET6 && !set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, dual_stack ? 0 : 1))
    return refused(errno);
  const SockAddr local = to_sockaddr(address, family);
  if (::bind(fd.get(), local.get(), local.length) != 0) return refused(errno);
  return fd;
}

std::string errno_text(int error) { return std::generic_category().message(error); }

}  // namespace ztna::io
