// Random octets from the operating system.
#pragma once

#include "base/ids.hpp"

namespace ztna::io {

// getrandom(2): blocks only until the kernel's pool is seeded, early at boot. Ends the process when
// the kernel has no such source, because nothing may go on without. Any thread.
class SystemRandom : public base::Random {
 public:
  void fill(base::MutableBytes out) override;
};

}  // namespace ztna::io
