// Which of two paths that work is the better one. Pure functions.
#pragma once

#include "base/time.hpp"

namespace ztna::nat {

struct PathQuality {
  base::Duration rtt{};
  double loss = 0;  // share of checks without an answer, 0 … 1
};

// Paths differ when their round trips do by more than 5 ms or a fifth, whichever is more.
[[nodiscard]] base::Duration hysteresis(base::Duration rtt);

// From the relay to a direct path: direct wins ties.
[[nodiscard]] bool direct_is_better(const PathQuality& relay, const PathQuality& direct);

// Back from a direct path to the relay, where both answer: only for loss, and only for much more of
// it. A slower direct path that was good enough to move to stays.
[[nodiscard]] bool relay_is_better(const PathQuality& direct, const PathQuality& relay);

// From one direct path to another: only for a clear gain.
[[nodiscard]] bool clearly_better(const PathQuality& current, const PathQuality& other);

}  // namespace ztna::nat
