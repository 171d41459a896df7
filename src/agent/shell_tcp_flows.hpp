// The TCP connections of local programs that are carried by flows, whichever door they came in by:
// they outlive the listener that accepted them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "agent/shell_flows.hpp"
#include "bridge/tcp_bridge.hpp"
#include "io/tcp.hpp"

namespace ztna::agent {

// Which door a connection came in by, for counting.
using DoorId = std::uint32_t;

class TcpFlows {
 public:
  TcpFlows(io::Loop& loop, Flows& flows) : flows_(flows), graveyard_(loop) {}

  // Carries an accepted connection to `service`. A flow that fails resets it at once.
  void carry(DoorId door, const std::string& service, io::TcpStream stream);
  // The same for a flow that was opened by somebody else and has been accepted.
  void adopt(DoorId door, FlowId id, io::TcpStream stream);

  [[nodiscard]] std::size_t count(DoorId door) const;

 private:
  class Connection;
  void over(FlowId id);

  Flows& flows_;
  Graveyard graveyard_;
  std::unordered_map<std::uint64_t, std::shared_ptr<Connection>> connections_;  // by flow
};

}  // namespace ztna::agent
