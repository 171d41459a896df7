// QUIC key derivation (RFC 9001 §5) for TLS_AES_128_GCM_SHA256, and its installation in ngtcp2. We
// do this instead of ngtcp2's GnuTLS helper so that either AEAD back end can stand behind it.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include <array>

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "quic/aead.hpp"

namespace ztna::quic {

using TrafficSecret = base::Secret<32>;

// HKDF-Expand-Label (RFC 8446 §7.1) with SHA-256 and an empty context unless given. False when the
// library fails.
[[nodiscard]] bool expand_label(base::MutableBytes out, base::BytesView secret,
                                std::string_view label, base::BytesView context = {});

// client_initial_secret and server_initial_secret (RFC 9001 §5.2).
struct InitialSecrets {
  TrafficSecret client, server;
};
[[nodiscard]] bool derive_initial_secrets(InitialSecrets& out, base::BytesView client_dcid);

// "quic key", "quic iv" and "quic hp" (RFC 9001 §5.1).
struct PacketSecrets {
  base::Secret<aead_key_length> key;
  base::Secret<aead_nonce_length> iv;
  base::Secret<aead_key_length> header;
};
[[nodiscard]] bool derive_packet_secrets(PacketSecrets& out, base::BytesView traffic_secret);

// The encrypt, decrypt, hp_mask, update_key and delete_crypto_*_ctx callbacks.
void set_crypto_callbacks(ngtcp2_callbacks& callbacks);

// Keys for Initial packets, and for checking a Retry (RFC 9001 §5.8).
[[nodiscard]] bool install_initial_keys(ngtcp2_conn* conn, const AeadBackend& backend,
                                        const ngtcp2_cid& client_dcid);
enum class Direction { receive, send };
// Handshake or 1-RTT keys from a TLS secret.
[[nodiscard]] bool install_keys(ngtcp2_conn* conn, const AeadBackend& backend,
                                ngtcp2_encryption_level level, Direction direction,
                                base::BytesView secret);

}  // namespace ztna::quic
