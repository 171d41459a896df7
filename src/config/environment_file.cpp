#include <algorithm>

#include "config/config.hpp"
#include "config/values.hpp"

namespace ztna::config {
namespace {

constexpr std::string_view blanks = " \t\r";

bool is_variable_name(std::string_view text) {
  const auto is_letter = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
  };
  return !text.empty() && is_letter(text.front()) &&
         std::ranges::all_of(text, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

// The value without its quotes; `slip` says what not every reader takes the same way.
std::string unquoted(std::string_view text, std::string& slip) {
  if (text.empty()) return {};
  const char quote = text.front();
  if (quote != '"' && quote != '\'') {
    if (text.find_first_of(blanks) != std::string_view::npos) {
      slip = "has a blank in its value, and a comment is part of it, too; expected quotes";
    }
    return std::string(text);
  }
  const auto end = text.find(quote, 1);
  if (end == std::string_view::npos || end + 1 != text.size()) {
    slip = "has a quote that does not end with the line";
  }
  return std::string(text.substr(1, end == std::string_view::npos ? end : end - 1));
}

}  // namespace

EnvironmentFile parse_environment_file(std::string_view text) {
  EnvironmentFile file;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view raw = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view line = trimmed(raw);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    const auto slip = [&](std::string what) { file.slips.push_back({number, std::move(what)}); };
    if (raw.ends_with('\r')) slip("ends with a carriage return, expected Unix line ends");
    const auto equals = line.find('=');
    const std::string_view name = line.substr(0, std::min(equals, line.size()));
    if (equals == std::string_view::npos || !is_variable_name(name)) {
      slip(in_quotes(line) + " is not NAME=VALUE, with nothing around the =");
      continue;
    }
    std::string odd;
    file.entries.push_back({std::string(name), unquoted(line.substr(equals + 1), odd), number});
    if (!odd.empty()) slip(std::string(name) + " " + odd);
  }
  return file;
}

}  // namespace ztna::config
