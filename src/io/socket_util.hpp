// Internal to src/io: descriptors that close themselves, socket options and address conversion.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/address.hpp"
#include "base/result.hpp"

namespace ztna::io {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { reset(); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

struct SockAddr {
  sockaddr_storage storage{};
  socklen_t length = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// `socket_family` AF_INET6 turns an IPv4 address into its mapped form, as dual-stack sockets need.
[[nodiscard]] SockAddr to_sockaddr(const base::Address& address, int socket_family);
// Unix and unknown families become the default Address.
[[nodiscard]] base::Address from_sockaddr(const sockaddr* address);

[[nodiscard]] base::Address local_address_of(int fd);
[[nodiscard]] base::Address remote_address_of(int fd);

bool set_option(int fd, int level, int name, int value);
[[nodiscard]] int get_option(int fd, int level, int name);

// The pending error of a socket (SO_ERROR), which this clears; 0 for none.
[[nodiscard]] int take_socket_error(int fd);

// A non-blocking, close-on-exec socket of `address`'s family, bound to it. Errors say which address
// and what to do about it.
[[nodiscard]] base::Result<Fd> bind_socket(const base::Address& address, int type, bool reuse,
                                           bool dual_stack);

[[nodiscard]] std::string errno_text(int error);

}  // namespace ztna::io
