#include "base/secret.hpp"

#include <gtest/gtest.h>

#include <new>
#include <ostream>
#include <type_traits>

namespace ztna::base {
namespace {

template <class T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };
template <class T>
concept Comparable = requires(const T& a, const T& b) { a == b; };

TEST(Secret, CannotBePrintedOrComparedByAccident) {
  static_assert(!Printable<Secret<32>>);
  static_assert(!Comparable<Secret<32>>);
  static_assert(!std::is_convertible_v<Secret<32>, BytesView>);
}

TEST(Secret, LeavesNothingBehind) {
  alignas(Secret<32>) std::array<std::uint8_t, sizeof(Secret<32>)> memory{};
  auto* secret = new (memory.data()) Secret<32>;
  for (auto& octet : secret->expose()) octet = 0xaa;
  EXPECT_EQ(secret->expose()[31], 0xaa);
  secret->~Secret();
  EXPECT_EQ(memory, (std::array<std::uint8_t, sizeof(Secret<32>)>{}));
}

TEST(Secret, ComparesInConstantTimeByContentAndSize) {
  const Bytes a = {1, 2, 3};
  const Bytes b = {1, 2, 4};
  EXPECT_TRUE(equal_constant_time(a, Bytes{1, 2, 3}));
  EXPECT_FALSE(equal_constant_time(a, b));
  EXPECT_FALSE(equal_constant_time(a, BytesView(a).first(2)));
  EXPECT_TRUE(equal_constant_time({}, {}));
}

}  // namespace
}  // namespace ztna::base
