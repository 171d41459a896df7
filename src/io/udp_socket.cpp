#include "io/udp_socket.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <cerrno>

#include "io/fd_watch.hpp"
#include "io/socket_util.hpp"
#include "io/udp_batch.hpp"

namespace ztna::io {

namespace {

// The buffer that the kernel gave: root may exceed the system's limit, others get what they can.
int set_buffer(int fd, int force, int plain, int size) {
  if (!set_option(fd, SOL_SOCKET, force, size)) set_option(fd, SOL_SOCKET, plain, size);
  // The kernel doubles the value for its bookkeeping and reports the double.
  return get_option(fd, SOL_SOCKET, plain) / 2;
}

// DF on every packet, and no kernel guess at the path MTU: QUIC finds it out itself (RFC 9000 §14).
// A [::] socket has both halves, so both families' options are set and the wrong ones fail quietly.
void set_options(int fd, bool v6, const UdpSocket::Options& options) {
  const int v4_discovery = options.dont_fragment ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT;
  const int v6_discovery = options.dont_fragment ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT;
  set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, v4_discovery);
  set_option(fd, IPPROTO_IP, IP_RECVTOS, 1);
  set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
  if (v6) {
    set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, v6_discovery);
    set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  }
  if (options.gro) set_option(fd, SOL_UDP, UDP_GRO, 1);  // kernels before 5.0 do without
}

}  // namespace

class UdpSocket::Impl : public FdWatch::Owner, public std::enable_shared_from_this<Impl> {
 public:
  Impl(Loop& loop, Fd fd, const Options& options, Handler& handler)
      : loop_(loop),
        local_(local_address_of(fd.get())),
        handler_(handler),
        sender_(local_.is_v4() ? AF_INET : AF_INET6, options.gso),
        watch_(loop, std::move(fd)),
        receive_buffer_(set_buffer(watch_.fd(), SO_RCVBUFFORCE, SO_RCVBUF, options.receive_buffer)),
        send_buffer_(set_buffer(watch_.fd(), SO_SNDBUFFORCE, SO_SNDBUF, options.send_buffer)) {
    set_options(watch_.fd(), !local_.is_v4(), options);
  }

  void start() { watch_.wait(FdWatch::Event::readable, shared_from_this()); }
  void close() { watch_.close(); }

  void on_fd_readable() override;
  void on_fd_writable() override {
    if (watch_.fd() < 0) return;
    waiting_to_write_ = false;
    handler_.on_writable();
  }

  SendResult send(const OutgoingDatagrams& out) {
    const SendResult result = sender_.send(watch_.fd(), out, counters_);
    if (result.status == SendStatus::blocked && !waiting_to_write_) {
      waiting_to_write_ = true;
      watch_.wait(FdWatch::Event::writable, shared_from_this());
    }
    return result;
  }

  UdpCounters counters() const {
    UdpCounters out = counters_;
    out.dropped_by_kernel = kernel_drops(watch_.fd());
    return out;
  }

  [[nodiscard]] const base::Address& local() const { return local_; }
  [[nodiscard]] int receive_buffer() const { return receive_buffer_; }
  [[nodiscard]] int send_buffer() const { return send_buffer_; }

 private:
  // Batches taken in one go before other sockets and timers get their turn.
  static constexpr int max_rounds = 4;

  Loop& loop_;
  base::Address local_;
  Handler& handler_;
  UdpSendBatch sender_;
  UdpCounters counters_;
  FdWatch watch_;
  int receive_buffer_, send_buffer_;
  bool waiting_to_write_ = false;
};

void UdpSocket::Impl::on_fd_readable() {
  UdpReceiveBatch& batch = loop_.udp_batch();
  for (int round = 0; round < max_rounds && watch_.fd() >= 0; ++round) {
    const int received = batch.receive(watch_.fd(), counters_);
    if (received == -EAGAIN) break;
    if (received < 0) {
      ++counters_.receive_errors[static_cast<std::size_t>(udp_error(-received))];
      continue;
    }
    const bool alive =
        deliver_batch(batch, received, local_.port(), counters_, [this](const Datagram& datagram) {
          handler_.on_datagram(datagram);
          return watch_.fd() >= 0;
        });
    if (!alive) return;
    handler_.on_drained();
    if (received < static_cast<int>(UdpReceiveBatch::max_messages)) break;
  }
  if (watch_.fd() >= 0) start();
}

base::Result<UdpSocket> UdpSocket::bind(Loop& loop, const base::Address& local,
                                        const Options& options, Handler& handler) {
  auto fd = bind_socket(local, SOCK_DGRAM, options.reuse_address, options.dual_stack);
  if (!fd) return tl::unexpected(fd.error());
  auto impl = std::make_shared<Impl>(loop, std::move(*fd), options, handler);
  impl->start();
  return UdpSocket(std::move(impl));
}

UdpSocket::UdpSocket(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
UdpSocket::~UdpSocket() {
  if (impl_) impl_->close();
}
UdpSocket::UdpSocket(UdpSocket&&) noexcept = default;
UdpSocket& UdpSocket::operator=(UdpSocket&& other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}

const base::Address& UdpSocket::local_address() const { return impl_->local(); }
SendResult UdpSocket::send(const OutgoingDatagrams& out) { return impl_->send(out); }
UdpCounters UdpSocket::counters() const { return impl_->counters(); }
int UdpSocket::receive_buffer() const { return impl_->receive_buffer(); }
int UdpSocket::send_buffer() const { return impl_->send_buffer(); }

}  // namespace ztna::io
