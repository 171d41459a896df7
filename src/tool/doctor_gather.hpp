// Finds out what `ztna doctor` judges: reads what the daemon reads, asks the resolver, the
// Intermediates by UDP, the kernel and the daemon. Changes nothing. Blocking; for the command.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "identity/principal.hpp"
#include "tool/doctor_facts.hpp"
#include "tool/doctor_network.hpp"

namespace ztna::tool {

struct DoctorRequest {
  std::string env_file;  // empty: this process's environment alone
  std::optional<identity::Role> role;
  // What overrides the environment; empty: nothing.
  std::vector<std::string> intermediates;
  std::string cert_dir, policy, control;
  std::string version;  // of this tool
  DoctorProgress on_progress;
};

// Errors: the request itself cannot be understood, or its file not be read.
[[nodiscard]] base::Result<DoctorFacts> gather(const DoctorRequest& request, base::Random& random,
                                               base::WallTime now);

}  // namespace ztna::tool
