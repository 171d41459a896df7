// What both ends of a flow put into their audit logs, alike: session and stream tell that two
// lines, of the Agent's log and of the Connector's, are about one flow. Pure.
#pragma once

#include <string>

#include "policy/audit.hpp"
#include "session/flow.hpp"
#include "session/session.hpp"

namespace ztna::node {

// Neither time nor names of nodes. `session` null: it never had one.
[[nodiscard]] policy::AuditRecord flow_record(policy::AuditEvent event, const std::string& service,
                                              session::Protocol protocol,
                                              const session::Session* session,
                                              session::StreamId stream);
// How it ended, and, when it had a session, what it carried by which path.
void put_end(policy::AuditRecord& record, session::FlowEnd why, const std::string& text);
void put_traffic(policy::AuditRecord& record, const session::Session& session,
                 const session::FlowCounters& counters, base::Duration duration);

}  // namespace ztna::node
