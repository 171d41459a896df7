#include "agent/shell_forward.hpp"

namespace ztna::agent {

base::Result<std::unique_ptr<Forward>> Forward::create(const DoorContext& context, DoorId door,
                                                       Protocol protocol,
                                                       const base::Address& listen,
                                                       const std::string& service) {
  std::unique_ptr<Forward> forward(new Forward(context, door, protocol, service));
  auto listener = io::TcpListener::bind(
      context.loop, listen, {},
      [&tcp = context.tcp, door, service](io::TcpStream stream, const base::Address& /*peer*/) {
        tcp.carry(door, service, std::move(stream));
      });
  if (!listener) return tl::unexpected(listener.error());
  forward->listener_.emplace(std::move(*listener));
  return forward;
}

const base::Address& Forward::local_address() const { return listener_->local_address(); }

std::string Forward::to_string() const {
  return std::string(session::to_string(protocol_)) + "://" + local_address().to_string();
}

std::size_t Forward::connections() const { return context_.tcp.count(door_); }

}  // namespace ztna::agent
