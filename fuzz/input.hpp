// What the fuzz targets share: an input cut into pieces, and an assertion that stays in every
// build.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "base/bytes.hpp"

#define FUZZ_ASSERT(condition)                                             \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                        \
    }                                                                      \
  } while (false)

namespace ztna::fuzz {

// Reads from the front; past the end there are zeros and empty spans.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::uint8_t octet() {
    const base::BytesView one = take(1);
    return one.empty() ? 0 : one[0];
  }
  base::BytesView take(std::size_t size) {
    const base::BytesView front = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(front.size());
    return front;
  }
  // One octet of length, then that many octets.
  base::BytesView piece() { return take(octet()); }
  base::BytesView rest() { return take(rest_.size()); }

 private:
  base::BytesView rest_;
};

}  // namespace ztna::fuzz
