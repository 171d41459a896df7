#include "quic/reset_token.hpp"

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <cstdlib>

namespace ztna::quic {

void make_reset_token(const base::Secret<32>& key, const ConnectionId& id, std::uint8_t* out) {
  ngtcp2_cid cid;
  ngtcp2_cid_init(&cid, id.octets.data(), id.length);
  const auto secret = key.expose();
  // HKDF-SHA256 of 16 octets fails only when GnuTLS itself is broken.
  if (ngtcp2_crypto_generate_stateless_reset_token(out, secret.data(), secret.size(), &cid) != 0) {
    std::abort();
  }
}

}  // namespace ztna::quic
