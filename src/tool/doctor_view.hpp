// What `ztna doctor` found, for people and for programs. Pure.
#pragma once

#include <string>
#include <vector>

#include "tool/doctor_judge.hpp"

namespace ztna::tool {

// A line a finding, what to do below it, and the sum.
[[nodiscard]] std::string findings_text(const std::vector<Finding>& findings);
// [{"check", "status", "text", "todo"}]
[[nodiscard]] std::string findings_json(const std::vector<Finding>& findings);

}  // namespace ztna::tool
