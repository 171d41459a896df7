#include "agent/shell_udp_forward.hpp"

#include "io/loop.hpp"

namespace ztna::agent {

UdpForward::UdpForward(io::Loop& loop, Flows& flows, std::string service, base::Duration idle)
    : flows_(flows),
      service_(std::move(service)),
      associations_(loop, flows, {.idle = idle},
                    [this](const Pair& pair, base::BytesView payload) { reply(pair, payload); }) {}

base::Result<std::unique_ptr<UdpForward>> UdpForward::create(io::Loop& loop, Flows& flows,
                                                             const base::Address& listen,
                                                             const std::string& service,
                                                             base::Duration idle) {
  std::unique_ptr<UdpForward> forward(new UdpForward(loop, flows, service, idle));
  io::UdpSocket::Options options;
  options.dont_fragment = false;
  auto socket = io::UdpSocket::bind(loop, listen, options, *forward);
  if (!socket) return tl::unexpected(socket.error());
  forward->socket_.emplace(std::move(*socket));
  return forward;
}

void UdpForward::on_datagram(const io::Datagram& datagram) {
  associations_.send({datagram.from, datagram.to}, service_, datagram.payload, io::Loop::now());
}

void UdpForward::reply(const Pair& pair, base::BytesView payload) {
  io::OutgoingDatagrams out;
  out.to = pair.program;
  out.from = pair.local;
  out.bytes = payload;
  // What the socket has no room for is lost, as on any way of a datagram.
  static_cast<void>(socket_->send(out));
}

}  // namespace ztna::agent
