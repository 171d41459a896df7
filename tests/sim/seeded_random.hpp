// All chance of a simulated world comes from here: one seed, one world.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/ids.hpp"
#include "base/time.hpp"

namespace ztna::sim {

// SplitMix64 (G. Steele, D. Lea, C. Flood 2014): small, fast, and the same everywhere.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

class SeededRandom final : public base::Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  void reseed(std::uint64_t seed) { state_ = seed; }

  void fill(base::MutableBytes out) override {
    for (std::size_t at = 0; at < out.size(); at += 8) {
      const std::uint64_t word = next();
      std::memcpy(out.data() + at, &word, out.size() - at < 8 ? out.size() - at : 8);
    }
  }
  [[nodiscard]] std::uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15ULL); }
  // 0 … n-1; n ≥ 1.
  [[nodiscard]] std::uint64_t below(std::uint64_t n) { return next() % n; }
  [[nodiscard]] std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return low + below(high - low + 1);
  }
  [[nodiscard]] base::Duration between(base::Duration low, base::Duration high) {
    return low + base::Duration(static_cast<std::int64_t>(
                     below(static_cast<std::uint64_t>((high - low).count()) + 1)));
  }
  [[nodiscard]] bool chance(double p) {
    return p > 0 && static_cast<double>(next() >> 11) * 0x1.0p-53 < p;
  }

 private:
  std::uint64_t state_;
};

// Octets that depend on a key and their position, so that any shift, loss or swap shows.
inline void pattern(std::uint64_t key, std::uint64_t offset, base::MutableBytes out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::uint64_t at = offset + i;
    out[i] = static_cast<std::uint8_t>(mix(key + at / 8) >> (at % 8 * 8));
  }
}

}  // namespace ztna::sim
