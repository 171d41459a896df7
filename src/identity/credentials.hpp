// A node's own certificate and key, and the roots it trusts. Immutable once loaded, shared by every
// connection made with it; a reload makes a new one. One per --cert-dir. Not tied to any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "identity/principal.hpp"
#include "identity/signed_text.hpp"

// GnuTLS's handles, so that this header needs no GnuTLS.
struct gnutls_certificate_credentials_st;
struct gnutls_session_int;

namespace ztna::identity {

class Credentials {
 public:
  // PEM texts; the `*_where` strings (paths, usually) appear in errors. `roots` holds one or more
  // CA certificates; each signs leaves directly: a subordinate CA is listed here itself. Fails
  // unless the key belongs to the leaf, the leaf has exactly one valid SPIFFE id, and the roots
  // verify it at `now`. An Intermediate's public certificate (no URI name, a dNSName, not issued
  // by our roots) passes too: self() then has the dNSName as its name, and the trust domain that
  // the roots carry, if they carry one and the same.
  struct Pem {
    std::string certificate, certificate_where;
    std::string key, key_where;
    std::string roots, roots_where;
    // Public roots for Expectation::web_pki_host (on Debian, the octets of
    // /etc/ssl/certs/ca-certificates.crt). Empty: no public certificate is ever accepted.
    std::string web_roots = {}, web_roots_where = {};
  };
  [[nodiscard]] static base::Result<std::shared_ptr<const Credentials>> load(const Pem& pem,
                                                                             base::WallTime now);
  ~Credentials();
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  [[nodiscard]] const Principal& self() const;
  // For gnutls_credentials_set; lives as long as this object.
  [[nodiscard]] gnutls_certificate_credentials_st* handle() const;
  // Key material derived from the private key: HKDF-SHA256(key, info = label). The same key gives
  // the same octets after a restart. For Retry and stateless-reset keys.
  [[nodiscard]] base::Secret<32> derive(std::string_view label) const;

  // `text` with a signature by the private key and the leaf: ECDSA or RSA with SHA-256, or Ed25519.
  // The prefix keeps what is signed for one purpose from standing for another (TLS's own signatures
  // begin with 64 spaces, RFC 8446 §4.4.3).
  [[nodiscard]] base::Result<SignedText> sign(std::string_view prefix, std::string text) const;

  // Checks the peer of a handshake that is at its certificate-verify step: chain to our roots (or
  // web PKI where expected), validity at `now`, key usage, and `expected`. The leaf's Principal.
  [[nodiscard]] base::Result<Principal> verify(gnutls_session_int* session,
                                               const Expectation& expected,
                                               base::WallTime now) const;
  // Does the root that vouched for a connection still exist here, and is `peer` still valid at
  // `now`? For ending live connections after a reload.
  [[nodiscard]] base::Status still_trusts(const std::string& leaf_der, const Principal& peer,
                                          base::WallTime now) const;

 private:
  struct Impl;
  explicit Credentials(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ztna::identity
