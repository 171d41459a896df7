// The CA folder's index of what was issued: index.jsonl, one JSON object a line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "identity/authority.hpp"

namespace ztna::tool {

struct IndexEntry {
  std::string serial;  // hexadecimal
  std::string spki;    // SHA-256, hexadecimal
  identity::Role role = identity::Role::agent;
  std::string name;
  std::vector<std::string> serve;
  base::WallTime not_after;
  bool revoked = false;
};

[[nodiscard]] IndexEntry to_entry(const identity::Issued& issued);

// `where` begins errors, which name the line.
[[nodiscard]] base::Result<std::vector<IndexEntry>> parse_index(std::string_view text,
                                                                const std::string& where);
[[nodiscard]] std::string format_index(const std::vector<IndexEntry>& entries);

// A JSON array for programs (`ztna ca list --json`), with "status" at `now`.
[[nodiscard]] std::string format_list_json(const std::vector<IndexEntry>& entries,
                                           base::WallTime now);
// A table for people.
[[nodiscard]] std::string format_list_table(const std::vector<IndexEntry>& entries,
                                            base::WallTime now);

}  // namespace ztna::tool
