// Reading X.509 certificates and private keys (RFC 5280), and the SPIFFE id in a leaf (X509-SVID).
// For the .cpp files of this folder: it shows GnuTLS. No trust decision is made here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "identity/gnutls_handle.hpp"
#include "identity/principal.hpp"

namespace ztna::identity {

// All certificates of a PEM text: one at least, 256 at most.
[[nodiscard]] base::Result<std::vector<Certificate>> parse_certificates(std::string_view pem,
                                                                        const std::string& where);
[[nodiscard]] base::Result<Certificate> parse_der(base::BytesView der, const std::string& where);
[[nodiscard]] base::Result<base::Bytes> to_der(gnutls_x509_crt_t certificate,
                                               const std::string& where);
// One unencrypted private key, PEM.
[[nodiscard]] base::Result<PrivateKey> parse_key(std::string_view pem, const std::string& where);

// The subject alternative names that we look at.
struct AltNames {
  std::vector<std::string> uris;
  std::vector<std::string> dns;
  bool addresses = false;  // it names IP addresses, too
};
[[nodiscard]] base::Result<AltNames> read_alt_names(gnutls_x509_crt_t certificate,
                                                    const std::string& where);

// The identity of a node's leaf: exactly one URI name, a SPIFFE id; for Connectors, the services.
[[nodiscard]] base::Result<Principal> read_principal(gnutls_x509_crt_t leaf,
                                                     const std::string& where);

[[nodiscard]] Spki spki_of(gnutls_x509_crt_t certificate);
[[nodiscard]] base::WallTime not_before(gnutls_x509_crt_t certificate);
[[nodiscard]] base::WallTime not_after(gnutls_x509_crt_t certificate);
[[nodiscard]] bool is_ca(gnutls_x509_crt_t certificate);

// Is `now` inside the validity period, both ends included (RFC 5280 §4.1.2.5)? `what` begins the
// error's sentence: "the certificate".
[[nodiscard]] base::Status check_validity(gnutls_x509_crt_t certificate, base::WallTime now,
                                          const std::string& what, const std::string& where);

// `key_where` and `certificate_where` name the files in the error.
[[nodiscard]] base::Status check_key_matches(gnutls_x509_crt_t leaf, gnutls_x509_privkey_t key,
                                             const std::string& certificate_where,
                                             const std::string& key_where);

// "example.org" from the "spiffe://example.org" that a CA certificate carries; empty: none.
[[nodiscard]] std::string read_ca_trust_domain(gnutls_x509_crt_t certificate);

}  // namespace ztna::identity
