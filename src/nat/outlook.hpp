// What hole punching will do between two networks, by rule: does a packet of either side arrive,
// and does the answer come back (RFC 4787 behaviour of both NATs, addresses exchanged through an
// Intermediate). The rule knows no port guessing, no port mapping protocol and no IPv6 way around.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nat/behaviour.hpp"

namespace ztna::nat {

enum class Outcome : std::uint8_t { direct, relay, open };
[[nodiscard]] std::string_view to_string(Outcome outcome);  // "direct", "relay", "open"

// Two NATs (or none) with what is known of their mapping and filtering. `open`: it depends on what
// the classification left open.
[[nodiscard]] Outcome outcome(const Behaviour& one, const Behaviour& other);

struct Outlook {
  std::string peer;  // "port-restricted cone NAT"
  Outcome outcome = Outcome::open;
  std::string sentence;
};

// One for each kind of network that a peer may be in, easiest first. Without any UDP (`udp` false)
// there is no path at all.
[[nodiscard]] std::vector<Outlook> outlooks(const Behaviour& own, bool udp);

}  // namespace ztna::nat
