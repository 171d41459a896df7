// Octets from hexadecimal, for vectors written the way their RFC prints them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace ztna::wire {

// Spaces and line breaks are skipped.
inline base::Bytes hex(std::string_view text) {
  std::string digits(text);
  std::erase_if(digits, [](char c) { return c == ' ' || c == '\n'; });
  base::Bytes out(digits.size() / 2);
  EXPECT_TRUE(base::from_hex(digits, out)) << digits;
  return out;
}

// `size` octets that differ from their neighbours and, by `seed`, from other payloads.
inline base::Bytes pattern(std::size_t size, unsigned seed = 0) {
  base::Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) {
    out[i] = static_cast<std::uint8_t>((i * 7 + i / 256 + seed * 31) & 0xff);
  }
  return out;
}

inline base::Bytes copy(base::BytesView bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace ztna::wire
