#include "quic/connection_id.hpp"

#include <algorithm>

namespace ztna::quic {

ConnectionId ConnectionIdLayout::make(base::Random& random) const {
  ConnectionId id;
  id.length = cid_length;
  random.fill(base::MutableBytes(id.octets).first(cid_length));
  if (server_id) {
    // The plaintext form of draft-ietf-quic-load-balancers: configuration 0 in the top three bits,
    // the five below carry no meaning and stay random.
    id.octets[0] &= 0x1f;
    std::copy(server_id->begin(), server_id->end(), id.octets.begin() + 1);
  }
  return id;
}

}  // namespace ztna::quic
