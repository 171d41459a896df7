#include "nat/behaviour.hpp"

#include <algorithm>

namespace ztna::nat {
namespace {

using base::Address;

bool same_ip(const Address& a, const Address& b) { return a.with_port(0) == b.with_port(0); }

// What pairs of observations of one socket show: whether two destinations that differ only in their
// port, or in their IP, were seen, and whether the mapped addresses differed then.
struct Comparison {
  bool ports_compared = false, ports_differ = false;
  bool ips_compared = false, ips_differ = false;
};

void compare(const MappingSeen& a, const MappingSeen& b, Comparison& result) {
  if (a.socket != b.socket || a.server == b.server) return;
  const bool differ = a.mapped != b.mapped;
  if (same_ip(a.server, b.server)) {
    result.ports_compared = true;
    result.ports_differ |= differ;
  } else {
    result.ips_compared = true;
    result.ips_differ |= differ;
  }
}

Dependence mapping_of(const std::vector<MappingSeen>& seen) {
  if (seen.empty()) return Dependence::unknown;
  if (std::ranges::all_of(seen, [](const MappingSeen& m) { return m.mapped == m.local; })) {
    return Dependence::none;
  }
  Comparison found;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    for (std::size_t j = i + 1; j < seen.size(); ++j) compare(seen[i], seen[j], found);
  }
  if (found.ports_differ) return Dependence::address_and_port_dependent;
  if (found.ips_differ) {
    return found.ports_compared ? Dependence::address_dependent
                                : Dependence::address_or_port_dependent;
  }
  if (found.ips_compared) return Dependence::endpoint_independent;
  return found.ports_compared ? Dependence::independent_or_address_dependent : Dependence::unknown;
}

// RFC 5780 §4.4. Where a server has one IP only, an answer from its other port tells less.
Dependence filtering_of(const std::vector<FilterSeen>& seen) {
  bool asked_other_ip = false, asked_other_port = false;
  bool let_other_ip = false, let_other_port = false;
  for (const FilterSeen& each : seen) {
    if (each.other_ip) {
      asked_other_ip = true;
      let_other_ip |= each.answered;
    } else if (each.other_port) {
      asked_other_port = true;
      let_other_port |= each.answered;
    }
  }
  if (let_other_ip) return Dependence::endpoint_independent;
  if (asked_other_port && !let_other_port) return Dependence::address_and_port_dependent;
  if (let_other_port) {
    return asked_other_ip ? Dependence::address_dependent
                          : Dependence::independent_or_address_dependent;
  }
  return asked_other_ip ? Dependence::address_or_port_dependent : Dependence::unknown;
}

std::string sign_of_carrier(const std::vector<MappingSeen>& seen) {
  for (const MappingSeen& each : seen) {
    if (is_shared_address(each.mapped)) {
      return each.mapped.ip() + " is an address of a carrier's inner network (100.64.0.0/10)";
    }
    if (is_shared_address(each.local) && each.mapped != each.local) {
      return "this machine has " + each.local.ip() +
             ", of a carrier's inner network (100.64.0.0/10)";
    }
    if (each.mapped.with_port(0) != seen.front().mapped.with_port(0)) {
      return "seen as " + seen.front().mapped.ip() + " and as " + each.mapped.ip() +
             ": a pool of public addresses";
    }
  }
  return {};
}

void name_open_questions(Behaviour& behaviour) {
  const auto add = [&](const char* text) { behaviour.open_questions.emplace_back(text); };
  switch (behaviour.mapping) {
    case Dependence::unknown:
      add("could not tell on what mappings depend: needs a second address or port that answers");
      break;
    case Dependence::independent_or_address_dependent:
      add("could not tell endpoint-independent from address-dependent mapping: needs a second "
          "address of the Intermediate, or a second Intermediate");
      break;
    case Dependence::address_or_port_dependent:
      add("could not tell address- from port-dependent mapping: needs a second port that answers");
      break;
    default: break;
  }
  switch (behaviour.filtering) {
    case Dependence::unknown:
      add("could not tell what is filtered: needs an Intermediate with a second port that answers");
      break;
    case Dependence::independent_or_address_dependent:
      add("could not tell endpoint-independent from address-dependent filtering: needs an "
          "Intermediate with a second address");
      break;
    case Dependence::address_or_port_dependent:
      add("could not tell address- from port-dependent filtering: needs a second port that "
          "answers");
      break;
    default: break;
  }
}

// The filter's part of a cone's name.
std::string_view cone(Dependence filtering) {
  switch (filtering) {
    case Dependence::endpoint_independent: return "full cone NAT";
    case Dependence::independent_or_address_dependent: return "full or restricted cone NAT";
    case Dependence::address_dependent: return "restricted cone NAT";
    case Dependence::address_or_port_dependent: return "restricted or port-restricted cone NAT";
    case Dependence::address_and_port_dependent: return "port-restricted cone NAT";
    default: return "cone NAT of unknown kind";
  }
}

std::string_view without_nat(Dependence filtering) {
  switch (filtering) {
    case Dependence::endpoint_independent: return "no NAT, open to all";
    case Dependence::independent_or_address_dependent: return "no NAT, no port-dependent firewall";
    case Dependence::address_dependent: return "no NAT, address-dependent firewall";
    case Dependence::address_or_port_dependent: return "no NAT, stateful firewall";
    case Dependence::address_and_port_dependent: return "no NAT, port-dependent firewall";
    default: return "no NAT";
  }
}

}  // namespace

std::string_view to_string(Dependence dependence) {
  switch (dependence) {
    case Dependence::unknown: return "unknown";
    case Dependence::none: return "no NAT";
    case Dependence::endpoint_independent: return "endpoint-independent";
    case Dependence::independent_or_address_dependent:
      return "endpoint-independent or address-dependent";
    case Dependence::address_dependent: return "address-dependent";
    case Dependence::address_or_port_dependent:
      return "address-dependent or address-and-port-dependent";
    case Dependence::address_and_port_dependent: return "address-and-port-dependent";
  }
  return "unknown";
}

bool is_shared_address(const Address& address) {
  return address.is_v4() && address.prefix(10) == Address::v4({100, 64, 0, 0}, 0);
}

Behaviour classify(const Observations& observations) {
  Behaviour behaviour;
  behaviour.mapping = mapping_of(observations.mappings);
  behaviour.filtering = filtering_of(observations.filters);
  if (!observations.mappings.empty() && behaviour.mapping != Dependence::none) {
    behaviour.preserves_ports = std::ranges::all_of(
        observations.mappings,
        [](const MappingSeen& seen) { return seen.mapped.port() == seen.local.port(); });
    behaviour.hairpins = observations.hairpin;
    behaviour.carrier_grade_sign = sign_of_carrier(observations.mappings);
    behaviour.carrier_grade = !behaviour.carrier_grade_sign.empty();
  }
  if (!observations.mappings.empty()) name_open_questions(behaviour);
  return behaviour;
}

std::string common_name(const Behaviour& behaviour) {
  switch (behaviour.mapping) {
    case Dependence::unknown: return "unknown";
    case Dependence::none: return std::string(without_nat(behaviour.filtering));
    case Dependence::endpoint_independent: return std::string(cone(behaviour.filtering));
    case Dependence::independent_or_address_dependent:
      return std::string(cone(behaviour.filtering)) + ", or symmetric by address";
    case Dependence::address_dependent:
    case Dependence::address_or_port_dependent:
    case Dependence::address_and_port_dependent: return "symmetric NAT";
  }
  return "unknown";
}

}  // namespace ztna::nat
