// What is right on this machine, what is not, and what to do about it. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tool/doctor_facts.hpp"

namespace ztna::tool {

enum class Verdict : std::uint8_t { ok, warning, problem, skipped };
[[nodiscard]] std::string_view to_string(Verdict verdict);

struct Finding {
  std::string check;  // "env", "dns", "udp" …
  Verdict verdict = Verdict::ok;
  std::string text;
  std::string todo;  // empty: nothing
};

// In the order in which a person repairs: what stands first may be the cause of what follows.
[[nodiscard]] std::vector<Finding> judge(const DoctorFacts& facts);

// Text that stands in for a value: "<cloud-ip>".
[[nodiscard]] bool is_placeholder(std::string_view value);

}  // namespace ztna::tool
