// Addresses at which a node might be reached directly (the candidates of RFC 8445 §5.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/address.hpp"

namespace ztna::nat {

enum class CandidateKind : std::uint8_t {
  host,            // an address of one of its interfaces
  reflexive,       // what an Intermediate sees (QAD, STUN)
  advertised,      // an operator says so: a NodePort, a load balancer, a port forward
  peer_reflexive,  // where something of the session came from
};
[[nodiscard]] std::string_view to_string(CandidateKind kind);

struct Candidate {
  CandidateKind kind = CandidateKind::host;
  base::Address address;
  friend auto operator<=>(const Candidate&, const Candidate&) = default;
};

inline constexpr std::size_t max_candidates = 16;  // of one peer

// May a packet be sent there because a peer says so? Not to loopback, multicast, broadcast,
// unspecified, reserved or link-local addresses (cloud metadata services live there), nor to port
// 0.
[[nodiscard]] bool checkable(const base::Address& address);

// The checkable ones, each address once, at most max_candidates, in the order given.
[[nodiscard]] std::vector<Candidate> sanitise(const std::vector<Candidate>& candidates);

// In one LAN by the look of it: the same /24 or /64.
[[nodiscard]] bool same_prefix(const base::Address& a, const base::Address& b);

}  // namespace ztna::nat
