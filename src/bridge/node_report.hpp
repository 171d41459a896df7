// What the shells of Agent and Connector tell people about their node: status, metrics, log lines.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "io/metrics.hpp"
#include "node/node.hpp"
#include "node/notice.hpp"

namespace ztna::bridge {

// "uplinks" and "sessions" of /v1/status.
[[nodiscard]] nlohmann::json node_report(const node::Node& node);
// Uplinks, sessions and the path counters that DESIGN §2 names.
void node_metrics(io::MetricsWriter& out, const node::Node& node);
void log_notice(const node::Notice& notice);

}  // namespace ztna::bridge
