// Who a peer is: one SPIFFE id, read once from the leaf certificate whose key the handshake proved.
// Every later decision uses this value and nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace ztna::identity {

enum class Role : std::uint8_t { intermediate, connector, agent };

[[nodiscard]] std::string_view to_string(Role role);
[[nodiscard]] std::optional<Role> parse_role(std::string_view text);

using Spki = std::array<std::uint8_t, 32>;  // SHA-256 of the DER SubjectPublicKeyInfo

struct Principal {
  Role role = Role::agent;
  std::string trust_domain;
  std::string name;  // [a-z0-9-]+; for a web-PKI Intermediate its host name
  Spki spki{};
  base::WallTime not_after;        // of the leaf
  std::vector<std::string> serve;  // Connectors: service names, or "*"

  // "spiffe://<trust-domain>/<role>/<name>"
  [[nodiscard]] std::string uri() const;
  // May this Connector's certificate answer for `service`?
  [[nodiscard]] bool may_serve(std::string_view service) const;
};

// Names of nodes and services: 1 to 63 of [a-z0-9-], no hyphen at either end.
[[nodiscard]] bool is_valid_name(std::string_view name);
// Trust domains: dot-separated labels of the same form, at most 255.
[[nodiscard]] bool is_valid_trust_domain(std::string_view domain);

struct SpiffeId {
  std::string trust_domain;
  Role role = Role::agent;
  std::string name;
};
[[nodiscard]] base::Result<SpiffeId> parse_spiffe_id(std::string_view uri);

// Text from a certificate for an error or a log: what is not printable ASCII becomes '?', and what
// is longer than 300 characters is cut.
[[nodiscard]] std::string printable(std::string_view untrusted);

// What one end demands of the other before a handshake counts.
struct Expectation {
  std::optional<Role> role = Role::intermediate;  // none: an Agent or a Connector
  std::string trust_domain;                       // must match
  std::string name;                               // empty: any name
  // Intermediates only: the host that was dialled. A certificate of our own CA that names hosts or
  // addresses must name this one; and instead, one is accepted that the public roots vouch for and
  // that names it (Let's Encrypt). Empty: our own CA's for any host, and no public ones.
  std::string web_pki_host;
};

}  // namespace ztna::identity
