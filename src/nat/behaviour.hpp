// What a NAT does to UDP, in the words of RFC 4787 and RFC 5780, worked out from what servers and
// sockets saw. Nothing is guessed: what the observations leave open stays open, and is named.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"

namespace ztna::nat {

// On what a mapping (RFC 4787 §4.1) or a filter (§5) depends. The values between the three pure
// kinds say how far the observations went.
enum class Dependence : std::uint8_t {
  unknown,
  none,  // a mapping: there is no NAT, the address is our own
  endpoint_independent,
  independent_or_address_dependent,  // not on the port; a second server IP would tell
  address_dependent,
  address_or_port_dependent,  // not independent; a second server port would tell
  address_and_port_dependent,
};
// "endpoint-independent", "endpoint-independent or address-dependent", …
[[nodiscard]] std::string_view to_string(Dependence dependence);

// A server told a socket which address it came from.
struct MappingSeen {
  std::uint32_t socket = 0;
  base::Address local;   // of that socket, where the answer arrived
  base::Address server;  // the address that was asked
  base::Address mapped;  // what it saw
  friend bool operator==(const MappingSeen&, const MappingSeen&) = default;
};

// A socket that had sent to `server` alone asked it to answer from elsewhere (RFC 5780 §4.4).
// Silence must be from an address that is known to answer this network, or it means nothing.
struct FilterSeen {
  base::Address server;
  bool other_ip = false;
  bool other_port = false;
  bool answered = false;
  friend bool operator==(const FilterSeen&, const FilterSeen&) = default;
};

// All of one address family.
struct Observations {
  std::vector<MappingSeen> mappings;
  std::vector<FilterSeen> filters;
  // Did packets between two own sockets' mapped addresses arrive? Nothing: not tried.
  std::optional<bool> hairpin;
};

struct Behaviour {
  Dependence mapping = Dependence::unknown;
  Dependence filtering = Dependence::unknown;
  std::optional<bool> preserves_ports;  // nothing without a NAT
  std::optional<bool> hairpins;         // nothing without a NAT
  bool carrier_grade = false;           // suspected; `carrier_grade_sign` says why
  std::string carrier_grade_sign;
  std::vector<std::string> open_questions;  // what could not be told, one clause each
};

[[nodiscard]] Behaviour classify(const Observations& observations);

// RFC 3489's names, which people know: "port-restricted cone NAT", "full or restricted cone NAT",
// "symmetric NAT", "no NAT, port-dependent firewall", "unknown".
[[nodiscard]] std::string common_name(const Behaviour& behaviour);

// 100.64.0.0/10, the addresses between a carrier's NAT and its customers (RFC 6598).
[[nodiscard]] bool is_shared_address(const base::Address& address);

}  // namespace ztna::nat
