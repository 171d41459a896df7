#include "intermediate/shell_report.hpp"

#include <nlohmann/json.hpp>

#include "logging/logging.hpp"

namespace ztna::intermediate {

nlohmann::json status_report(const Engine& engine, const io::PacketPump& pump, base::Time now) {
  nlohmann::json listen = nlohmann::json::array();
  for (base::SocketId id = 0; id < pump.socket_count(); ++id) {
    listen.push_back(pump.local_address(id).to_string());
  }
  nlohmann::json uplinks = nlohmann::json::array();
  for (const Engine::UplinkView& uplink : engine.uplinks()) {
    uplinks.push_back({{"uri", uplink.uri},
                       {"role", identity::to_string(uplink.role)},
                       {"address", uplink.address},
                       {"incarnation", uplink.incarnation},
                       {"silent", uplink.silent},
                       {"rtt_ms", base::to_ms(uplink.rtt)},
                       {"sessions", uplink.sessions},
                       {"services", uplink.services}});
  }
  nlohmann::json sessions = nlohmann::json::array();
  for (const Broker::SessionView& session : engine.broker().sessions()) {
    sessions.push_back({{"id", session.id},
                        {"agent", session.agent},
                        {"connector", session.connector},
                        {"bound", session.bound},
                        {"packets", session.packets},
                        {"checks", session.checks},
                        {"bytes", session.bytes},
                        {"age_s", base::to_ms(now - session.since) / 1000}});
  }
  const Broker::Counters& b = engine.broker().counters();
  const relay::FairQueue::Counters& q = engine.queue_counters();
  nlohmann::json relay = {{"on", engine.relay_on()},
                          {"packets", b.relayed_packets},
                          {"bytes", b.relayed_bytes},
                          {"marked", q.marked},
                          {"split", q.split},
                          {"dropped",
                           {{"unknown_channel", b.dropped_unknown_channel},
                            {"peer_away", b.dropped_peer_away},
                            {"relay_off", b.dropped_relay_off},
                            {"suspended", b.dropped_suspended},
                            {"queue_full", q.dropped_full},
                            {"too_large", q.dropped_too_large}}}};
  return {{"listen", std::move(listen)},
          {"uplinks", std::move(uplinks)},
          {"sessions", std::move(sessions)},
          {"relay", std::move(relay)}};
}

namespace {

void relay_metrics(io::MetricsWriter& out, const Engine& engine) {
  using io::MetricType;
  const Broker::Counters& b = engine.broker().counters();
  const relay::FairQueue::Counters& q = engine.queue_counters();
  out.family("ztna_relay_datagrams_total", MetricType::counter, "Session packets relayed.");
  out.sample(b.relayed_packets);
  out.family("ztna_relay_bytes_total", MetricType::counter, "Octets of session packets relayed.");
  out.sample(b.relayed_bytes);
  out.family("ztna_relay_dropped_total", MetricType::counter, "Session packets not relayed.");
  out.sample(b.dropped_unknown_channel, {{"reason", "unknown_channel"}});
  out.sample(b.dropped_peer_away, {{"reason", "peer_away"}});
  out.sample(b.dropped_relay_off, {{"reason", "relay_off"}});
  out.sample(b.dropped_suspended, {{"reason", "suspended"}});
  out.sample(q.dropped_full, {{"reason", "queue_full"}});
  out.sample(q.dropped_too_large, {{"reason", "too_large"}});
  out.sample(engine.counters().relay_malformed, {{"reason", "malformed"}});
  out.family("ztna_relay_marked_total", MetricType::counter, "Packets marked ECN CE in a queue.");
  out.sample(q.marked);
  out.family("ztna_relay_split_total", MetricType::counter, "Packets sent on in two halves.");
  out.sample(q.split);
  out.family("ztna_relay_enabled", MetricType::gauge, "1 while flow-bearing relaying is on.");
  out.sample(engine.relay_on() ? 1 : 0);
}

}  // namespace

void write_metrics(io::MetricsWriter& out, const Engine& engine, const io::PacketPump& pump) {
  using io::MetricType;
  const Engine::RoleCounts roles = engine.role_counts();
  out.family("ztna_uplinks", MetricType::gauge, "Registered nodes.");
  out.sample(roles.agents, {{"role", "agent"}});
  out.sample(roles.connectors, {{"role", "connector"}});
  out.family("ztna_sessions", MetricType::gauge, "Sessions that have a relay channel here.");
  out.sample(engine.broker().session_count());
  relay_metrics(out, engine);
  const Engine::Counters& c = engine.counters();
  const Broker::Counters& b = engine.broker().counters();
  out.family("ztna_handshakes_total", MetricType::counter, "QUIC handshakes begun.");
  out.sample(c.handshakes_started);
  out.family("ztna_handshakes_failed_total", MetricType::counter,
             "Handshakes that came to nothing.");
  out.sample(c.handshakes_failed);
  out.family("ztna_handshakes_pending", MetricType::gauge, "Handshakes under way.");
  out.sample(roles.handshakes);
  out.family("ztna_stateless_replies_total", MetricType::counter, "Answers without a connection.");
  out.sample(c.retries_sent, {{"kind", "retry"}});
  out.sample(c.resets_sent, {{"kind", "reset"}});
  out.sample(c.versions_sent, {{"kind", "version_negotiation"}});
  out.sample(c.stun_answered, {{"kind", "stun"}});
  out.family("ztna_strangers_dropped_total", MetricType::counter,
             "Datagrams of no connection that were dropped.");
  out.sample(c.packets_malformed, {{"reason", "malformed"}});
  out.sample(c.initials_dropped, {{"reason", "limits"}});
  out.sample(c.stun_dropped, {{"reason", "stun"}});
  out.family("ztna_sessions_opened_total", MetricType::counter, "Introductions made.");
  out.sample(b.sessions_opened);
  out.family("ztna_sessions_denied_total", MetricType::counter, "Introductions refused.");
  out.sample(b.sessions_denied);
  out.family("ztna_sessions_reclaimed_total", MetricType::counter, "Relay channels claimed again.");
  out.sample(b.sessions_reclaimed);
  out.family("ztna_directories_cut_total", MetricType::counter,
             "Directories longer than an Agent is told; it misses services.");
  out.sample(b.directories_cut);
  out.family("ztna_not_owner_total", MetricType::counter,
             "Messages that named a session of somebody else's.");
  out.sample(b.not_owner);
  pump.metrics(out);
}

void log_record(const policy::AuditRecord& record) {
  std::vector<logging::Field> fields;
  const auto add = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) fields.emplace_back(key, value);
  };
  add("agent", record.agent);
  add("connector", record.connector);
  add("service", record.service);
  add("session", record.session.substr(0, 8));
  add("address", record.address);
  add("rule", record.rule);
  add("reason", record.reason);
  const bool refused = record.allowed && !*record.allowed;
  // After a restart everyone claims at once: that is for the audit log alone.
  const bool of_many = record.event == policy::AuditEvent::session_closed ||
                       (record.event == policy::AuditEvent::session && record.service.empty());
  const std::string text =
      (refused ? "Refused: " : "") + std::string(policy::to_string(record.event));
  const logging::Level level = of_many ? logging::Level::debug : logging::Level::info;
  logging::log_fields(refused ? logging::Level::warn : level, text, fields);
}

}  // namespace ztna::intermediate
