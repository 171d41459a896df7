#include "nat/candidate.hpp"

#include <algorithm>

namespace ztna::nat {

std::string_view to_string(CandidateKind kind) {
  switch (kind) {
    case CandidateKind::host: return "host";
    case CandidateKind::reflexive: return "reflexive";
    case CandidateKind::advertised: return "advertised";
    case CandidateKind::peer_reflexive: return "peer_reflexive";
  }
  return "unknown";
}

bool checkable(const base::Address& address) {
  if (address.port() == 0 || address.is_unspecified() || address.is_loopback() ||
      address.is_multicast() || address.is_link_local()) {
    return false;
  }
  // 0.0.0.0/8 is "this network", 240.0.0.0/4 is reserved (RFC 6890).
  return !address.is_v4() || (address.octets()[0] != 0 && address.octets()[0] < 240);
}

std::vector<Candidate> sanitise(const std::vector<Candidate>& candidates) {
  std::vector<Candidate> out;
  for (const Candidate& candidate : candidates) {
    if (out.size() == max_candidates) break;
    if (!checkable(candidate.address)) continue;
    const bool known = std::ranges::find(out, candidate.address, &Candidate::address) != out.end();
    if (!known) out.push_back(candidate);
  }
  return out;
}

bool same_prefix(const base::Address& a, const base::Address& b) {
  if (a.family() != b.family()) return false;
  const unsigned bits = a.is_v4() ? 24 : 64;
  return a.prefix(bits) == b.prefix(bits);
}

}  // namespace ztna::nat
