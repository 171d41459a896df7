// What the files of a node say, each thing by itself: for people who look for what is wrong. A
// daemon asks Credentials::load(), which ends at the first error.
#pragma once

#include <optional>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "identity/credentials.hpp"
#include "identity/principal.hpp"

namespace ztna::identity {

struct Period {
  base::WallTime from, until;  // both included
};

struct Inspection {
  // Whose certificate it says it is; nobody has vouched for that yet.
  base::Result<Principal> leaf = base::fail(base::ErrorCode::not_found, "no certificate");
  std::optional<Period> validity;  // of the leaf; nothing when it cannot be read
  base::Status key;                // can be read, and belongs to the certificate
  base::Status roots;              // can be read, and are CA certificates
  std::vector<Period> root_validity;
  base::Status issued;  // one of the roots signed the certificate, and is itself valid at `now`
};

// `key` and `issued` say nothing of their own when the certificate or the roots cannot be read.
[[nodiscard]] Inspection inspect(const Credentials::Pem& pem, base::WallTime now);

}  // namespace ztna::identity
