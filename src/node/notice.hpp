// What a node's engine wants a person to read in its log: texts made here, printed by the shell.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "node/uplink.hpp"
#include "session/session.hpp"

namespace ztna::node {

struct Notice {
  bool warning = false;
  std::string text;
  std::vector<std::pair<std::string, std::string>> fields;
};

[[nodiscard]] Notice uplink_up(const Uplink& uplink);
[[nodiscard]] Notice uplink_down(const Uplink& uplink, const std::string& reason);
[[nodiscard]] Notice uplink_attempt_failed(const Uplink& uplink, const std::string& reason);
[[nodiscard]] Notice refused(const Uplink& uplink, const std::string& text);
[[nodiscard]] Notice service_taken(const Uplink& uplink, const std::string& service);
[[nodiscard]] Notice draining(const Uplink& uplink);
[[nodiscard]] Notice relay_state(const Uplink& uplink);
// "Path selected: RELAY (peer: <intermediate>)", or that there is none for now.
[[nodiscard]] Notice session_relay(const session::Session& session, bool available);
// "Path selected: DIRECT (peer: <address>)", or RELAY again.
[[nodiscard]] Notice path_switched(const session::Session& session,
                                   const session::PathSwitch& change);
[[nodiscard]] Notice session_ready(const session::Session& session);
[[nodiscard]] Notice session_closed(const session::Session& session, const quic::CloseInfo& info);

}  // namespace ztna::node
