// A world drawn from a seed: links, flows, and faults at any moment; then calm, in which everything
// must work again. What was promised and not kept is in the world's violations.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/world.hpp"

namespace ztna::sim {

struct StormResult {
  std::vector<std::string> violations;
  std::uint64_t digest = 0;  // of every packet's (time, from, to, size)
  std::uint64_t packets = 0;
  std::size_t flows = 0, complete = 0;
  double virtual_seconds = 0;
};

// In a thread of its own, so that GnuTLS's random generator begins anew: the same seed gives the
// same digest, wherever and after whatever it runs.
[[nodiscard]] StormResult run_storm(std::uint64_t seed, World::Show show = World::Show::nothing);

}  // namespace ztna::sim
