// Suspending a path of one session for a few seconds, so that people can see what the other does
// alone. A lease ends by itself, whatever becomes of who asked for it, and is given seldom. Pure;
// one owner, one thread.
#pragma once

#include "base/result.hpp"
#include "base/time.hpp"
#include "base/token_bucket.hpp"

namespace ztna::proof {

// The longest one. Shorter than anything gives up for: a session's idle time-out is 60 s.
inline constexpr base::Duration max_lease = std::chrono::seconds(10);

// What one asker may cost, whatever sessions he asks about.
struct Allowance {
  base::TokenBucket suspensions{1.0 / 15, 4};  // a second, at once; refused ones count too
  base::TokenBucket statements{2, 20};
  [[nodiscard]] bool idle(base::Time now) const {
    return suspensions.idle(now) && statements.idle(now);
  }
};

class Lease {
 public:
  // From now on, for the time that is returned: `wanted`, or the longest. A new one takes the place
  // of one that still runs.
  [[nodiscard]] base::Result<base::Duration> ask(base::Duration wanted, base::Time now);
  // Somebody else has granted it.
  void set(base::Time until) { until_ = until; }
  [[nodiscard]] bool active(base::Time now) const { return now < until_; }
  // The past, where there never was one.
  [[nodiscard]] base::Time until() const { return until_; }

 private:
  base::Time until_{};
};

}  // namespace ztna::proof
