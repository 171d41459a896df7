#include "bridge/node_driver.hpp"

namespace ztna::bridge {

NodeDriver::NodeDriver(io::Loop& loop, node::Node& node, io::PacketPump& pump)
    : loop_(loop),
      node_(node),
      pump_(pump),
      interfaces_(loop, [this](const std::vector<base::Address>& addresses) {
        node_.set_interfaces(addresses, io::Loop::now());
        pump_.pump();
      }) {
  node_.set_interfaces(interfaces_.addresses(), io::Loop::now());
}

base::WallReference NodeDriver::wall() { return {io::Loop::wall_now(), io::Loop::now()}; }

base::Status NodeDriver::bind(const std::optional<base::Address>& address, std::uint16_t port,
                              const char* flag) {
  io::UdpSocket::Options options;
  options.dual_stack = false;
  const auto add = [&](const base::Address& local) -> base::Status {
    const auto id = pump_.add_socket(local, options);
    if (!id) {
      base::Error error = id.error();
      error.where = std::string(flag) + (error.where.empty() ? "" : ": " + error.where);
      return tl::unexpected(error);
    }
    node_.add_socket(*id, pump_.local_address(*id));
    return {};
  };
  if (address) return add(address->with_port(port));
  if (auto v4 = add(base::Address::v4({0, 0, 0, 0}, port)); !v4) return v4;
  const auto v6 = add(base::Address::v6({}, port));
  // No IPv6 here, or its port is taken while IPv4's was free: IPv4 alone will do unless the port
  // was asked for.
  if (!v6 && port != 0 && v6.error().code == base::ErrorCode::already_exists) return v6;
  return {};
}

void NodeDriver::resolve_names() {
  for (const node::ResolveRequest& request : node_.take_resolve_requests()) {
    lookups_[request.uplink] = std::make_unique<io::Resolve>(
        loop_, request.host,
        [this, uplink = request.uplink,
         host = request.host.host](const std::vector<base::Address>& addresses) {
          node_.resolved(uplink, addresses,
                         addresses.empty() ? "the name \"" + host + "\" does not resolve" : "",
                         io::Loop::now());
          pump_.pump();
        });
  }
}

}  // namespace ztna::bridge
