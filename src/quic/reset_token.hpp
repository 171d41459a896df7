// Stateless reset tokens (RFC 9000 §10.3.2): HKDF of the connection id under the node's reset key,
// so that a restarted process makes the same ones.
// One key, one process at a time: of two that share a key, one would tell a stranger the token of a
// connection of the other's (RFC 9000 §21.11), who could then end that.
#pragma once

#include <cstdint>

#include "base/secret.hpp"
#include "quic/connection_id.hpp"

namespace ztna::quic {

inline constexpr std::size_t reset_token_length = 16;

// Writes reset_token_length octets.
void make_reset_token(const base::Secret<32>& key, const ConnectionId& id, std::uint8_t* out);

}  // namespace ztna::quic
