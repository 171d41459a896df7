// A token bucket: `rate` a second on average, `burst` at once.
#pragma once

#include <algorithm>

#include "base/time.hpp"

namespace ztna::base {

class TokenBucket {
 public:
  TokenBucket(double rate, double burst) : rate_(rate), burst_(burst), tokens_(burst) {}

  // Takes `amount` if there is as much; false (and nothing taken) otherwise.
  [[nodiscard]] bool take(double amount, Time now) {
    if (now > refilled_) {
      const double elapsed = std::chrono::duration<double>(now - refilled_).count();
      tokens_ = std::min(burst_, tokens_ + elapsed * rate_);
      refilled_ = now;
    }
    if (tokens_ < amount) return false;
    tokens_ -= amount;
    return true;
  }
  // Nothing taken for so long that it is full again: a table may forget it.
  [[nodiscard]] bool idle(Time now) const {
    return tokens_ + std::chrono::duration<double>(now - refilled_).count() * rate_ >= burst_;
  }

 private:
  double rate_, burst_, tokens_;
  Time refilled_{};
};

}  // namespace ztna::base
