// The part of a node's shell that Agent and Connector have in common: its UDP sockets, the
// addresses of its interfaces, the names of its Intermediates, and the civil time.
//
// Threading: the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "io/interface_watch.hpp"
#include "io/packet_pump.hpp"
#include "io/resolve.hpp"
#include "node/node.hpp"

namespace ztna::bridge {

class NodeDriver {
 public:
  NodeDriver(io::Loop& loop, node::Node& node, io::PacketPump& pump);

  // One IPv4 and one IPv6 socket, or the one for `address`. IPv6 that this machine does not have is
  // no error; a busy port is, and names `flag`.
  [[nodiscard]] base::Status bind(const std::optional<base::Address>& address, std::uint16_t port,
                                  const char* flag);
  // Call after each round of the pump: starts the name look-ups that the node asks for.
  void resolve_names();

  [[nodiscard]] static base::WallReference wall();

 private:
  io::Loop& loop_;
  node::Node& node_;
  io::PacketPump& pump_;
  io::InterfaceWatch interfaces_;
  std::map<std::uint32_t, std::unique_ptr<io::Resolve>> lookups_;  // by uplink
};

}  // namespace ztna::bridge
