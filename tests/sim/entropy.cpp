#include "sim/entropy.hpp"

#include <sys/random.h>
#include <sys/types.h>

#include <cstring>

#include "sim/seeded_random.hpp"

namespace ztna::sim {
namespace {

SeededRandom& generator() {
  thread_local SeededRandom made(1);
  return made;
}

}  // namespace

void seed_entropy(std::uint64_t seed) { generator().reseed(seed); }

}  // namespace ztna::sim

// Linked into the executable, these come before libc's.
extern "C" ssize_t getrandom(void* buffer, size_t size, unsigned /*flags*/) {
  ztna::sim::generator().fill({static_cast<std::uint8_t*>(buffer), size});
  return static_cast<ssize_t>(size);
}

extern "C" int getentropy(void* buffer, size_t size) {
  ztna::sim::generator().fill({static_cast<std::uint8_t*>(buffer), size});
  return 0;
}
