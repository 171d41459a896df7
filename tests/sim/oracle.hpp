// Which pairs of NATs can meet directly, told from RFC 4787 alone. It knows nothing of our code and
// runs none of it: what the simulated product does is held against this, both ways.
#pragma once

#include <array>
#include <string>

#include "sim/nat.hpp"

namespace ztna::sim {

// The two choices of RFC 4787 that decide who meets whom.
struct NatKind {
  Dependence mapping = Dependence::endpoint_independent;
  Dependence filtering = Dependence::endpoint_independent;
  friend bool operator==(const NatKind&, const NatKind&) = default;
};

// All nine, the most open one first.
[[nodiscard]] std::array<NatKind, 9> all_kinds();
// "independent/port": mapping, then filtering.
[[nodiscard]] std::string to_string(const NatKind& kind);

// Two hosts, each behind a NAT of that kind, are told by a third party with yet another address
// what it sees of the other. Both send at the same time, answer whatever arrives to where it came
// from, and guess no ports. Can they end with a pair of outside endpoints by which both hear the
// other?
[[nodiscard]] bool can_meet(const NatKind& one, const NatKind& other);

}  // namespace ztna::sim
