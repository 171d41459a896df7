#include "policy/audit.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/rfc3339.hpp"

namespace ztna::policy {
namespace {

std::string timestamp(const AuditRecord& record) {
  std::string text = rfc3339(record.time);
  char fraction[8];
  std::snprintf(fraction, sizeof fraction, ".%03uZ", record.time.milliseconds % 1000U);
  text.replace(text.size() - 1, 1, fraction);
  return text;
}

void put(nlohmann::ordered_json& line, const char* key, const std::string& value) {
  if (!value.empty()) line[key] = value;
}

void put(nlohmann::ordered_json& line, const char* key, const std::optional<std::uint64_t>& value) {
  if (value) line[key] = *value;
}

}  // namespace

std::string_view to_string(AuditEvent event) {
  switch (event) {
    case AuditEvent::uplink: return "uplink";
    case AuditEvent::offer: return "offer";
    case AuditEvent::session: return "session";
    case AuditEvent::session_closed: return "session_closed";
    case AuditEvent::flow: return "flow";
    case AuditEvent::flow_closed: return "flow_closed";
    case AuditEvent::revoked: return "revoked";
    case AuditEvent::not_owner: return "not_owner";
    case AuditEvent::suspend: return "suspend";
    case AuditEvent::relay_switch: return "relay_switch";
  }
  return "unknown";
}

std::string to_json_line(const AuditRecord& record) {
  nlohmann::ordered_json line;
  line["time"] = timestamp(record);
  line["event"] = to_string(record.event);
  put(line, "agent", record.agent);
  put(line, "connector", record.connector);
  put(line, "service", record.service);
  put(line, "protocol", record.protocol);
  put(line, "session", record.session);
  put(line, "flow", record.flow);
  if (record.allowed) line["verdict"] = *record.allowed ? "allow" : "deny";
  put(line, "rule", record.rule);
  put(line, "reason", record.reason);
  put(line, "path", record.path);
  put(line, "address", record.address);
  put(line, "bytes_to_service", record.bytes_to_service);
  put(line, "bytes_to_agent", record.bytes_to_agent);
  put(line, "bytes_relayed", record.bytes_relayed);
  if (record.duration) line["duration_ms"] = base::to_ms(*record.duration);
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace ztna::policy
