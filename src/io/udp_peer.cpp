#include "io/udp_peer.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <cerrno>
#include <optional>

#include "io/fd_watch.hpp"
#include "io/resolve.hpp"
#include "io/socket_util.hpp"
#include "io/udp_batch.hpp"

namespace ztna::io {

class UdpPeer::Impl : public FdWatch::Owner, public std::enable_shared_from_this<Impl> {
 public:
  Impl(Loop& loop, Handler& handler)
      : loop_(loop),
        handler_(&handler),
        timeout_(loop, [this] { fail({ConnectError::timed_out, 0}); }) {}

  void open(const base::HostPort& to, base::Duration timeout) {
    timeout_.set(Loop::now() + timeout);
    resolve_.emplace(loop_, to, [this](const auto& addresses) { resolved(addresses); });
  }
  void close() {
    handler_ = nullptr;
    timeout_.cancel();
    resolve_.reset();
    if (watch_) watch_->close();
  }
  [[nodiscard]] SendStatus send(base::BytesView payload);
  [[nodiscard]] UdpCounters counters() const {
    UdpCounters out = counters_;
    if (connected()) out.dropped_by_kernel = kernel_drops(watch_->fd());
    return out;
  }

  void on_fd_readable() override;
  void on_fd_writable() override {
    waiting_to_write_ = false;
    if (connected()) handler_->on_writable();
  }

 private:
  static constexpr int max_rounds = 4;
  // Half a second of a fast game or a slow stream, while this process is kept from running.
  static constexpr int receive_buffer = 1 << 20;

  [[nodiscard]] bool connected() const { return watch_ && watch_->fd() >= 0; }
  void resolved(const std::vector<base::Address>& addresses);
  void fail(ConnectFailure failure) {
    Handler* handler = handler_;
    close();
    if (handler != nullptr) handler->on_failed(failure);
  }
  void refused_later();

  Loop& loop_;
  Handler* handler_;  // null: nothing may be called any more
  Timer timeout_;
  std::optional<Resolve> resolve_;
  std::optional<FdWatch> watch_;
  UdpCounters counters_;
  bool waiting_to_write_ = false;
};

void UdpPeer::Impl::resolved(const std::vector<base::Address>& addresses) {
  const auto self = shared_from_this();
  timeout_.cancel();
  ConnectFailure failure{ConnectError::no_such_host, 0};
  for (const base::Address& to : addresses) {
    const int family = to.is_v4() ? AF_INET : AF_INET6;
    Fd fd(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const SockAddr remote = to_sockaddr(to, family);
    if (!fd.valid() || ::connect(fd.get(), remote.get(), remote.length) != 0) {
      failure = connect_failure(errno);
      continue;
    }
    set_option(fd.get(), IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    set_option(fd.get(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
    set_option(fd.get(), SOL_UDP, UDP_GRO, 1);
    set_option(fd.get(), SOL_SOCKET, SO_RCVBUF, receive_buffer);
    watch_.emplace(loop_, std::move(fd));
    watch_->wait(FdWatch::Event::readable, shared_from_this());
    handler_->on_connected(to);
    return;
  }
  fail(failure);
}

SendStatus UdpPeer::Impl::send(base::BytesView payload) {
  if (handler_ == nullptr) return SendStatus::failed;
  if (!connected()) return SendStatus::blocked;
  const auto attempt = [&] {
    ssize_t sent = 0;
    do {
      sent = ::send(watch_->fd(), payload.data(), payload.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent;
  };
  ssize_t sent = attempt();
  if (sent < 0 && udp_error(errno) == UdpError::refused) {
    // The kernel tells of an earlier datagram so, and has not looked at this one.
    ++counters_.send_errors[static_cast<std::size_t>(UdpError::refused)];
    refused_later();
    sent = attempt();
  }
  if (sent >= 0) {
    ++counters_.sent_packets;
    counters_.sent_bytes += payload.size();
    return SendStatus::sent;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) {
    ++counters_.blocked;
    if (!std::exchange(waiting_to_write_, true))
      watch_->wait(FdWatch::Event::writable, shared_from_this());
    return SendStatus::blocked;
  }
  const UdpError error = udp_error(errno);
  ++counters_.send_errors[static_cast<std::size_t>(error)];
  if (error == UdpError::refused) refused_later();  // about an earlier datagram
  return SendStatus::failed;
}

// Calls on the peer never call back.
void UdpPeer::Impl::refused_later() {
  loop_.post([self = shared_from_this()] {
    if (self->connected()) self->handler_->on_refused();
  });
}

void UdpPeer::Impl::on_fd_readable() {
  UdpReceiveBatch& batch = loop_.udp_batch();
  for (int round = 0; round < max_rounds && connected(); ++round) {
    const int received = batch.receive(watch_->fd(), counters_);
    if (received == -EAGAIN) break;
    if (received < 0) {
      const UdpError error = udp_error(-received);
      ++counters_.receive_errors[static_cast<std::size_t>(error)];
      if (error == UdpError::refused) handler_->on_refused();
      continue;
    }
    const bool alive =
        deliver_batch(batch, received, 0, counters_, [this](const Datagram& datagram) {
          handler_->on_datagram(datagram.payload);
          return connected();
        });
    if (!alive) return;
    handler_->on_drained();
    if (received < static_cast<int>(UdpReceiveBatch::max_messages)) break;
  }
  if (connected()) watch_->wait(FdWatch::Event::readable, shared_from_this());
}

UdpPeer UdpPeer::open(Loop& loop, const base::HostPort& to, base::Duration timeout,
                      Handler& handler) {
  auto impl = std::make_shared<Impl>(loop, handler);
  impl->open(to, timeout);
  return UdpPeer(std::move(impl));
}

UdpPeer::UdpPeer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
UdpPeer::~UdpPeer() { close(); }
UdpPeer::UdpPeer(UdpPeer&&) noexcept = default;
UdpPeer& UdpPeer::operator=(UdpPeer&& other) noexcept {
  if (this != &other) {
    close();
    impl_ = std::move(other.impl_);
  }
  return *this;
}

SendStatus UdpPeer::send(base::BytesView payload) {
  return impl_ ? impl_->send(payload) : SendStatus::failed;
}
UdpCounters UdpPeer::counters() const { return impl_ ? impl_->counters() : UdpCounters{}; }
void UdpPeer::close() {
  if (impl_) impl_->close();
}

}  // namespace ztna::io
