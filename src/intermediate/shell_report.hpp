// What the Intermediate tells operators: status, metrics and log lines.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "intermediate/engine.hpp"
#include "io/metrics.hpp"
#include "io/packet_pump.hpp"

namespace ztna::intermediate {

[[nodiscard]] nlohmann::json status_report(const Engine& engine, const io::PacketPump& pump,
                                           base::Time now);
void write_metrics(io::MetricsWriter& out, const Engine& engine, const io::PacketPump& pump);
// Decisions that a person watching the log wants to see.
void log_record(const policy::AuditRecord& record);

}  // namespace ztna::intermediate
