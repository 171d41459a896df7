// Why a connection ended, from what ngtcp2, TLS and the peer say, in words for people.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include <optional>
#include <string>

#include "base/result.hpp"
#include "quic/connection.hpp"

namespace ztna::quic {

// Untrusted text, cut to 256 octets; what cannot be printed becomes '?'.
[[nodiscard]] std::string printable(base::BytesView text);

// CONNECTION_CLOSE from the peer.
[[nodiscard]] CloseInfo closed_by_peer(const ngtcp2_ccerr& error);

// An error from ngtcp2 that ends the connection. `tls` is what refused the peer, if TLS did.
[[nodiscard]] CloseInfo closed_by_error(int library_error, std::uint8_t tls_alert,
                                        const std::optional<base::Error>& tls, bool established);

}  // namespace ztna::quic
