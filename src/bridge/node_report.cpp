#include "bridge/node_report.hpp"

#include <nlohmann/json.hpp>

#include "io/loop.hpp"
#include "logging/logging.hpp"

namespace ztna::bridge {
namespace {

using session::Session;

std::string_view to_string(Session::State state) {
  switch (state) {
    case Session::State::waiting: return "waiting";
    case Session::State::handshaking: return "handshaking";
    case Session::State::ready: return "ready";
    case Session::State::closed: return "closed";
  }
  return "unknown";
}

using nlohmann::json;

// Only a live session has a path at all; before its handshake is done it takes the relay.
std::string_view path_name(const Session& session) {
  return session.has_path() ? session::to_string(session.path_kind()) : "NONE";
}

json switches_report(const Session& session, base::Time now) {
  json all = json::array();
  for (const session::PathSwitch& change : session.switches()) {
    all.push_back({{"from", session::to_string(change.from)},
                   {"to", session::to_string(change.to)},
                   {"peer", change.peer},
                   {"reason", session::to_string(change.reason)},
                   {"rtt_ms", base::to_ms(change.rtt)},
                   {"ago_s", base::to_ms(now - change.at) / 1000}});
  }
  return all;
}

// Every direct way that was tried, with what the checks say.
json pairs_report(const nat::Prober& prober, base::Time now) {
  json all = json::array();
  for (const nat::Pair& pair : prober.pairs()) {
    const nat::PathQuality quality = pair.health.quality();
    all.push_back({{"remote", pair.remote.to_string()},
                   {"kind", nat::to_string(pair.kind)},
                   {"proven", pair.health.proven()},
                   {"proven_by_peer", pair.peer_proven},
                   {"rtt_ms", base::to_ms(quality.rtt)},
                   {"loss", quality.loss}});
    if (pair.health.proven()) {
      all.back()["answered_ago_s"] = base::to_ms(now - pair.health.last_answer()) / 1000;
    }
  }
  return all;
}

json session_report(const Session& session, base::Time now) {
  const quic::Stats stats = session.stats();
  const Session::Counters& c = session.counters();
  const nat::Pair* const pair = session.direct_pair();
  json report{{"id", session.config().id.hex()},
              {"with", session.config().peer_uri},
              {"state", to_string(session.state())},
              {"path", path_name(session)},
              {"peer", pair != nullptr ? pair->remote.to_string() : session.relay_name()},
              {"relay", session.has_relay() ? json(session.relay_name()) : json()},
              {"rtt_ms", base::to_ms(stats.smoothed_rtt)},
              {"mtu", session.max_udp_payload()},
              {"cwnd", stats.cwnd},
              {"flows", session.flow_count()},
              {"packets_sent", stats.packets_sent},
              {"packets_received", stats.packets_received},
              {"packets_lost", stats.packets_lost},
              {"bytes_sent", c.relay_bytes_sent + c.direct_bytes_sent},
              {"bytes_received", c.relay_bytes_received + c.direct_bytes_received},
              {"datagrams_dropped", session.datagram_drops()},
              {"relay_packets", c.relay_packets_sent + c.relay_packets_received},
              {"direct_packets", c.direct_packets_sent + c.direct_packets_received},
              {"switches", switches_report(session, now)}};
  if (session.state() == Session::State::ready) {
    report["age_s"] = (now - session.ready_since()) / std::chrono::seconds(1);
    const base::Time since =
        session.switches().empty() ? session.ready_since() : session.switches().back().at;
    report["path_age_s"] = (now - since) / std::chrono::seconds(1);
    report["path_reason"] =
        session.switches().empty() ? "start" : session::to_string(session.switches().back().reason);
  }
  if (const nat::Prober* const prober = session.prober()) {
    report["direct"] = pairs_report(*prober, now);
    // Why not directly.
    if (pair == nullptr) report["obstacle"] = nat::to_string(prober->obstacle(now));
  }
  return report;
}

void path_metrics(io::MetricsWriter& out, const node::Node::PathCounters& paths) {
  using io::MetricType;
  out.family("ztna_packets_via_relay_total", MetricType::counter,
             "Session packets sent and received over a relay.");
  out.sample(paths.relay_packets);
  out.family("ztna_packets_via_direct_total", MetricType::counter,
             "Session packets sent and received directly.");
  out.sample(paths.direct_packets);
  out.family("ztna_bytes_via_relay_total", MetricType::counter,
             "Octets of session packets sent and received over a relay.");
  out.sample(paths.relay_bytes);
  out.family("ztna_bytes_via_direct_total", MetricType::counter,
             "Octets of session packets sent and received directly.");
  out.sample(paths.direct_bytes);
  out.family("ztna_datagrams_dropped_total", MetricType::counter,
             "Payloads of UDP flows that were dropped here, by reason.");
  for (const auto& [reason, count] : paths.datagram_drops) {
    out.sample(count, {{"reason", reason}});
  }
  out.family("ztna_checks_total", MetricType::counter, "Checks of paths, by path and result.");
  const nat::Prober::Counters& checks = paths.checks;
  out.sample(checks.sent, {{"path", "direct"}, {"result", "sent"}});
  out.sample(checks.answered, {{"path", "direct"}, {"result", "answered"}});
  out.sample(checks.requests, {{"path", "direct"}, {"result", "received"}});
  out.sample(checks.refused, {{"path", "direct"}, {"result", "refused"}});
  out.sample(checks.relay_sent, {{"path", "relay"}, {"result", "sent"}});
  out.sample(checks.relay_answered, {{"path", "relay"}, {"result", "answered"}});
  out.sample(checks.relay_requests, {{"path", "relay"}, {"result", "received"}});
  out.family("ztna_path_switches_total", MetricType::counter,
             "Moves of sessions between paths, by reason.");
  for (const auto& [kind, count] : paths.switches) {
    out.sample(count, {{"from", session::to_string(kind.from)},
                       {"to", session::to_string(kind.to)},
                       {"reason", session::to_string(kind.reason)}});
  }
}

}  // namespace

nlohmann::json node_report(const node::Node& node) {
  nlohmann::json uplinks = nlohmann::json::array();
  for (const auto& uplink : node.uplinks()) {
    uplinks.push_back({{"intermediate", uplink->name()},
                       {"state", node::to_string(uplink->state())},
                       {"address", uplink->up() ? uplink->remote().to_string() : ""},
                       {"rtt_ms", base::to_ms(uplink->stats().smoothed_rtt)},
                       {"mtu", uplink->max_udp_payload()},
                       {"observed_address", uplink->observed_address()},
                       {"relay_carries_flows", uplink->carries_flows()},
                       {"last_error", uplink->last_error()},
                       {"connects", uplink->connects()}});
  }
  nlohmann::json sessions = nlohmann::json::array();
  for (const Session* const session : node.sessions()) {
    sessions.push_back(session_report(*session, io::Loop::now()));
  }
  return {{"uplinks", std::move(uplinks)}, {"sessions", std::move(sessions)}};
}

void node_metrics(io::MetricsWriter& out, const node::Node& node) {
  using io::MetricType;
  out.family("ztna_uplink_up", MetricType::gauge, "1 while the uplink to this Intermediate is up.");
  for (const auto& uplink : node.uplinks()) {
    out.sample(uplink->up() ? 1 : 0, {{"intermediate", uplink->name()}});
  }
  out.family("ztna_uplink_connects_total", MetricType::counter, "Registrations that succeeded.");
  for (const auto& uplink : node.uplinks()) {
    out.sample(uplink->connects(), {{"intermediate", uplink->name()}});
  }
  out.family("ztna_sessions", MetricType::gauge, "End-to-end sessions that exist.");
  out.sample(node.sessions().size());
  path_metrics(out, node.path_counters());
  const node::Node::Counters& c = node.counters();
  out.family("ztna_sessions_refused_total", MetricType::counter,
             "Sessions that an Intermediate offered and this node would not have.");
  out.sample(c.sessions_refused);
  out.family("ztna_packets_dropped_total", MetricType::counter, "Datagrams dropped before QUIC.");
  out.sample(c.packets_unknown, {{"reason", "unknown_connection"}});
  out.sample(c.packets_filtered, {{"reason", "unproven_address"}});
  out.sample(c.packets_stun, {{"reason", "stun"}});
  out.sample(c.relay_unknown_channel, {{"reason", "unknown_channel"}});
}

void log_notice(const node::Notice& notice) {
  std::vector<logging::Field> fields;
  for (const auto& [key, value] : notice.fields) fields.emplace_back(key, value);
  logging::log_fields(notice.warning ? logging::Level::warn : logging::Level::info, notice.text,
                      fields);
}

}  // namespace ztna::bridge
