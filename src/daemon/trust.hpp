// What a daemon trusts and is: certificate, key, roots and policy, read from files as one. A reload
// makes a new value or fails as a whole, so that no run ever mixes old and new. Blocking reads; for
// start-up and SIGHUP.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "config/options.hpp"
#include "identity/credentials.hpp"
#include "policy/policy.hpp"

namespace ztna::daemon {

struct Trust {
  std::shared_ptr<const identity::Credentials> credentials;
  std::shared_ptr<const policy::Policy> policy;  // Agents: null
  // What works and an operator should hear of, a line each.
  std::vector<std::string> warnings;
};

// `policy_file` may be empty: no policy. Fails also when the certificate is for another role. An
// Intermediate's may be a public CA's, where the roots say the trust domain of its nodes.
[[nodiscard]] base::Result<Trust> load_trust(const config::IdentityFiles& files,
                                             const std::string& policy_file, identity::Role role,
                                             base::WallTime now);

// Does a key file of this mode let others use the identity? Its group may read it.
[[nodiscard]] bool is_open_to_others(unsigned mode);

// Whole days until `not_after`, rounded down; negative when it has passed.
[[nodiscard]] std::int64_t days_left(base::WallTime not_after, base::WallTime now);

// From this many days on, a daemon warns that its certificate is about to expire.
inline constexpr std::int64_t expiry_warning_days = 14;

}  // namespace ztna::daemon
