// What `ztna validate` saw of a deployment, before anything is judged. Plain data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "proof/judge.hpp"
#include "tool/doctor_judge.hpp"
#include "tool/netcheck_run.hpp"
#include "tool/quality_view.hpp"

namespace ztna::tool {

// What came back from a service at an address of the Agent. Nothing at all: it has none.
struct ReachedFacts {
  std::optional<base::Address> local;
  std::optional<base::Error> error;
  // Of HTTP.
  unsigned http_status = 0;
  std::size_t octets = 0;
  double ms = 0;
  // Of a game: "arena, 2 of 8 players".
  std::string game;
};

// Round trips of questions and answers, in milliseconds, by the path of the answer.
struct RoundTrips {
  std::vector<double> direct, relay;
};

struct ProofFacts {
  std::optional<base::Error> error;   // nothing could be proven: no session
  std::vector<std::string> failures;  // why tests are missing
  std::optional<proof::Verdict> verdict;
};

struct ValidateFacts {
  std::string service;          // TCP, HTTP
  std::string game;             // UDP; empty: none is named
  std::vector<Finding> doctor;  // of this machine
  std::optional<NetcheckResult> network;
  std::optional<std::string>
      status;  // of the Agent, /v1/status, after all tests; nothing: no Agent
  ProofFacts proof;
  RoundTrips round_trips;  // while the proof was made
  ReachedFacts http, game_server;
  std::optional<Quality> quality;  // of the way to the game, or to the service
};

}  // namespace ztna::tool
