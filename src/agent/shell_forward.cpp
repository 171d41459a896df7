#include "agent/shell_forward.hpp"

namespace ztna::agent {

base::Result<std::unique_ptr<Forward>> Forward::create(const DoorContext& context, DoorId door,
                                                       Protocol protocol,
                                                       const base::Address& listen,
                                                       const std::string& service) {
  std::unique_ptr<Forward> forward(new Forward(context, door, protocol, service));
  if (protocol == Protocol::udp) {
    auto udp = UdpForward::create(context.loop, context.flows, listen, service, context.udp_idle);
    if (!udp) return tl::unexpected(udp.error());
    forward->udp_ = std::move(*udp);
    return forward;
  }
  auto listener = io::TcpListener::bind(
      context.loop, listen, {},
      [&tcp = context.tcp, door, service](io::TcpStream stream, const base::Address& /*peer*/) {
        tcp.carry(door, service, std::move(stream));
      });
  if (!listener) return tl::unexpected(listener.error());
  forward->tcp_.emplace(std::move(*listener));
  return forward;
}

const base::Address& Forward::local_address() const {
  return udp_ ? udp_->local_address() : tcp_->local_address();
}

std::string Forward::to_string() const {
  return std::string(session::to_string(protocol_)) + "://" + local_address().to_string();
}

std::size_t Forward::connections() const {
  return udp_ ? udp_->associations() : context_.tcp.count(door_);
}

}  // namespace ztna::agent
