// Precedence: the strongest source that speaks gives an option its whole value; lists are never
// joined across sources. Pure but for what Inputs brings along.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "config/sources.hpp"

namespace ztna::config {

struct Setting {
  Source source = Source::initial;
  std::vector<Given> values;
};

struct Merged {
  std::optional<std::string> print;  // --help or --version
  bool print_config = false;
  bool json = false;
  std::string config_file;
  std::map<std::string, Setting, std::less<>> settings;  // every row of the table
  std::vector<std::string> warnings;

  // Was it given at all?
  [[nodiscard]] bool has(std::string_view option) const;
  // The place of `option`'s value, for an error about it; "--option" when it has none.
  [[nodiscard]] std::string where(std::string_view option) const;
};

// Reads all sources and calls `set` of every row that a source speaks for.
[[nodiscard]] base::Result<Merged> merge(const Table& table, const Program& program,
                                         const Inputs& inputs, std::string_view version);

[[nodiscard]] std::string help_text(const Table& table, const Program& program);

// The effective values with their sources: TOML that --config reads again, or JSON.
[[nodiscard]] std::string config_text(const Table& table, const Merged& merged);

}  // namespace ztna::config
