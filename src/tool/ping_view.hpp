// One round trip, as `ztna ping` shows it. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace ztna::tool {

struct PingAnswer {
  bool answered = false;
  bool direct = false;
  bool final = false;  // asking again cannot help: policy, or no such service
  double rtt_ms = 0;
  std::string line;  // for people, without its end
  std::string json;  // the same for programs
};

// `document` is the Agent's answer to the question number `seq`.
[[nodiscard]] base::Result<PingAnswer> read_ping(std::uint64_t seq, const std::string& document);

class PingTotals {
 public:
  void add(const PingAnswer& answer);
  [[nodiscard]] std::uint64_t answered() const { return answered_; }
  // "3 asked, 3 answered (2 direct), round trip min / mean / max 0.31 / 0.35 / 0.4 ms"
  [[nodiscard]] std::string text() const;

 private:
  std::uint64_t asked_ = 0, answered_ = 0, direct_ = 0;
  double least_ms_ = 0, most_ms_ = 0, sum_ms_ = 0;
};

}  // namespace ztna::tool
