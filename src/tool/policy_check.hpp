// What `ztna policy check` answers, without a command line.
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "tool/context.hpp"

namespace ztna::tool {

struct CheckOptions {
  std::string policy;
  std::optional<std::string> agent, connector;  // names; neither: only validate the file
  std::string service;
  bool json = false;
};

// Prints the decisions with their rules, or a summary of the file. True: allowed, or valid.
// Revocation needs a key and certificates name services: neither is known here, so a Connector is
// taken to have a certificate for the service.
[[nodiscard]] base::Result<bool> check_policy(const CheckOptions& options, Context& context);

}  // namespace ztna::tool
