// Log lines of a program, to standard error, as text or JSON. For shells and main() only: engines
// return events and never log.
//
//   logging::info("Path selected: RELAY (peer: relay.example:4433)",
//                 {{"session", id.short_hex()}, {"reason", "start"}, {"rtt_ms", 3.2}});
//
// Nothing here throws. Standard error may be a pipe whose reader is stuck: a line waits 50 ms for
// it at most, then lines are dropped and counted until it drains. Any thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>

#include "base/time.hpp"
#include "logging/field.hpp"
#include "logging/level.hpp"

namespace ztna::logging {

// Before the first init() messages go out as text from level info on. May be called again.
void init(Level level, Format format, std::string_view program) noexcept;

[[nodiscard]] bool enabled(Level level) noexcept;

// Longer lines than 4000 octets are cut.
void log(Level level, std::string_view message, std::initializer_list<Field> fields = {}) noexcept;
// The same for fields that are counted at run time.
void log_fields(Level level, std::string_view message, std::span<const Field> fields) noexcept;

inline void error(std::string_view message, std::initializer_list<Field> fields = {}) noexcept {
  log(Level::error, message, fields);
}
inline void warn(std::string_view message, std::initializer_list<Field> fields = {}) noexcept {
  log(Level::warn, message, fields);
}
inline void info(std::string_view message, std::initializer_list<Field> fields = {}) noexcept {
  log(Level::info, message, fields);
}
inline void debug(std::string_view message, std::initializer_list<Field> fields = {}) noexcept {
  log(Level::debug, message, fields);
}

// Lets one message through each interval and counts the others: for what a peer can cause often.
class Throttle {
 public:
  explicit Throttle(base::Duration interval) : interval_(interval) {}

  // The number suppressed since the last one that passed, or nothing: suppress this one too.
  [[nodiscard]] std::optional<std::uint64_t> pass(base::Time now) {
    if (last_ && now - *last_ < interval_) {
      ++suppressed_;
      return std::nullopt;
    }
    last_ = now;
    return std::exchange(suppressed_, 0);
  }

 private:
  base::Duration interval_;
  std::optional<base::Time> last_;
  std::uint64_t suppressed_ = 0;
};

// log() through a Throttle; says suppressed=N when others were held back.
void log(Throttle& throttle, base::Time now, Level level, std::string_view message,
         std::initializer_list<Field> fields = {}) noexcept;

}  // namespace ztna::logging
