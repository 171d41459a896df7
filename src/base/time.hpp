// Time as a value. The core never reads a clock: `now` is handed in by the shell or the simulator.
#pragma once

#include <chrono>
#include <cstdint>

namespace ztna::base {

using namespace std::chrono_literals;

using Duration = std::chrono::nanoseconds;

// A tag, not a clock: it has no now() on purpose. The epoch is arbitrary and never goes back.
struct Monotonic {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = Duration;
  using time_point = std::chrono::time_point<Monotonic, Duration>;
  static constexpr bool is_steady = true;
};
using Time = Monotonic::time_point;

// "No deadline": later than everything.
inline constexpr Time never = Time::max();

// Civil time, for certificates and audit records: since 1970-01-01T00:00:00Z.
struct WallTime {
  std::int64_t seconds = 0;
  std::uint16_t milliseconds = 0;  // of the second, 0 to 999
  friend constexpr auto operator<=>(WallTime, WallTime) = default;
};

[[nodiscard]] constexpr std::uint64_t to_ns(Time at) {
  return static_cast<std::uint64_t>(at.time_since_epoch().count());
}
[[nodiscard]] constexpr Time from_ns(std::uint64_t ns) {
  return ns >= static_cast<std::uint64_t>(Duration::max().count())
             ? never
             : Time{Duration{static_cast<std::int64_t>(ns)}};
}
[[nodiscard]] constexpr double to_ms(Duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

}  // namespace ztna::base
