// Runs what `ztna validate` judges, one after the other: doctor, netcheck, a proof, a fetch, a
// question to the game, a measurement of quality. Blocking; for the command.
#pragma once

#include <functional>
#include <string>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "tool/validate_facts.hpp"

namespace ztna::tool {

struct ValidateRequest {
  std::string env_file;       // empty: this process's environment alone
  std::string service, game;  // empty: SERVICE_ID and GAME_SERVICE_ID of the environment
  std::string control;        // empty: the usual socket
  unsigned quality_seconds = 10;
  std::string version;  // of this tool
  std::function<void(const std::string& line)> on_progress;
};

// Errors: the request itself cannot be understood, or names no service. What a deployment lacks is
// in the facts.
[[nodiscard]] base::Result<ValidateFacts> gather(const ValidateRequest& request,
                                                 base::Random& random, base::WallTime now);

}  // namespace ztna::tool
