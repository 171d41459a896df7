#include "nat/outlook.hpp"

#include <array>

namespace ztna::nat {
namespace {

// One pure kind: neither is a disjunction.
struct Kind {
  Dependence mapping = Dependence::endpoint_independent;  // also without a NAT
  Dependence filtering = Dependence::endpoint_independent;

  // The Intermediate and the peer see the same address.
  [[nodiscard]] bool independent() const { return mapping == Dependence::endpoint_independent; }
  [[nodiscard]] bool by_port() const { return mapping == Dependence::address_and_port_dependent; }
  // From the peer's address, but not from the port that was sent to.
  [[nodiscard]] bool takes_other_ports() const {
    return filtering != Dependence::address_and_port_dependent;
  }
};

// Does A's packet, sent to the address that the Intermediate sees of B, reach B, which sends to A's
// likewise?
bool arrives(const Kind& a, const Kind& b) {
  if (b.filtering == Dependence::endpoint_independent) return true;
  // B's mapping towards the Intermediate has sent to A only if B uses it for everyone; and A comes
  // from the port that B sent to only if A does so too.
  return b.independent() && (a.independent() || b.takes_other_ports());
}

// ... and then both can hear the other from where they send to. B turns to where A's packet came
// from: A has to let in what comes from B's mapping for that, and to answer it from the mapping
// that B has turned to. Where A does not, B has to do the same for A.
bool answered(const Kind& a, const Kind& b) {
  if (b.independent()) return true;
  if (!a.takes_other_ports()) return false;
  return !a.by_port() || (!b.by_port() && b.takes_other_ports());
}

bool punches(const Kind& a, const Kind& b) {
  return (arrives(a, b) && answered(a, b)) || (arrives(b, a) && answered(b, a));
}

std::vector<Dependence> possible_mappings(Dependence mapping) {
  using enum Dependence;
  switch (mapping) {
    case none: return {endpoint_independent};
    case independent_or_address_dependent: return {endpoint_independent, address_dependent};
    case address_or_port_dependent: return {address_dependent, address_and_port_dependent};
    case unknown: return {endpoint_independent, address_dependent, address_and_port_dependent};
    default: return {mapping};
  }
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
  std::vector<Kind> kinds;
  for (const Dependence mapping : possible_mappings(behaviour.mapping)) {
    for (const Dependence filtering : possible_filters(behaviour.filtering)) {
      kinds.push_back({mapping, filtering});
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
