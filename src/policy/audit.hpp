// One line of the audit log: a decision about access, or the end of what was allowed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.hpp"

namespace ztna::policy {

enum class AuditEvent : std::uint8_t {
  uplink,          // a node registered, or was refused
  offer,           // a Connector offered a service
  session,         // an Agent asked for a session, or an end claimed one after its uplink was lost
  session_closed,  // how long it was introduced, and what was relayed of it
  flow,            // an Agent asked for a flow to a service
  flow_closed,     // how an allowed flow ended
  revoked,         // a live connection was ended by revocation, expiry or a removed root
  not_owner,       // a message named something that is not its sender's
  suspend,         // an Agent asked for a path of its session to be suspended (ztna prove)
  relay_switch,    // an operator turned flow-bearing relaying on or off
};
[[nodiscard]] std::string_view to_string(AuditEvent event);

// What is empty or absent is left out of the line.
struct AuditRecord {
  base::WallTime time;
  AuditEvent event = AuditEvent::flow;
  std::string agent, connector;  // names
  std::string service;
  std::string protocol;              // of a flow: "tcp", "udp"; "ping", "echo": no backend is asked
  std::string session;               // id, hexadecimal
  std::optional<std::int64_t> flow;  // its stream in the session, at both ends the same
  std::optional<bool> allowed;       // the verdict
  std::string rule;                  // Decision::rule
  std::string reason;                // why it ended or was refused
  std::string path;                  // "RELAY" or "DIRECT": at the end, or the one suspended
  std::string address;               // the peer's, as seen
  std::optional<std::uint64_t> bytes_to_service, bytes_to_agent;
  std::optional<std::uint64_t> bytes_relayed;  // both ways, in packets of the session
  std::optional<base::Duration> duration;      // logged in milliseconds
};

// A JSON object on one line, no newline at its end. Keys: time (RFC 3339, UTC, milliseconds),
// event, agent, connector, service, protocol, session, flow, verdict ("allow" or "deny"), rule,
// reason, path, address, bytes_to_service, bytes_to_agent, bytes_relayed, duration_ms. Octets that
// are not UTF-8 are replaced.
[[nodiscard]] std::string to_json_line(const AuditRecord& record);

}  // namespace ztna::policy
