// The measurement of `ztna quality`: rounds of one second each, asked of the Agent. Blocking; the
// world is handed in.
#pragma once

#include <functional>
#include <string>

#include "base/result.hpp"
#include "base/time.hpp"
#include "tool/quality_view.hpp"

namespace ztna::tool {

struct QualityWorld {
  // Asks the Agent for "/v1/quality?…"; the body of its answer.
  std::function<base::Result<std::string>(const std::string& target)> ask;
  std::function<base::Time()> now;
  std::function<void(base::Duration)> pause;
  std::function<bool()> enough;  // asked before each round, which are numbered from 1
  std::function<void(unsigned number, const QualityRound& round)> on_round;
};

// Adds to `quality`, whose service, rate and size say what is asked for, until it is enough.
// Errors: no Agent, an Agent that says that asking again cannot help, or rounds that brought
// nothing, one after the other; what was measured before stays.
[[nodiscard]] base::Status measure_quality(const QualityWorld& world, Quality& quality);

}  // namespace ztna::tool
