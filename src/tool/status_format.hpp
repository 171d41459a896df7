// Quantities as people read them. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace ztna::tool {

[[nodiscard]] std::string format_fixed(double value, int digits);  // "0.31"
[[nodiscard]] std::string format_count(std::uint64_t count);       // "1,234,567"
[[nodiscard]] std::string format_octets(std::uint64_t octets);     // "999 B", "1.5 KB", "2.0 GB"
[[nodiscard]] std::string format_ms(double milliseconds);          // "0.31 ms", "12 ms", "2.5 s"
[[nodiscard]] std::string format_age(std::uint64_t seconds);  // "12 s", "3 m", "2 h 5 m", "3 d 4 h"

}  // namespace ztna::tool
