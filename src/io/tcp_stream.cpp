#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "io/fd_watch.hpp"
#include "io/socket_util.hpp"
#include "io/tcp.hpp"
#include "io/tcp_dial.hpp"

namespace ztna::io {

namespace {

// A peer that vanished without a word is noticed within two minutes; the system's default of two
// hours would keep dead flows that long.
constexpr int keep_alive_idle_seconds = 60;
constexpr int keep_alive_interval_seconds = 10;
constexpr int keep_alive_probes = 6;

// Unix sockets have none of these: the refusals are meant to be ignored.
void set_stream_options(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);  // urgent octets stay where they are in the stream
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, keep_alive_idle_seconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, keep_alive_interval_seconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, keep_alive_probes);
}

TcpStream::CloseReason close_reason(int error) {
  switch (error) {
    case ECONNRESET:
    case EPIPE: return {TcpStream::Closed::reset, error};
    case ETIMEDOUT: return {TcpStream::Closed::timed_out, error};
    default: return {TcpStream::Closed::failed, error};
  }
}

}  // namespace

std::string_view to_string(TcpStream::Closed why) {
  switch (why) {
    case TcpStream::Closed::finished: return "finished";
    case TcpStream::Closed::reset: return "reset by the peer";
    case TcpStream::Closed::timed_out: return "timed out";
    case TcpStream::Closed::failed: break;
  }
  return "failed";
}

class TcpStream::Impl : public FdWatch::Owner, public std::enable_shared_from_this<Impl> {
 public:
  explicit Impl(Loop& loop) : loop_(loop) {}

  void dial(const base::HostPort& to, base::Duration timeout, Handler& handler);
  void open(Fd fd) {
    set_stream_options(fd.get());
    watch_.emplace(loop_, std::move(fd));
  }
  void start(Handler& handler) {
    handler_ = &handler;
    arm();
  }

  [[nodiscard]] bool connected() const { return watch_ && watch_->fd() >= 0; }
  [[nodiscard]] bool is_open() const { return dial_ || connected(); }
  [[nodiscard]] int fd() const { return watch_ ? watch_->fd() : -1; }

  void pause() { paused_ = true; }
  void resume() {
    paused_ = false;
    arm();
  }
  [[nodiscard]] std::size_t write(base::BytesView data);
  void shutdown_write();
  void abort();
  void close();

  void on_fd_readable() override;
  void on_fd_writable() override;
  void on_fd_error() override;

 private:
  // One stream does not keep the loop for longer than this many reads.
  static constexpr int max_rounds = 4;

  void arm();
  // False when reading is over for this turn.
  [[nodiscard]] bool read_once();
  void end(CloseReason reason);
  // Ends from the loop, because calls on the stream never call back.
  void end_later(CloseReason reason);

  Loop& loop_;
  Handler* handler_ = nullptr;  // null: not started, or nothing may be called any more
  std::shared_ptr<TcpDial> dial_;
  std::optional<FdWatch> watch_;
  bool paused_ = false;
  bool eof_ = false, write_shut_ = false, ending_ = false;
  bool read_armed_ = false, write_armed_ = false, error_armed_ = false;
};

void TcpStream::Impl::dial(const base::HostPort& to, base::Duration timeout, Handler& handler) {
  handler_ = &handler;
  dial_ = std::make_shared<TcpDial>(loop_, [this](Fd fd, ConnectFailure failure) {
    const auto self = shared_from_this();
    dial_.reset();
    if (!fd.valid()) {
      std::exchange(handler_, nullptr)->on_connect_failed(failure);
      return;
    }
    open(std::move(fd));
    handler_->on_connected();
    arm();
  });
  dial_->start(to, timeout);
}

// Reading, or at least an eye on errors: a reset must be seen while reading is paused.
void TcpStream::Impl::arm() {
  if (!connected() || handler_ == nullptr || ending_) return;
  if (!paused_ && !eof_) {
    if (!std::exchange(read_armed_, true))
      watch_->wait(FdWatch::Event::readable, shared_from_this());
  } else if (!std::exchange(error_armed_, true)) {
    watch_->wait(FdWatch::Event::error, shared_from_this());
  }
}

void TcpStream::Impl::on_fd_readable() {
  read_armed_ = false;
  for (int round = 0; round < max_rounds; ++round)
    if (!read_once()) break;
  arm();
}

