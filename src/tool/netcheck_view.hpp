// What `ztna netcheck` found, for people, for programs and for the record. Pure.
#pragma once

#include <string>

#include "base/time.hpp"
#include "tool/netcheck_run.hpp"

namespace ztna::tool {

[[nodiscard]] std::string netcheck_text(const NetcheckResult& result);
// One JSON object on one line.
[[nodiscard]] std::string netcheck_json(const NetcheckResult& result);

struct NetcheckRecord {
  std::string name = {};    // of the network; empty: its public address
  std::string router = {};  // make and model; empty: not told
  base::WallTime at = {};
  // Of the daemon that runs here, now.
  std::size_t sessions = 0, direct_sessions = 0;
};
// A section of Markdown to append to nat-classification.md.
[[nodiscard]] std::string netcheck_record(const NetcheckResult& result,
                                          const NetcheckRecord& record);

}  // namespace ztna::tool
