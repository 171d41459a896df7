// What a SOCKS client may name, and what it is told when a flow fails. Pure.
//
//   the flow ended with                          reply (RFC 1928 §6)
//   denied                                       0x02 not allowed by ruleset
//   unavailable, session_lost                    0x03 network unreachable
//   unknown_service, backend_unreachable         0x04 host unreachable
//   backend_refused                              0x05 connection refused
//   backend_timeout, timed_out                   0x06 TTL expired (as Tor and others use it)
//   untrusted, quota, shutting_down, the rest    0x01 general failure
//
// IP addresses and names of other zones are refused with 0x02: this proxy reaches services only.
#pragma once

#include <optional>
#include <string>

#include "session/flow.hpp"
#include "wire/socks5.hpp"

namespace ztna::agent {

[[nodiscard]] wire::socks5::Reply socks_reply(session::FlowEnd end);

// "web", "web.ztna", "WEB.ZTNA." → "web"; nothing for anything else. A service has one backend, so
// the port that the client asks for says nothing and is not looked at.
[[nodiscard]] std::optional<std::string> service_of(const wire::socks5::Destination& destination);

}  // namespace ztna::agent
