#include "node/notice.hpp"

#include <cstdio>

namespace ztna::node {
namespace {

std::string ms(base::Duration d) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", base::to_ms(d));
  return text;
}

}  // namespace

Notice uplink_up(const Uplink& uplink) {
  return {false,
          "Connected to the Intermediate",
          {{"intermediate", uplink.name()},
           {"address", uplink.remote().to_string()},
           {"rtt_ms", ms(uplink.stats().smoothed_rtt)}}};
}

Notice uplink_down(const Uplink& uplink, const std::string& reason) {
  return {true,
          "Lost the Intermediate; dialling again",
          {{"intermediate", uplink.name()}, {"reason", reason}}};
}

Notice uplink_attempt_failed(const Uplink& uplink, const std::string& reason) {
  return {true,
          "Cannot reach the Intermediate yet; trying again",
          {{"intermediate", uplink.name()},
           {"reason", reason},
           {"attempts", std::to_string(uplink.failed_attempts())}}};
}

Notice refused(const Uplink& uplink, const std::string& text) {
  return {true, "Refused by the Intermediate", {{"intermediate", uplink.name()}, {"reason", text}}};
}

Notice service_taken(const Uplink& uplink, const std::string& service) {
  return {false,
          "No longer refused by the Intermediate",
          {{"intermediate", uplink.name()}, {"service", service}}};
}

Notice draining(const Uplink& uplink) {
  return {false, "The Intermediate is going away", {{"intermediate", uplink.name()}}};
}

Notice relay_state(const Uplink& uplink) {
  const bool on = uplink.carries_flows();
  return {!on,
          on ? "The relay is on again" : "The relay is off: flows need a direct path",
          {{"intermediate", uplink.name()}}};
}

Notice session_relay(const session::Session& session, bool available) {
  const std::string id = session.config().id.short_hex();
  if (session.path_kind() == session::PathKind::direct) {
    return {false,
            available ? "The relay is there as well" : "The relay is gone; the direct path goes on",
            {{"session", id}, {"relay", session.relay_name()}}};
  }
  if (!available) {
    return {true,
            "Path lost: RELAY (peer: " + session.relay_name() + "); waiting for it to come back",
            {{"session", id}, {"with", session.config().peer_uri}}};
  }
  const bool first = session.state() != session::Session::State::ready;
  return {false,
          "Path selected: RELAY (peer: " + session.relay_name() + ")",
          {{"session", id},
           {"with", session.config().peer_uri},
           {"reason", first ? "start" : "relay is back"},
           {"rtt_ms", ms(session.stats().smoothed_rtt)}}};
}

Notice path_switched(const session::Session& session, const session::PathSwitch& change) {
  return {false,
          "Path selected: " + std::string(to_string(change.to)) + " (peer: " + change.peer + ")",
          {{"session", session.config().id.short_hex()},
           {"with", session.config().peer_uri},
           {"from", std::string(to_string(change.from))},
           {"reason", std::string(to_string(change.reason))},
           {"rtt_ms", ms(change.rtt)}}};
}

Notice session_ready(const session::Session& session) {
  return {false,
          "Session is up, encrypted end to end",
          {{"session", session.config().id.short_hex()},
           {"with", session.peer()->uri()},
           {"rtt_ms", ms(session.stats().smoothed_rtt)}}};
}

Notice session_closed(const session::Session& session, const quic::CloseInfo& info) {
  const bool orderly =
      info.cause == quic::CloseCause::local || info.cause == quic::CloseCause::peer;
  return {!orderly,
          "Session ended",
          {{"session", session.config().id.short_hex()},
           {"with", session.config().peer_uri},
           {"cause", std::string(quic::to_string(info.cause))},
           {"reason", info.reason}}};
}

}  // namespace ztna::node
