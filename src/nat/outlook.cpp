#include "nat/outlook.hpp"

#include <array>

namespace ztna::nat {
namespace {

// One pure kind. Whether a dependent mapping depends on the port too makes no difference here: a
// peer's address is not the Intermediate's, so both give it a mapping of its own.
struct Kind {
  bool independent = true;  // mapping; also without a NAT
  Dependence filtering = Dependence::unknown;
};

// Does A's packet, sent to the address that the Intermediate sees of B, reach B, which sends to A's
// likewise?
bool arrives(const Kind& a, const Kind& b) {
  if (b.filtering == Dependence::endpoint_independent) return true;
  // B's mapping towards the Intermediate has sent to A only if B uses it for everyone; and A comes
  // from the port that B sent to only if A does so too.
  return b.independent && (a.independent || b.filtering == Dependence::address_dependent);
}

// ... and does B's answer, from B's mapping towards A, reach A, which has sent to the one that the
// Intermediate sees?
bool answered(const Kind& a, const Kind& b) {
  return b.independent || a.filtering != Dependence::address_and_port_dependent;
}

bool punches(const Kind& a, const Kind& b) {
  return (arrives(a, b) && answered(a, b)) || (arrives(b, a) && answered(b, a));
}

std::vector<Dependence> possible_filters(Dependence filtering) {
  using enum Dependence;
  switch (filtering) {
    case independent_or_address_dependent: return {endpoint_independent, address_dependent};
    case address_or_port_dependent: return {address_dependent, address_and_port_dependent};
    case unknown:
    case none: return {endpoint_independent, address_dependent, address_and_port_dependent};
    default: return {filtering};
  }
}

// Every pure kind that the observations allow.
std::vector<Kind> possible(const Behaviour& behaviour) {
  std::vector<bool> mappings;
  switch (behaviour.mapping) {
    case Dependence::none:
    case Dependence::endpoint_independent: mappings = {true}; break;
    case Dependence::unknown:
    case Dependence::independent_or_address_dependent: mappings = {true, false}; break;
    default: mappings = {false};
  }
  std::vector<Kind> kinds;
  for (const bool independent : mappings) {
    for (const Dependence filter : possible_filters(behaviour.filtering)) {
      kinds.push_back({independent, filter});
    }
  }
  return kinds;
}

struct Peer {
  const char* name;
  Dependence mapping, filtering;
};

constexpr std::array<Peer, 5> peers = {
    {{"no NAT, or a port forward", Dependence::none, Dependence::endpoint_independent},
     {"full cone NAT", Dependence::endpoint_independent, Dependence::endpoint_independent},
     {"restricted cone NAT", Dependence::endpoint_independent, Dependence::address_dependent},
     {"port-restricted cone NAT", Dependence::endpoint_independent,
      Dependence::address_and_port_dependent},
     {"symmetric NAT", Dependence::address_and_port_dependent,
      Dependence::address_and_port_dependent}}};

std::string sentence(Outcome outcome, const Behaviour& own) {
  switch (outcome) {
    case Outcome::direct: return "Expect a direct path.";
    case Outcome::relay:
      return "Expect the relay: neither side can know the port that the other's NAT will use.";
    case Outcome::open: break;
  }
  return own.mapping == Dependence::unknown
             ? "Cannot be told: how this network maps ports is not known."
             : "Direct or relay: it depends on what could not be told.";
}

}  // namespace

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::direct: return "direct";
    case Outcome::relay: return "relay";
    case Outcome::open: return "open";
  }
  return "open";
}

Outcome outcome(const Behaviour& one, const Behaviour& other) {
  bool always = true, never = true;
  for (const Kind& a : possible(one)) {
    for (const Kind& b : possible(other)) {
      const bool direct = punches(a, b);
      always = always && direct;
      never = never && !direct;
    }
  }
  return always ? Outcome::direct : never ? Outcome::relay : Outcome::open;
}

std::vector<Outlook> outlooks(const Behaviour& own, bool udp) {
  std::vector<Outlook> all;
  for (const Peer& peer : peers) {
    Behaviour theirs;
    theirs.mapping = peer.mapping;
    theirs.filtering = peer.filtering;
    if (udp) {
      const Outcome expected = outcome(own, theirs);
      all.push_back({peer.name, expected, sentence(expected, own)});
    } else {
      all.push_back({peer.name, Outcome::open, "No path: UDP does not reach any Intermediate."});
    }
  }
  return all;
}

}  // namespace ztna::nat
