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

struct PathTotals {
  std::uint64_t packets = 0, bytes = 0;
};

PathTotals relay_totals(const node::Node& node) {
  const node::Node::PathCounters& ended = node.ended_sessions();
  PathTotals totals{ended.relay_packets, ended.relay_bytes};
  for (const Session* const session : node.sessions()) {
    const Session::Counters& c = session->counters();
    totals.packets += c.relay_packets_sent + c.relay_packets_received;
    totals.bytes += c.relay_bytes_sent + c.relay_bytes_received;
  }
  return totals;
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
                       {"last_error", uplink->last_error()},
                       {"connects", uplink->connects()}});
  }
  nlohmann::json sessions = nlohmann::json::array();
  for (const Session* const session : node.sessions()) {
    const quic::Stats stats = session->stats();
    const Session::Counters& c = session->counters();
    sessions.push_back({{"id", session->config().id.hex()},
                        {"with", session->config().peer_uri},
                        {"state", to_string(session->state())},
                        {"path", session->has_relay() ? "RELAY" : "NONE"},
                        {"peer", session->relay_name()},
                        {"rtt_ms", base::to_ms(stats.smoothed_rtt)},
                        {"mtu", session->max_udp_payload()},
                        {"cwnd", stats.cwnd},
                        {"flows", session->flow_count()},
                        {"packets_sent", stats.packets_sent},
                        {"packets_received", stats.packets_received},
                        {"packets_lost", stats.packets_lost},
                        {"bytes_sent", c.relay_bytes_sent},
                        {"bytes_received", c.relay_bytes_received}});
    if (session->state() == Session::State::ready) {
      const base::Duration age = io::Loop::now() - session->ready_since();
      sessions.back()["age_s"] = age / std::chrono::seconds(1);
    }
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
  const PathTotals relay = relay_totals(node);
  out.family("ztna_packets_via_relay_total", MetricType::counter,
             "Session packets sent and received over a relay.");
  out.sample(relay.packets);
  out.family("ztna_bytes_via_relay_total", MetricType::counter,
             "Octets of session packets sent and received over a relay.");
  out.sample(relay.bytes);
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
