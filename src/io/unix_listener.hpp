// Internal to src/io: a listening Unix socket that belongs to one user.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.hpp"
#include "io/socket_util.hpp"

namespace ztna::io {

// A listening socket at a path; unlinks it at the end, unless somebody else's stands there by then.
class UnixListener {
 public:
  // As HttpServer::listen_unix().
  [[nodiscard]] static base::Result<UnixListener> bind(const std::string& path);
  UnixListener(UnixListener&& other) noexcept;
  UnixListener& operator=(UnixListener&&) = delete;
  ~UnixListener();

  [[nodiscard]] Fd take() { return std::move(fd_); }  // the descriptor; the path stays with this

 private:
  UnixListener() = default;
  Fd fd_;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// The other end runs as this user or as root (SO_PEERCRED).
[[nodiscard]] bool peer_may_control(int fd);

}  // namespace ztna::io
