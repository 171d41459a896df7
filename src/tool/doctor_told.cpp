#include "tool/doctor_told.hpp"

#include <algorithm>

namespace ztna::tool {
namespace {

using identity::Role;

template <class Options>
Told common(const config::Parsed<Options>& parsed) {
  Told told;
  told.gaps = parsed.gaps;
  told.warnings = parsed.warnings;
  told.identity = parsed.options.common.identity;
  told.control = parsed.options.common.control;
  told.control_off =
      told.control.empty() &&
      std::ranges::find(told.gaps, "--control", &base::Error::where) == told.gaps.end();
  return told;
}

// The sockets of a node: bridge::NodeDriver binds the same.
template <class Options>
void add_listeners(const Options& options, Told& told) {
  const std::uint16_t port = options.p2p_listen_port;
  if (port == 0) return;
  const auto add = [&](const base::Address& address, bool may_lack) {
    told.listeners.push_back({"--p2p-listen-port", address, false, may_lack});
  };
  if (options.p2p_listen_address) return add(options.p2p_listen_address->with_port(port), false);
  add(base::Address::v4({}, port), false);
  add(base::Address::v6({}, port), true);
}

base::Result<Told> read_agent(const config::Inputs& inputs) {
  const auto parsed = config::parse_agent(inputs, {});
  if (!parsed) return tl::unexpected(parsed.error());
  Told told = common(*parsed);
  told.intermediates = parsed->options.intermediates;
  for (const config::Forward& forward : parsed->options.forwards) {
    told.services.push_back(forward.service);
  }
  add_listeners(parsed->options, told);
  return told;
}

base::Result<Told> read_connector(const config::Inputs& inputs) {
  const auto parsed = config::parse_connector(inputs, {});
  if (!parsed) return tl::unexpected(parsed.error());
  Told told = common(*parsed);
  told.policy = parsed->options.policy;
  told.intermediates = parsed->options.intermediates;
  for (const config::Service& service : parsed->options.services) {
    told.services.push_back(service.name);
  }
  add_listeners(parsed->options, told);
  return told;
}

base::Result<Told> read_intermediate(const config::Inputs& inputs) {
  const auto parsed = config::parse_intermediate(inputs, {});
  if (!parsed) return tl::unexpected(parsed.error());
  Told told = common(*parsed);
  told.policy = parsed->options.policy;
  for (const auto& [flag, addresses] : {std::pair{"--listen", parsed->options.listen},
                                        std::pair{"--alt-listen", parsed->options.alt_listen}}) {
    for (const base::Address& address : addresses) {
      if (address.port() != 0) told.listeners.push_back({flag, address, true, false});
    }
  }
  return told;
}

base::Result<Told> read_once(Role role, const config::Inputs& inputs) {
  switch (role) {
    case Role::intermediate: return read_intermediate(inputs);
    case Role::connector: return read_connector(inputs);
    case Role::agent: break;
  }
  return read_agent(inputs);
}

// Takes away what an error speaks of. False: it is a flag.
bool take_away(const base::Error& error, config::Environment& environment) {
  constexpr std::string_view place = "environment variable ";
  if (error.where.starts_with(place)) {
    const auto found = environment.find(error.where.substr(place.size()));
    if (found != environment.end()) return environment.erase(found), true;
  }
  // Else a place in the file that it names.
  return !error.where.starts_with("--") && environment.erase("ZTNA_CONFIG") != 0;
}

}  // namespace

base::Result<Told> read_as(Role role, config::Inputs& inputs) {
  std::vector<base::Error> errors;
  for (;;) {
    auto told = read_once(role, inputs);
    if (told) {
      told->errors = std::move(errors);
      return told;
    }
    if (!take_away(told.error(), inputs.environment)) return told;
    errors.push_back(told.error());
  }
}

}  // namespace ztna::tool
