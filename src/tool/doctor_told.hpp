// What a daemon would be told by an environment and flags, as far as `ztna doctor` asks.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "identity/principal.hpp"

namespace ztna::tool {

struct UdpListener {
  std::string flag;
  base::Address address;
  bool dual_stack = false;
  bool may_lack = false;  // IPv6, where a machine may have none
};

struct Told {
  std::vector<base::Error> errors;  // values that are no values; they count as not given
  std::vector<base::Error> gaps;
  std::vector<std::string> warnings;
  std::vector<base::HostPort> intermediates;
  std::vector<std::string> services;  // named as offered or forwarded
  std::vector<UdpListener> listeners;
  config::IdentityFiles identity;
  std::string policy;   // of Intermediates and Connectors
  std::string control;  // empty: off, or nowhere to put it
  bool control_off = false;
};

// `inputs` lose the variables that hold errors. An error of the result is one of the flags.
[[nodiscard]] base::Result<Told> read_as(identity::Role role, config::Inputs& inputs);

}  // namespace ztna::tool
