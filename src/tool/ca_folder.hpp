// The CA's folder and the folders that it fills (--cert-dir of the daemons):
//
//   CA folder    ca-cert.pem  ca-key.pem (0600)  index.jsonl  .lock
//   node folder  cert.pem  key.pem (0600)  ca-cert.pem  request.csr (from request)
//
// Whatever changes a CA folder holds its lock, so commands may run at the same time.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "identity/authority.hpp"
#include "tool/ca_index.hpp"
#include "tool/context.hpp"

namespace ztna::tool {

struct InitOptions {
  std::string trust_domain, out;
  int days = 3650;
  identity::KeyType key_type = identity::KeyType::ecdsa_p256;
  bool force = false;
};
[[nodiscard]] base::Status init_ca(const InitOptions& options, Context& context);

struct RequestOptions {
  std::string trust_domain, out;
  identity::Role role = identity::Role::agent;
  std::string name;
  identity::KeyType key_type = identity::KeyType::ecdsa_p256;
  bool force = false;
};
[[nodiscard]] base::Status request_certificate(const RequestOptions& options, Context& context);

struct IssueOptions {
  std::string ca_dir, out;
  identity::LeafRequest leaf;
  std::string csr;  // a file; empty: make the key here
  identity::KeyType key_type = identity::KeyType::ecdsa_p256;
  bool force = false;
};
[[nodiscard]] base::Status issue_certificate(const IssueOptions& options, Context& context);

struct RenewOptions {
  std::string ca_dir, out;
  identity::Role role = identity::Role::agent;
  std::string name;
  int days = 90;
};
// Replaces <out>/cert.pem: that is what renewing means.
[[nodiscard]] base::Status renew_certificate(const RenewOptions& options, Context& context);

struct RevokeOptions {
  std::string ca_dir, policy;
  identity::Role role = identity::Role::agent;
  std::string name;    // with role; or
  std::string serial;  // one certificate's: its key is revoked
};
[[nodiscard]] base::Status revoke_certificate(const RevokeOptions& options, Context& context);

[[nodiscard]] base::Status list_certificates(const std::string& ca_dir, bool json,
                                             Context& context);

}  // namespace ztna::tool
