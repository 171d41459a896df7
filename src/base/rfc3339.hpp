// Civil time as people and log files write it (RFC 3339, UTC).
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

#include "base/time.hpp"

namespace ztna::base {

// "2026-01-31T23:59:59Z". Years 0 to 9999; others give the nearest of these years' text.
[[nodiscard]] inline std::string rfc3339(WallTime at) {
  constexpr std::int64_t first = -62167219200;  // 0000-01-01T00:00:00Z
  constexpr std::int64_t last = 253402300799;   // 9999-12-31T23:59:59Z
  const std::int64_t clamped = at.seconds < first ? first : at.seconds > last ? last : at.seconds;
  const std::chrono::sys_seconds instant{std::chrono::seconds(clamped)};
  const auto day = std::chrono::floor<std::chrono::days>(instant);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss<std::chrono::seconds> time(instant - day);
  char text[32];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02dZ", int{date.year()},
                unsigned{date.month()}, unsigned{date.day()},
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return text;
}

}  // namespace ztna::base
