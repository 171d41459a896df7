// How well a way carries a game: what datagrams that went there and back tell. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace ztna::tool {

struct QualitySample {
  double at_ms = 0;  // since the measurement began
  bool direct = false;
  std::optional<double> rtt_ms;  // none: lost
};

// What one answer of the Agent brings.
struct QualityRound {
  std::string connector;               // its name
  std::vector<QualitySample> samples;  // at_ms: since the first of them
  std::string failure;                 // why there is no more, or nothing
  bool final = false;                  // asking again cannot help: policy, or no such service
};
[[nodiscard]] base::Result<QualityRound> read_quality(const std::string& document);

// The classes of ping, jitter and loss in which people grade connections for games.
enum class Grade { excellent, good, acceptable, poor };
[[nodiscard]] std::string_view to_string(Grade grade);                  // "Excellent" …
[[nodiscard]] std::optional<Grade> parse_grade(std::string_view text);  // any case
// "ping < 40 ms, jitter < 5 ms, no loss"
[[nodiscard]] std::string limits_text(Grade grade);

// Milliseconds; 0 where nothing came back.
struct QualityFigures {
  std::size_t sent = 0, lost = 0;
  double p50 = 0, p95 = 0, p99 = 0;  // of the round trips that came back
  double jitter = 0;                 // mean difference of one round trip to the next
  [[nodiscard]] double loss_percent() const;
  [[nodiscard]] Grade grade() const;
};
// Of all, or of those that left by one kind of path.
[[nodiscard]] QualityFigures figures_of(const std::vector<QualitySample>& samples,
                                        std::optional<bool> direct = std::nullopt);

struct QualitySwitch {
  double at_ms = 0;
  bool to_direct = false;
};
[[nodiscard]] std::vector<QualitySwitch> switches_of(const std::vector<QualitySample>& samples);

}  // namespace ztna::tool
