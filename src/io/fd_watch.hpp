// Internal to src/io: a descriptor watched by the loop, with one-shot waits. Only
// this, loop.cpp and resolve.cpp know Asio.
#pragma once

#include <cstdint>
#include <memory>

#include "io/loop.hpp"
#include "io/socket_util.hpp"

namespace ztna::io {

class FdWatch {
 public:
  // Kept alive by the wait itself, so it may drop everything inside its callback. It must ignore
  // callbacks after it closed the watch: one may already be on its way.
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void on_fd_readable() {}
    virtual void on_fd_writable() {}
    virtual void on_fd_error() {}  // EPOLLERR or EPOLLHUP
  };
  enum class Event : std::uint8_t { readable, writable, error };

  FdWatch(Loop& loop, Fd fd);
  ~FdWatch();  // as close()
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;

  [[nodiscard]] int fd() const { return fd_; }  // -1 after close() and release()
  void wait(Event event, std::shared_ptr<Owner> owner);
  void close();
  // Gives the descriptor back, open.
  [[nodiscard]] Fd release();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  int fd_;
};

}  // namespace ztna::io
