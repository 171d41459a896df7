// Secret<N>: key material that cannot be printed, compared by accident, or left behind in memory.
#pragma once

#include <string.h>  // explicit_bzero
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"

namespace ztna::base {

template <std::size_t N>
class Secret {
 public:
  Secret() = default;
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  ~Secret() { explicit_bzero(octets_.data(), N); }

  // The only way in and out; the name makes every use easy to find.
  [[nodiscard]] MutableBytes expose() { return octets_; }
  [[nodiscard]] BytesView expose() const { return octets_; }

  bool operator==(const Secret&) const = delete;

 private:
  std::array<std::uint8_t, N> octets_{};
};

// Equal in constant time; false when the sizes differ.
[[nodiscard]] inline bool equal_constant_time(BytesView a, BytesView b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];
  return difference == 0;
}

}  // namespace ztna::base
