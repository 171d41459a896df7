// A local program: blocking sockets in a thread of its own, while the loop runs.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>
#include <thread>

#include "base/address.hpp"
#include "io/loop.hpp"

namespace ztna::agent {

// Runs `program` to its end, and the loop as long.
inline void run_program(io::Loop& loop, const std::function<void()>& program) {
  std::thread thread([&] {
    program();
    loop.post([&loop] { loop.stop(); });
  });
  loop.run();
  thread.join();
}

class Socket {
 public:
  explicit Socket(int type) : fd_(::socket(AF_INET, type, 0)) {
    const timeval limit{5, 0};  // a test that would hang fails
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  Socket(int type, const base::Address& to) : Socket(type) { connect(to); }
  ~Socket() { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  void connect(const base::Address& to) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(to.port());
    ::inet_pton(AF_INET, to.ip().c_str(), &address.sin_addr);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  [[nodiscard]] bool connected() const { return connected_; }
  void send(const std::string& data) const {
    static_cast<void>(::send(fd_, data.data(), data.size(), MSG_NOSIGNAL));
  }
  void finish() const { ::shutdown(fd_, SHUT_WR); }
  // `size` octets, or what there was before the end; one datagram.
  [[nodiscard]] std::string receive(std::size_t size) {
    std::string data(size, '\0');
    std::size_t got = 0;
    int type = 0;
    socklen_t length = sizeof type;
    ::getsockopt(fd_, SOL_SOCKET, SO_TYPE, &type, &length);
    while (got < size) {
      const ssize_t n = ::recv(fd_, data.data() + got, size - got, 0);
      error_ = n < 0 ? errno : 0;
      if (n > 0) got += static_cast<std::size_t>(n);
      if (n <= 0 || type == SOCK_DGRAM) break;
    }
    data.resize(got);
    return data;
  }
  // errno of the last receive(): ECONNRESET after a reset, EAGAIN when nothing came in time, 0 at
  // an orderly end.
  [[nodiscard]] int error() const { return error_; }

 private:
  int fd_;
  int error_ = 0;
  bool connected_ = false;
};

}  // namespace ztna::agent
