#include "sim/oracle.hpp"

namespace ztna::sim {
namespace {

constexpr std::array dependences = {Dependence::endpoint_independent, Dependence::address,
                                    Dependence::address_and_port};

// RFC 4787 §4.1: the same outside endpoint for every remote one. So the one that the third party
// has seen is also the one that the peer will see.
bool is_predictable(const NatKind& kind) {
  return kind.mapping == Dependence::endpoint_independent;
}

// RFC 4787 §5: a packet from an address that the host has sent to, but from a port that it has not.
bool admits_unknown_port(const NatKind& kind) {
  return kind.filtering != Dependence::address_and_port;
}

// RFC 4787 §4.1: whatever port of the peer's address it sends to, it is seen as one endpoint there.
bool is_steady(const NatKind& kind) { return kind.mapping != Dependence::address_and_port; }

}  // namespace

std::array<NatKind, 9> all_kinds() {
  std::array<NatKind, 9> kinds;
  std::size_t at = 0;
  for (const Dependence mapping : dependences) {
    for (const Dependence filtering : dependences) kinds[at++] = {mapping, filtering};
  }
  return kinds;
}

std::string to_string(const NatKind& kind) {
  return std::string(to_string(kind.mapping)) + "/" + to_string(kind.filtering);
}

// Each sends to the endpoint that it was told of, and so has sent to the peer's address: a filter
// on addresses is open to the peer from then on, whatever port it comes from.
bool can_meet(const NatKind& one, const NatKind& other) {
  // Both come from where they were announced, and both have sent exactly there.
  if (is_predictable(one) && is_predictable(other)) return true;
  // One comes from a port that nobody has been told of. The other must let it in, and then knows
  // it. In the other direction nothing is new: what comes back comes from the announced endpoint.
  if (is_predictable(one)) return admits_unknown_port(one);
  if (is_predictable(other)) return admits_unknown_port(other);
  // Both come from ports that nobody has been told of. Whoever hears the other first answers to its
  // new port, and its answer too comes from one that the other has not sent to: both must let such
  // in.
  if (!admits_unknown_port(one) || !admits_unknown_port(other)) return false;
  // And one must keep its endpoint when it turns to the port that it has learnt; where both change
  // theirs with every port, neither ever hears from the endpoint that it last sent to.
  return is_steady(one) || is_steady(other);
}

}  // namespace ztna::sim
