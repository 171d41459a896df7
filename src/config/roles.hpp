// What the three programs' tables and resolutions share.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/merge.hpp"
#include "config/options.hpp"
#include "config/table.hpp"

namespace ztna::config {

// --cert-dir, --cert, --key, --ca; of a `node` (no Intermediate) also the aliases --p2p-cert and
// --p2p-key, and --public-roots.
void add_identity(Table& table, std::string& directory, IdentityFiles& files, bool node);
void add_policy(Table& table, std::string& policy);
void add_intermediates(Table& table, std::vector<base::HostPort>& intermediates);
// --p2p-listen-address
void add_listen_address(Table& table, std::optional<base::Address>& address);
// --health, --control, --audit-log, --log-level, --log-format
void add_operations(Table& table, CommonOptions& common);

// Fills in what follows from other options and from the machine: certificate paths, the policy
// beside them (unless null), the control socket. Notes the results in `merged`.
struct Resolution {
  std::string_view role;
  const Inputs& inputs;
  const std::string& directory;
  CommonOptions& common;
  std::string* policy;
};
// What is missing for that, the first first.
[[nodiscard]] std::vector<base::Error> resolve(const Resolution& resolution, Merged& merged);

// The variables of each program's options.
[[nodiscard]] std::vector<std::string> intermediate_variables();
[[nodiscard]] std::vector<std::string> connector_variables();
[[nodiscard]] std::vector<std::string> agent_variables();

// validate()'s error, moved from the flag to the place that gave the value.
[[nodiscard]] base::Error relocated(base::Error error, const Merged& merged);

// What no user text may do to a line.
[[nodiscard]] base::Error printable(base::Error error);

// The common end of parse_*(): `gaps` are what the role's own resolution misses.
template <class Options>
base::Result<Parsed<Options>> finish(const Table& table, const Inputs& inputs, Merged merged,
                                     std::vector<base::Error> gaps, Options options,
                                     std::vector<std::string> cautions) {
  if (gaps.empty() || inputs.partial) {
    if (const auto valid = validate(options); !valid) gaps.push_back(valid.error());
  }
  for (base::Error& gap : gaps) gap = printable(relocated(std::move(gap), merged));
  if (!gaps.empty() && !inputs.partial) return tl::unexpected(gaps.front());
  Parsed<Options> parsed;
  parsed.gaps = std::move(gaps);
  if (merged.print_config) parsed.print = config_text(table, merged);
  parsed.warnings = std::move(merged.warnings);
  parsed.warnings.insert(parsed.warnings.end(), cautions.begin(), cautions.end());
  options.common.config_file = merged.config_file;
  parsed.options = std::move(options);
  return parsed;
}

// --help and --version end before anything is resolved.
template <class Options>
base::Result<Parsed<Options>> printed(std::string text) {
  Parsed<Options> parsed;
  parsed.print = std::move(text);
  return parsed;
}

}  // namespace ztna::config
