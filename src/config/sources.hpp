// The three places a value can come from besides its default, each read into the same form. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "config/table.hpp"

namespace ztna::config {

enum class Source : std::uint8_t { initial, file, environment, flag };
[[nodiscard]] std::string_view to_string(Source source);  // "default", "file", …

struct Given {
  std::string text;
  std::string where;  // "--listen", "environment variable ZTNA_LISTEN", "a.toml:3:10: listen"
};
// By option name (never an alias).
using Values = std::map<std::string, std::vector<Given>, std::less<>>;

struct Flags {
  Values values;
  std::string config_file;
  bool help = false;
  bool version = false;
  bool print_config = false;
  bool json = false;
};
[[nodiscard]] base::Result<Flags> read_flags(const Table& table,
                                             const std::vector<std::string>& arguments);

// Only ZTNA_* and the aliases; appends to `warnings` what is ignored or looks like a slip.
[[nodiscard]] base::Result<Values> read_environment(const Table& table,
                                                    const Environment& environment,
                                                    std::vector<std::string>& warnings);

// The variables that the rows listen to, aliases included.
[[nodiscard]] std::vector<std::string> variables_of(const Table& table);

// `path` names the file in errors; relative paths in the file are taken from its folder.
[[nodiscard]] base::Result<Values> read_toml(const Table& table, const std::string& path,
                                             std::string_view text);

// Names, aliases included, for "did you mean".
[[nodiscard]] std::vector<std::string> names_of(const Table& table);

// "text", with ", did you mean …?" when a candidate is close.
[[nodiscard]] std::string with_suggestion(std::string text, std::string_view wrong,
                                          const std::vector<std::string>& candidates,
                                          std::string_view prefix = {});

}  // namespace ztna::config
