// What `ztna validate` found, for people, for programs and for the record. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/time.hpp"
#include "tool/validate_judge.hpp"

namespace ztna::tool {

// Each criterion with its evidence and what to do below it, and the sum.
[[nodiscard]] std::string criteria_text(const std::vector<Criterion>& criteria);
// {"criteria": [{"part", "text", "standing", "evidence", "todo"}], "met", "not_met", "open"}
[[nodiscard]] std::string criteria_json(const std::vector<Criterion>& criteria);
// A section of Markdown: check boxes in a table, to append to a file. `name`: of the deployment.
[[nodiscard]] std::string criteria_record(const std::vector<Criterion>& criteria,
                                          const std::string& name, base::WallTime at);

}  // namespace ztna::tool
