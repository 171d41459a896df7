// Public keys to be certified, and where they come from. For the .cpp files of this folder.
#pragma once

#include <gnutls/abstract.h>

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "identity/gnutls_handle.hpp"

namespace ztna::identity {

using PublicKey = Owned<gnutls_pubkey_t, gnutls_pubkey_deinit>;

[[nodiscard]] base::Result<PublicKey> public_key_of_private(std::string_view key_pem,
                                                            const std::string& where);
// The key of a signing request whose own signature holds and that asks for exactly `uri`.
[[nodiscard]] base::Result<PublicKey> public_key_of_request(std::string_view request_pem,
                                                            const std::string& where,
                                                            const std::string& uri);

// ECDSA of 256 bits or more, Ed25519, or RSA of 2048 bits or more.
[[nodiscard]] base::Status check_key_strength(gnutls_pubkey_t key, const std::string& where);

// The digest that goes with a signing key: Ed25519 brings its own.
[[nodiscard]] gnutls_digest_algorithm_t digest_for(gnutls_x509_privkey_t key);

}  // namespace ztna::identity
