// Internal to src/quic: connection ids as ngtcp2 has them.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include "quic/connection_id.hpp"

namespace ztna::quic {

inline ConnectionId from_ngtcp2(const ngtcp2_cid& id) {
  return ConnectionId::from({id.data, id.datalen});
}

inline ngtcp2_cid to_ngtcp2(const ConnectionId& id) {
  ngtcp2_cid out;
  ngtcp2_cid_init(&out, id.octets.data(), id.length);
  return out;
}

}  // namespace ztna::quic