bool TcpStream::Impl::read_once() {
  if (!connected() || paused_ || eof_ || ending_) return false;
  const base::MutableBytes buffer = loop_.read_buffer();
  const std::size_t size = std::min(handler_->read_budget(), buffer.size());
  if (size == 0) {
    paused_ = true;
    return false;
  }
  const ssize_t got = ::recv(watch_->fd(), buffer.data(), size, 0);
  if (got > 0) {
    handler_->on_data(buffer.first(static_cast<std::size_t>(got)));
    return static_cast<std::size_t>(got) == size;  // less: very likely nothing is left
  }
  if (got == 0) {
    eof_ = true;
    handler_->on_eof();
    if (connected() && write_shut_) end({Closed::finished, 0});
    return false;
  }
  if (errno != EAGAIN && errno != EINTR) end(close_reason(errno));
  return false;
}

void TcpStream::Impl::on_fd_writable() {
  write_armed_ = false;
  if (connected() && handler_ != nullptr && !ending_) handler_->on_writable();
}

void TcpStream::Impl::on_fd_error() {
  error_armed_ = false;
  if (!connected() || ending_) return;
  // While reading, what came before the reset is still delivered; then recv() reports it.
  if (!paused_ && !eof_) return;
  // 0: both directions are shut, but the end is yet to be read. Armed again by resume_reading().
  if (const int error = take_socket_error(watch_->fd()); error != 0) end(close_reason(error));
}

std::size_t TcpStream::Impl::write(base::BytesView data) {
  if (!connected() || write_shut_ || ending_ || data.empty()) return 0;
  ssize_t sent = 0;
  do {
    sent = ::send(watch_->fd(), data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
    end_later(close_reason(errno));
    return 0;
  }
  const std::size_t taken = sent < 0 ? 0 : static_cast<std::size_t>(sent);
  if (taken < data.size() && !std::exchange(write_armed_, true))
    watch_->wait(FdWatch::Event::writable, shared_from_this());
  return taken;
}

void TcpStream::Impl::shutdown_write() {
  if (!connected() || write_shut_) return;
  write_shut_ = true;
  ::shutdown(watch_->fd(), SHUT_WR);
  if (eof_) end_later({Closed::finished, 0});
}

void TcpStream::Impl::abort() {
  if (connected()) {
    const linger now{1, 0};
    ::setsockopt(watch_->fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  close();
}

void TcpStream::Impl::close() {
  handler_ = nullptr;
  if (dial_) std::exchange(dial_, nullptr)->cancel();
  if (watch_) watch_->close();
}

void TcpStream::Impl::end(CloseReason reason) {
  Handler* handler = handler_;
  close();
  if (handler != nullptr) handler->on_closed(reason);
}

void TcpStream::Impl::end_later(CloseReason reason) {
  if (std::exchange(ending_, true)) return;
  loop_.post([self = shared_from_this(), reason] {
    if (self->connected()) self->end(reason);
  });
}

TcpStream TcpStream::connect(Loop& loop, const base::HostPort& to, base::Duration timeout,
                             Handler& handler) {
  auto impl = std::make_shared<Impl>(loop);
  impl->dial(to, timeout, handler);
  return TcpStream(std::move(impl));
}

TcpStream TcpStream::adopt(Loop& loop, int fd) {
  auto impl = std::make_shared<Impl>(loop);
  impl->open(Fd(fd));
  return TcpStream(std::move(impl));
}

TcpStream::TcpStream(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
TcpStream::~TcpStream() { close(); }
TcpStream::TcpStream(TcpStream&&) noexcept = default;
TcpStream& TcpStream::operator=(TcpStream&& other) noexcept {
  if (this != &other) {
    close();
    impl_ = std::move(other.impl_);
  }
  return *this;
}

void TcpStream::start(Handler& handler) {
  if (impl_) impl_->start(handler);
}
void TcpStream::pause_reading() {
  if (impl_) impl_->pause();
}
void TcpStream::resume_reading() {
  if (impl_) impl_->resume();
}
std::size_t TcpStream::write(base::BytesView data) { return impl_ ? impl_->write(data) : 0; }
void TcpStream::shutdown_write() {
  if (impl_) impl_->shutdown_write();
}
void TcpStream::abort() {
  if (impl_) impl_->abort();
}
void TcpStream::close() {
  if (impl_) impl_->close();
}
bool TcpStream::is_open() const { return impl_ && impl_->is_open(); }
base::Address TcpStream::remote_address() const {
  return impl_ ? remote_address_of(impl_->fd()) : base::Address{};
}
base::Address TcpStream::local_address() const {
  return impl_ ? local_address_of(impl_->fd()) : base::Address{};
}

}  // namespace ztna::io
