#include "nat/choice.hpp"

#include <algorithm>

namespace ztna::nat {
namespace {

using namespace std::chrono_literals;

constexpr double loss_margin = 0.1;        // less cannot be told from chance by a dozen checks
constexpr double sustained_margin = 0.15;  // three deviations of a path in use that loses 5 %

}  // namespace

base::Duration hysteresis(base::Duration rtt) { return std::max<base::Duration>(5ms, rtt / 5); }

bool direct_is_better(const PathQuality& relay, const PathQuality& direct) {
  if (direct.loss > relay.loss + loss_margin) return false;
  return direct.rtt <= relay.rtt + hysteresis(relay.rtt);
}

bool relay_is_better(const PathQuality& direct, const PathQuality& relay) {
  return direct.loss > relay.loss + sustained_margin;
}

bool clearly_better(const PathQuality& current, const PathQuality& other) {
  if (other.loss > current.loss + loss_margin) return false;
  if (other.loss + loss_margin < current.loss) return true;
  return other.rtt + hysteresis(current.rtt) < current.rtt;
}

}  // namespace ztna::nat
