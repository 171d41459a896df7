#include "node/flow_record.hpp"

namespace ztna::node {

policy::AuditRecord flow_record(policy::AuditEvent event, const std::string& service,
                                session::Protocol protocol, const session::Session* session,
                                session::StreamId stream) {
  policy::AuditRecord record;
  record.event = event;
  record.service = service;
  record.protocol = to_string(protocol);
  if (session != nullptr) {
    record.session = session->config().id.hex();
    record.flow = stream;
  }
  return record;
}

void put_end(policy::AuditRecord& record, session::FlowEnd why, const std::string& text) {
  record.reason = std::string(to_string(why)) + (text.empty() ? "" : ": " + text);
}

void put_traffic(policy::AuditRecord& record, const session::Session& session,
                 const session::FlowCounters& counters, base::Duration duration) {
  record.path = to_string(session.path_kind());
  record.bytes_to_service = counters.to_backend;
  record.bytes_to_agent = counters.from_backend;
  record.duration = duration;
}

}  // namespace ztna::node
