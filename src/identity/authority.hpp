// The private certificate authority, without files or clocks: makes the root, keys, signing
// requests (RFC 2986) and node certificates (RFC 5280, X509-SVID), all from and to PEM texts.
//
// What a certificate says comes from the caller's LeafRequest, never from a signing request: that
// only brings the public key, and proves that its maker holds the private one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "identity/principal.hpp"

namespace ztna::identity {

enum class KeyType {
  ecdsa_p256,
  ed25519,  // signatures of one length: packet sizes of a handshake repeat (simulator)
};

inline constexpr int max_days = 7305;  // 20 years
// Certificates are valid a little before they are made, for peers whose clocks are late.
inline constexpr std::int64_t backdate_seconds = 5 * 60;

// A new private key, PKCS#8 PEM. From GnuTLS's generator.
[[nodiscard]] base::Result<std::string> make_key(KeyType type);

struct CaPem {
  std::string certificate, certificate_where;
  std::string key, key_where;
};

// A self-signed root for one trust domain (as its URI name, spiffe://<trust-domain>); signs leaves
// only (pathlen 0). Days: 1 to max_days. `random` gives the serial number.
[[nodiscard]] base::Result<CaPem> make_root(const std::string& trust_domain, KeyType type, int days,
                                            base::WallTime now, base::Random& random);

// The trust domain that a root of ours stands for.
[[nodiscard]] base::Result<std::string> ca_trust_domain(const CaPem& ca);

struct LeafRequest {
  Role role = Role::agent;
  std::string name;
  std::vector<std::string> serve = {};  // Connectors: one or more service names, or "*"
  std::vector<std::string> dns = {};    // Intermediates: host names
  std::vector<std::string> ip = {};     // Intermediates: addresses
  int days = 90;                        // 1 to max_days, and not past the root's own end
};

// Is it complete and well-formed? Checked before anything is issued. An error's `where` is the
// field: "name", "serve", "dns", "ip" or "days".
[[nodiscard]] base::Status check_leaf_request(const LeafRequest& leaf);

// A signing request for spiffe://<trust_domain>/<role>/<name>, PEM.
[[nodiscard]] base::Result<std::string> make_signing_request(const std::string& trust_domain,
                                                             Role role, const std::string& name,
                                                             const std::string& key_pem,
                                                             const std::string& key_where);

struct Issued {
  std::string certificate;  // PEM
  std::string serial;       // hexadecimal
  Principal principal;
};

// For a private key made here.
[[nodiscard]] base::Result<Issued> issue_for_key(const CaPem& ca, const LeafRequest& leaf,
                                                 std::string_view key_pem,
                                                 const std::string& key_where, base::WallTime now,
                                                 base::Random& random);
// For a signing request, whose signature must hold and whose one URI name must be the very SPIFFE
// id that `leaf` asks for. Other names in it are ignored.
[[nodiscard]] base::Result<Issued> issue_for_request(const CaPem& ca, const LeafRequest& leaf,
                                                     std::string_view request_pem,
                                                     const std::string& request_where,
                                                     base::WallTime now, base::Random& random);
// The same key and names with a new validity. The old certificate, expired or not, must be one
// that this CA signed.
[[nodiscard]] base::Result<Issued> renew(const CaPem& ca, std::string_view certificate_pem,
                                         const std::string& certificate_where, int days,
                                         base::WallTime now, base::Random& random);

// What a certificate says about itself: no check of who signed it.
struct LeafSummary {
  std::string serial;
  Principal principal;
};
[[nodiscard]] base::Result<LeafSummary> read_leaf(std::string_view certificate_pem,
                                                  const std::string& where);

}  // namespace ztna::identity
