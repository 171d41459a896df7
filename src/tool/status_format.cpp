#include "tool/status_format.hpp"

#include <array>
#include <cstdio>

namespace ztna::tool {
namespace {

std::string with_digits(double value, int digits, const char* unit) {
  return format_fixed(value, digits) + " " + unit;
}

std::string two_units(std::uint64_t major, const char* major_unit, std::uint64_t minor,
                      const char* minor_unit) {
  std::string text = std::to_string(major) + " " + major_unit;
  if (minor != 0) text += " " + std::to_string(minor) + " " + minor_unit;
  return text;
}

}  // namespace

std::string format_fixed(double value, int digits) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

std::string format_count(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string format_octets(std::uint64_t octets) {
  if (octets < 1000) return std::to_string(octets) + " B";
  static constexpr std::array<const char*, 4> units = {"KB", "MB", "GB", "TB"};
  double value = static_cast<double>(octets) / 1000;
  std::size_t unit = 0;
  // What would be shown as 1000.0 belongs to the next unit.
  while (value >= 999.95 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  return with_digits(value, 1, units[unit]);
}

std::string format_ms(double milliseconds) {
  if (milliseconds < 0) return "-";
  if (milliseconds >= 1000) return with_digits(milliseconds / 1000, 1, "s");
  return with_digits(milliseconds, milliseconds < 1 ? 2 : milliseconds < 10 ? 1 : 0, "ms");
}

std::string format_age(std::uint64_t seconds) {
  constexpr std::uint64_t minute = 60, hour = 60 * minute, day = 24 * hour;
  if (seconds < minute) return std::to_string(seconds) + " s";
  if (seconds < hour) return std::to_string(seconds / minute) + " m";
  if (seconds < day) return two_units(seconds / hour, "h", seconds % hour / minute, "m");
  return two_units(seconds / day, "d", seconds % day / hour, "h");
}

}  // namespace ztna::tool
