// All ordered pairs of NAT kinds, each tried in many ways: what came of it against the oracle and
// against what the product promises, as a table for people and as JSON for programs.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "sim/pairs.hpp"

namespace ztna::sim {

// What the product promises of paths. Virtual time, so these do not depend on the machine.
struct PathLimits {
  // Both port-restricted, from the session's opening; a round trip is that over the relay.
  double median_round_trips = 5;
  Duration to_direct_p99 = 1s;
  Duration gap_to_relay = 700ms;
  Duration gap_to_direct_beyond_round_trip = 20ms;
  std::uint64_t idle_packets = idle_time / 5s;  // each way
  std::uint64_t checks_a_round = 200;           // of both ends, in a round that finds nothing
};

// What one run says by itself: everything that should not be.
[[nodiscard]] std::vector<std::string> judge(const PairResult& result, bool expected);

// Of one ordered pair, over all that was tried.
struct PairRow {
  NatKind agent, connector;
  bool expected = false;  // direct
  std::size_t runs = 0, direct = 0;
  std::vector<Duration> to_direct;  // in order of size
  Duration gap_to_direct{}, gap_to_relay{};
  std::uint64_t checks = 0;  // the most: until direct, or a round
  std::uint64_t idle_packets = 0;
  std::vector<std::string> wrong;  // what should not be
};

struct PairTable {
  std::vector<PairRow> rows;
  [[nodiscard]] bool good() const;
};

// `repeats`: how often each variant of each pair is tried, each time with another seed.
[[nodiscard]] PairTable try_all_pairs(std::uint64_t first_seed, std::size_t repeats,
                                      std::size_t threads);

void print(const PairTable& table, std::FILE* out);
void print_json(const PairTable& table, std::FILE* out);

}  // namespace ztna::sim
