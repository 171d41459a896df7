// The sequence of `ztna prove`: drives a live session through the steps of a proof and collects
// what its three nodes state at each. Blocking; the world is handed in.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "proof/report.hpp"

namespace ztna::tool {

// What the sequence needs of the world.
struct ProveWorld {
  // Asks the Agent ("GET", "/v1/ping?service=web"); the body of its answer.
  std::function<base::Result<std::string>(const std::string& method, const std::string& target)>
      ask;
  std::function<base::Time()> now;
  std::function<void(base::Duration)> pause;
  std::function<void(const std::string&)> progress;  // one line for people
};

// What ties the statements of one run together.
[[nodiscard]] std::string make_proof_nonce(base::Random& random);

struct ProvePlan {
  std::string service;
  std::string nonce;
  std::uint64_t packets = 20;
};

// The report, as far as it got; what kept it from going on is in its failures. An error: there is
// no session to speak of, or no Agent.
[[nodiscard]] base::Result<proof::Report> run_prove(const ProveWorld& world, const ProvePlan& plan);

}  // namespace ztna::tool
