#include "proof/lease.hpp"

#include <algorithm>

namespace ztna::proof {

base::Result<base::Duration> Lease::ask(base::Duration wanted, base::Time now) {
  if (wanted <= base::Duration{}) {
    return base::fail(base::ErrorCode::invalid_argument, "a path is suspended for 1 ms at least");
  }
  const base::Duration granted = std::min(wanted, max_lease);
  until_ = now + granted;
  return granted;
}

}  // namespace ztna::proof
