// Repeatable entropy for GnuTLS, the one impure part of the core. entropy.cpp defines getrandom()
// and getentropy() for the whole program, which is where gnutls_rnd() takes its seed from; each
// thread has its own generator there and here.
#pragma once

#include <cstdint>

namespace ztna::sim {

// What this thread's GnuTLS will be seeded with. Before the thread's first use of GnuTLS.
void seed_entropy(std::uint64_t seed);

}  // namespace ztna::sim
