#include "wire/varint.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>

#include "unit/wire/bytes_of.hpp"

namespace ztna::wire {
namespace {

struct Vector {
  std::string_view octets;
  std::uint64_t value;
};

// RFC 9000 appendix A.1.
constexpr Vector rfc_vectors[] = {
    {"c2197c5eff14e88c", 151288809941952652ULL},
    {"9d7f3e7d", 494878333},
    {"7bbd", 15293},
    {"25", 37},
};

TEST(Varint, DecodesTheVectorsOfRfc9000) {
  for (const Vector& vector : rfc_vectors) {
    const base::Bytes octets = hex(vector.octets);
    const Varint decoded = decode_varint(octets);
    EXPECT_EQ(decoded.value, vector.value);
    EXPECT_EQ(decoded.size, octets.size());
  }
}

TEST(Varint, EncodesTheVectorsOfRfc9000) {
  for (const Vector& vector : rfc_vectors) {
    std::array<std::uint8_t, varint_max_size> out{};
    const std::size_t size = encode_varint(out.data(), vector.value);
    EXPECT_EQ(base::to_hex(base::BytesView(out).first(size)), vector.octets);
  }
}

TEST(Varint, AcceptsLongerFormsThanNeeded) {
  const Varint decoded = decode_varint(hex("4025"));  // RFC 9000 A.1: also 37
  EXPECT_EQ(decoded.value, 37u);
  EXPECT_EQ(decoded.size, 2u);
}

TEST(Varint, SaysWhenOctetsAreMissing) {
  EXPECT_EQ(decode_varint({}).size, 0u);
  for (const Vector& vector : rfc_vectors) {
    const base::Bytes octets = hex(vector.octets);
    EXPECT_EQ(decode_varint(base::BytesView(octets).first(octets.size() - 1)).size, 0u);
  }
}

TEST(Varint, SizesChangeAtTheLimitsOfTheTable) {  // RFC 9000 §16, table 4
  EXPECT_EQ(varint_size(63), 1u);
  EXPECT_EQ(varint_size(64), 2u);
  EXPECT_EQ(varint_size(16383), 2u);
  EXPECT_EQ(varint_size(16384), 4u);
  EXPECT_EQ(varint_size(1073741823), 4u);
  EXPECT_EQ(varint_size(1073741824), 8u);
  EXPECT_EQ(varint_size(varint_max), 8u);
}

RC_GTEST_PROP(Varint, RoundTrips, ()) {
  const unsigned bits = *rc::gen::inRange(0u, 63u);
  const std::uint64_t value =
      *rc::gen::arbitrary<std::uint64_t>() & ((std::uint64_t{1} << bits) - 1);
  std::array<std::uint8_t, varint_max_size> out{};
  const std::size_t size = encode_varint(out.data(), value);
  RC_ASSERT(size == varint_size(value));
  const Varint decoded = decode_varint(out);
  RC_ASSERT(decoded.value == value);
  RC_ASSERT(decoded.size == size);
}

}  // namespace
}  // namespace ztna::wire
