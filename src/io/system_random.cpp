#include "io/system_random.hpp"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace ztna::io {

void SystemRandom::fill(base::MutableBytes out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got > 0)
      out = out.subspan(static_cast<std::size_t>(got));
    else if (errno != EINTR)
      std::abort();
  }
}

}  // namespace ztna::io
