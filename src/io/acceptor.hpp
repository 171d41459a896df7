// Internal to src/io: accepts connections on a listening socket of any kind.
#pragma once

#include <functional>
#include <memory>

#include "io/fd_watch.hpp"
#include "io/tcp.hpp"

namespace ztna::io {

class Acceptor : public FdWatch::Owner, public std::enable_shared_from_this<Acceptor> {
 public:
  using Accepted = std::function<void(Fd fd, const base::Address& peer)>;

  Acceptor(Loop& loop, Fd listening, Accepted accepted)
      : watch_(loop, std::move(listening)),
        accepted_(std::move(accepted)),
        retry_(loop, [this] { start(); }) {}

  void start() { watch_.wait(FdWatch::Event::readable, shared_from_this()); }
  // Also inside the callback.
  void close() {
    retry_.cancel();
    watch_.close();
  }
  void on_fd_readable() override;
  [[nodiscard]] const TcpListener::Counters& counters() const { return counters_; }

 private:
  // Connections taken in one go before others get their turn.
  static constexpr int max_rounds = 64;

  FdWatch watch_;
  Accepted accepted_;
  Timer retry_;
  TcpListener::Counters counters_;
};

}  // namespace ztna::io
