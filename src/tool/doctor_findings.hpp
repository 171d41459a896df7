// The parts of judge(), by what they look at. For doctor_*.cpp.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tool/doctor_judge.hpp"

namespace ztna::tool {

using Findings = std::vector<Finding>;

inline Finding ok(std::string check, std::string text) {
  return {std::move(check), Verdict::ok, std::move(text), {}};
}
inline Finding warning(std::string check, std::string text, std::string todo) {
  return {std::move(check), Verdict::warning, std::move(text), std::move(todo)};
}
inline Finding problem(std::string check, std::string text, std::string todo) {
  return {std::move(check), Verdict::problem, std::move(text), std::move(todo)};
}
inline Finding skipped(std::string check, std::string text) {
  return {std::move(check), Verdict::skipped, std::move(text), {}};
}

// "web, quake"
[[nodiscard]] std::string listed(const std::vector<std::string>& names,
                                 std::string_view between = ", ");
// "ztna-agent"
[[nodiscard]] std::string program_of(identity::Role role);

void judge_network(const DoctorFacts& facts, Findings& out);   // dns, udp, udp-alt
void judge_identity(const DoctorFacts& facts, Findings& out);  // certificate, key, trust, names
void judge_policy(const DoctorFacts& facts, Findings& out);
// p2p-port, daemon, version, uplink, service
void judge_daemon(const DoctorFacts& facts, Findings& out);

}  // namespace ztna::tool
