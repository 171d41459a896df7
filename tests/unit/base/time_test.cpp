#include "base/time.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace ztna::base {
namespace {

TEST(Time, ConvertsToNanosecondsAndBack) {
  constexpr Time at{90s};
  EXPECT_EQ(to_ns(at), 90'000'000'000u);
  EXPECT_EQ(from_ns(to_ns(at)), at);
  EXPECT_DOUBLE_EQ(to_ms(1500us), 1.5);
}

TEST(Time, NeverIsLaterThanEverything) {
  EXPECT_EQ(from_ns(std::numeric_limits<std::uint64_t>::max()), never);  // ngtcp2's "no deadline"
  EXPECT_EQ(from_ns(to_ns(never)), never);
  EXPECT_LT(Time{24h * 365 * 100}, never);
}

}  // namespace
}  // namespace ztna::base
