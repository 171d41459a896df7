// What the Agent tells people: members of /v1/status, families of /metrics, why it is not ready.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "agent/engine.hpp"
#include "agent/shell_auto_forward.hpp"
#include "agent/shell_forward.hpp"
#include "agent/shell_socks.hpp"
#include "io/metrics.hpp"
#include "io/packet_pump.hpp"

namespace ztna::agent {

// The doors for local programs that are open; null: none of that kind.
struct Doors {
  const std::vector<std::unique_ptr<Forward>>& forwards;
  const SocksServer* socks;
  const AutoForward* auto_forward;
};

[[nodiscard]] nlohmann::json status_report(const Engine& engine, const Doors& doors,
                                           base::Time now);
void write_metrics(io::MetricsWriter& out, const Engine& engine, const io::PacketPump& pump);

// "relay.example:4433: connection refused; …": for when no uplink is up.
[[nodiscard]] std::string uplink_troubles(const node::Node& node);

}  // namespace ztna::agent
