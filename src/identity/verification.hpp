// Whom a node trusts, and the decision whether a peer's certificates prove an expected identity.
// For the .cpp files of this folder: it shows GnuTLS.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "identity/certificate.hpp"
#include "identity/gnutls_handle.hpp"
#include "identity/principal.hpp"

namespace ztna::identity {

struct Trust {
  std::vector<Certificate> roots;  // of our own CA; each may sign leaves, one step, no chains
  std::string where;               // the roots' file, for errors
  TrustList web;                   // public roots, or null: no web PKI
};

// CA certificates only: anything else in a roots file is a mistake worth an error.
[[nodiscard]] base::Result<std::vector<Certificate>> parse_roots(std::string_view pem,
                                                                 const std::string& where);
[[nodiscard]] base::Result<TrustList> make_trust_list(std::string_view pem,
                                                      const std::string& where);

// Did one of our roots, itself valid at `now`, sign this leaf?
[[nodiscard]] base::Status check_issued_by_roots(gnutls_x509_crt_t leaf, const Trust& trust,
                                                 base::WallTime now, const std::string& where);

// A leaf that is ours: signature, validity, usage for its role. What `expected` does for peers.
[[nodiscard]] base::Result<Principal> verify_leaf(gnutls_x509_crt_t leaf, const Trust& trust,
                                                  base::WallTime now, const std::string& where);

// The peer's certificates as it sent them, DER, the leaf first. Others than the leaf count only
// for web PKI.
[[nodiscard]] base::Result<Principal> verify_peer(std::span<const gnutls_datum_t> chain,
                                                  const Trust& trust, const Expectation& expected,
                                                  base::WallTime now);

}  // namespace ztna::identity
