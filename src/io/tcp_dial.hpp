// Internal to src/io: name to connected TCP socket, one address after the other.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/address.hpp"
#include "base/time.hpp"
#include "io/connect_error.hpp"
#include "io/fd_watch.hpp"
#include "io/loop.hpp"
#include "io/resolve.hpp"

namespace ztna::io {

class TcpDial : public FdWatch::Owner, public std::enable_shared_from_this<TcpDial> {
 public:
  // A descriptor, or why there is none.
  using Done = std::function<void(Fd, ConnectFailure)>;

  TcpDial(Loop& loop, Done done)
      : loop_(loop), done_(std::move(done)), timer_(loop, [this] { timed_out(); }) {}

  // Calls `done` once from the loop, never from inside start().
  void start(const base::HostPort& to, base::Duration timeout);
  void cancel();

  void on_fd_writable() override;

 private:
  void resolved(const std::vector<base::Address>& addresses);
  void try_next();
  void attempt_failed(ConnectFailure failure);
  void timed_out();
  void finish(Fd fd, ConnectFailure failure);

  Loop& loop_;
  Done done_;
  Timer timer_;
  base::Time deadline_{};
  std::optional<Resolve> resolve_;
  std::vector<base::Address> addresses_;
  std::size_t next_ = 0;
  std::optional<FdWatch> attempt_;
  std::optional<ConnectFailure> failure_;  // the most telling so far
};

}  // namespace ztna::io
