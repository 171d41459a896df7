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

// --cert-dir, --cert, --key, --ca; with `p2p_names` the aliases --p2p-cert and --p2p-key.
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
[[nodiscard]] base::Status resolve(const Resolution& resolution, Merged& merged);

// validate()'s error, moved from the flag to the place that gave the value.
[[nodiscard]] base::Error relocated(base::Error error, const Merged& merged);

// What no user text may do to a line.
[[nodiscard]] base::Error printable(base::Error error);

// The common end of parse_*(): `resolved` is the outcome of the role's own resolution.
template <class Options>
base::Result<Parsed<Options>> finish(const Table& table, Merged merged, base::Status resolved,
                                     Options options, std::vector<std::string> cautions) {
  if (resolved) resolved = validate(options);
  if (!resolved) return tl::unexpected(printable(relocated(resolved.error(), merged)));
  Parsed<Options> parsed;
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
