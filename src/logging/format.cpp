#include "logging/format.hpp"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/bytes.hpp"

namespace ztna::logging {
namespace {

struct CodePoint {
  char32_t value = 0;
  std::size_t size = 0;  // 0: not UTF-8
};

// RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF.
CodePoint decode(std::string_view text) {
  const auto octet = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = octet(0);
  if (first < 0x80) return {first, 1};
  const std::size_t size = first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
  if (size == 0 || text.size() < size) return {};
  static constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
  char32_t value = first & (0xff >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if (octet(i) >> 6 != 2) return {};
    value = value << 6 | (octet(i) & 0x3f);
  }
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < least[size] || surrogate || value > 0x10ffff) return {};
  return {value, size};
}

// Line and paragraph separators, and marks that reorder the text around them.
bool is_deceptive(char32_t c) {
  return (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

std::string code_point_escape(char32_t c) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "\\u{%x}", static_cast<unsigned>(c));
  return text.data();
}

std::string octet_escape(std::uint8_t octet) {
  if (octet == '\n') return "\\n";
  if (octet == '\r') return "\\r";
  if (octet == '\t') return "\\t";
  return "\\x" + base::to_hex({&octet, 1});
}

const char* level_name(Level level) {
  switch (level) {
    case Level::debug: return "debug";
    case Level::info: return "info";
    case Level::warn: return "warn";
    case Level::error: return "error";
  }
  return "info";
}

// Five columns, so that messages stand below each other.
const char* level_column(Level level) {
  switch (level) {
    case Level::debug: return "DEBUG";
    case Level::info: return "INFO ";
    case Level::warn: return "WARN ";
    case Level::error: return "ERROR";
  }
  return "INFO ";
}

std::string text_value(const std::string& raw) {
  if (!raw.empty() && raw.find_first_of(" \t\r\n\"=\\") == std::string::npos) return escaped(raw);
  std::string out = "\"";
  for (std::size_t at = 0; at < raw.size();) {
    const std::size_t special = std::min(raw.find_first_of("\"\\", at), raw.size());
    out += escaped(std::string_view(raw).substr(at, special - at));
    if (special < raw.size()) out += {'\\', raw[special]};
    at = special + 1;
  }
  return out + "\"";
}

std::string text_value(double number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", number);
  return text.data();
}
std::string text_value(bool flag) { return flag ? "true" : "false"; }
std::string text_value(std::int64_t number) { return std::to_string(number); }
std::string text_value(std::uint64_t number) { return std::to_string(number); }

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = decode(text);
    const std::size_t size = point.size == 0 ? 1 : point.size;
    if (point.size == 0 || point.value < 0x20 || point.value == 0x7f) {
      out += octet_escape(static_cast<std::uint8_t>(text[0]));
    } else if ((point.value >= 0x80 && point.value < 0xa0) || is_deceptive(point.value)) {
      out += code_point_escape(point.value);
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  return out;
}

std::string text_line(Level level, std::string_view program, std::string_view message,
                      std::span<const Field> fields) {
  std::string line = level_column(level);
  line += " " + std::string(program) + "  " + escaped(message);
  for (const Field& field : fields) {
    line += " " + std::string(field.key) + "=";
    line += std::visit([](const auto& value) { return text_value(value); }, field.value);
  }
  return line;
}

std::string json_rest(Level level, std::string_view program, std::string_view message,
                      std::span<const Field> fields) {
  nlohmann::ordered_json object;
  object["level"] = level_name(level);
  object["program"] = program;
  object["message"] = escaped(message);
  for (const Field& field : fields) {
    auto& member = object[std::string(field.key)];
    if (const auto* text = std::get_if<std::string>(&field.value)) {
      member = escaped(*text);
    } else {
      std::visit([&](const auto& value) { member = value; }, field.value);
    }
  }
  return object.dump().substr(1);
}

}  // namespace ztna::logging
