// The questions of `ztna doctor` to the network. Blocking, each within its limit; for the command.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "tool/doctor_facts.hpp"

namespace ztna::tool {

// A line for people, when they have waited for a second.
using DoctorProgress = std::function<void(const std::string& line)>;
inline constexpr base::Duration progress_after = std::chrono::seconds(1);

// All names at the same time.
[[nodiscard]] std::vector<NameFacts> look_up(const std::vector<base::HostPort>& hosts,
                                             const DoctorProgress& progress);

// A STUN Binding request to every address of every name, at its port and at the second one (which
// answers correct), all at the same time.
[[nodiscard]] std::vector<AskedFacts> ask_by_udp(const std::vector<NameFacts>& names,
                                                 std::uint16_t second_port, base::Random& random,
                                                 const DoctorProgress& progress);

// Why a UDP port cannot be bound now; nothing when it can.
[[nodiscard]] std::optional<base::Error> why_not_bound(const base::Address& address,
                                                       bool dual_stack);

}  // namespace ztna::tool
