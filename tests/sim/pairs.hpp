// One Agent and one Connector, each behind a NAT of some kind, from the opening of their session to
// a direct path and back, or to rounds of checks that find none. What came of it is measured.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/oracle.hpp"
#include "sim/world.hpp"

namespace ztna::sim {

// Where the NAT of the kind in question stands. The other one in a chain is open to everything. In
// one carrier, the two are a millisecond apart: whose packet comes first is a matter of luck there,
// and the trap of the plain gateway is open.
enum class Place : std::uint8_t {
  home,
  home_in_open_carrier,
  carrier_around_open_home,
  homes_in_one_carrier
};

struct PairPlan {
  NatKind agent, connector;
  // What RFC 4787 leaves open, and the trap of the plain Linux gateway: of both sides.
  PortAllocation ports = PortAllocation::preserving;
  bool drops_input = false;
  Place place = Place::home;
  std::uint64_t seed = 1;
};

// "independent/port,address/port,random,plain,home,7": what `sim --pair` takes.
[[nodiscard]] std::string to_string(const PairPlan& plan);
[[nodiscard]] std::optional<PairPlan> parse_pair(const std::string& text);

// Ways in which every pair is tried: all port allocations in all places, each with one sort of
// gateways, with the other one with the next seed.
[[nodiscard]] std::vector<PairPlan> variants(const NatKind& agent, const NatKind& connector,
                                             std::uint64_t seed);

// From each node to the Intermediate and back. The way over the relay takes twice as long.
inline constexpr Duration intermediate_round_trip = 40ms;

struct PairResult {
  std::vector<std::string> violations;  // broken promises; also: a byte was lost
  std::optional<Duration> to_direct;    // after the Agent's session opened; none: never
  // Of a program that sends every 10 ms, until the answer: around the moves.
  std::optional<Duration> gap_to_direct, gap_to_relay;
  std::uint64_t checks = 0;  // and openers, of both ends: until direct, or a round
  std::uint64_t rounds = 0;
  std::uint64_t idle_from_agent = 0, idle_from_connector = 0;  // on the direct path in idle_time
};

// How long an idle session is watched.
inline constexpr Duration idle_time = 60s;

[[nodiscard]] PairResult run_pair(const PairPlan& plan, World::Show show = World::Show::nothing);

}  // namespace ztna::sim
