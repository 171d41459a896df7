// QUIC's variable-length integers (RFC 9000 §16): 1, 2, 4 or 8 octets, values up to 2^62-1.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"

namespace ztna::wire {

inline constexpr std::size_t varint_max_size = 8;
inline constexpr std::uint64_t varint_max = (std::uint64_t{1} << 62) - 1;

// Octets that encode_varint() will write for a value ≤ varint_max.
[[nodiscard]] constexpr std::size_t varint_size(std::uint64_t value) {
  if (value < 1u << 6) return 1;
  if (value < 1u << 14) return 2;
  if (value < 1u << 30) return 4;
  return 8;
}

// Writes the shortest form at `at`, which has room for varint_size(value) octets, and returns its
// size. The value is ≤ varint_max.
constexpr std::size_t encode_varint(std::uint8_t* at, std::uint64_t value) {
  const std::size_t size = varint_size(value);
  for (std::size_t i = size; i-- > 0; value >>= 8) at[i] = static_cast<std::uint8_t>(value);
  const unsigned length_bits = size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;
  at[0] = static_cast<std::uint8_t>(at[0] | length_bits << 6);
  return size;
}

struct Varint {
  std::uint64_t value = 0;
  std::size_t size = 0;  // octets it took; 0: `bytes` ends before the integer does
};

// Longer forms than needed are accepted, as RFC 9000 does.
[[nodiscard]] constexpr Varint decode_varint(base::BytesView bytes) {
  if (bytes.empty()) return {};
  const std::size_t size = std::size_t{1} << (bytes[0] >> 6);
  if (bytes.size() < size) return {};
  std::uint64_t value = bytes[0] & 0x3f;
  for (std::size_t i = 1; i < size; ++i) value = value << 8 | bytes[i];
  return {value, size};
}

}  // namespace ztna::wire
