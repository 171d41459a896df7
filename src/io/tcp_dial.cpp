#include "io/tcp_dial.hpp"

#include <sys/socket.h>

#include <cerrno>

#include "io/socket_util.hpp"

namespace ztna::io {

namespace {

// An address that answers tells more than one that does not.
int rank(ConnectError error) {
  switch (error) {
    case ConnectError::refused: return 0;
    case ConnectError::timed_out: return 1;
    default: return 2;
  }
}

}  // namespace

void TcpDial::start(const base::HostPort& to, base::Duration timeout) {
  deadline_ = Loop::now() + timeout;
  timer_.set(deadline_);
  resolve_.emplace(loop_, to, [this](const auto& addresses) { resolved(addresses); });
}

void TcpDial::cancel() {
  done_ = nullptr;
  timer_.cancel();
  resolve_.reset();
  attempt_.reset();
}

void TcpDial::resolved(const std::vector<base::Address>& addresses) {
  const auto self = shared_from_this();
  addresses_ = addresses;
  if (addresses_.empty()) return finish({}, {ConnectError::no_such_host, 0});
  try_next();
}

void TcpDial::try_next() {
  while (next_ < addresses_.size()) {
    const base::Address& to = addresses_[next_];
    // A silent address may use up its share of the time only.
    const base::Time now = Loop::now();
    timer_.set(now + (deadline_ - now) / static_cast<int>(addresses_.size() - next_));
    ++next_;
    const int family = to.is_v4() ? AF_INET : AF_INET6;
    Fd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const SockAddr remote = to_sockaddr(to, family);
    if (fd.valid() && ::connect(fd.get(), remote.get(), remote.length) == 0)
      return finish(std::move(fd), {});
    if (errno == EINPROGRESS) {
      attempt_.emplace(loop_, std::move(fd));
      attempt_->wait(FdWatch::Event::writable, shared_from_this());
      return;
    }
    attempt_failed(connect_failure(errno));
  }
  finish({}, failure_.value_or(ConnectFailure{ConnectError::timed_out, 0}));
}

void TcpDial::on_fd_writable() {
  if (!done_ || !attempt_) return;
  if (const int error = take_socket_error(attempt_->fd()); error != 0) {
    attempt_failed(connect_failure(error));
    attempt_.reset();
    return try_next();
  }
  sockaddr_storage ignored{};
  socklen_t size = sizeof ignored;
  if (::getpeername(attempt_->fd(), reinterpret_cast<sockaddr*>(&ignored), &size) != 0) {
    // Not connected and no error: a late event of an earlier attempt.
    attempt_->wait(FdWatch::Event::writable, shared_from_this());
    return;
  }
  finish(attempt_->release(), {});
}

void TcpDial::attempt_failed(ConnectFailure failure) {
  if (!failure_ || rank(failure.error) < rank(failure_->error)) failure_ = failure;
}

void TcpDial::timed_out() {
  const auto self = shared_from_this();
  attempt_failed({ConnectError::timed_out, 0});
  attempt_.reset();
  if (Loop::now() >= deadline_ || addresses_.empty()) return finish({}, *failure_);
  try_next();
}

void TcpDial::finish(Fd fd, ConnectFailure failure) {
  const Done done = std::exchange(done_, nullptr);
  cancel();
  if (done) done(std::move(fd), failure);
}

}  // namespace ztna::io
