// Runs the NAT survey of src/nat over real sockets, IPv4 and IPv6 at the same time. Blocking; for
// the command.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "nat/survey.hpp"

namespace ztna::tool {

struct NetcheckFamily {
  base::Family family = base::Family::v4;
  std::vector<base::Address> servers;  // empty: no Intermediate has an address of this family
  bool machine_has = true;             // does this machine have an address of it?
  nat::SurveyReport report;
};

struct NetcheckResult {
  std::vector<base::HostPort> intermediates;
  std::vector<std::string> unknown_hosts;  // that no resolver knew
  NetcheckFamily v4{base::Family::v4, {}, true, {}};
  NetcheckFamily v6{base::Family::v6, {}, true, {}};
  bool lifetime_asked = false;

  [[nodiscard]] bool udp() const { return v4.report.udp() || v6.report.udp(); }
};

struct NetcheckRequest {
  std::vector<base::HostPort> intermediates;
  base::Duration longest_lifetime{};             // 0: not measured
  std::function<void(std::string)> on_progress;  // one line for people
};

// Errors: no socket can be made.
[[nodiscard]] base::Result<NetcheckResult> run_netcheck(const NetcheckRequest& request,
                                                        base::Random& random);

}  // namespace ztna::tool
