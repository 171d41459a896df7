#include "base/time.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "base/datagram.hpp"

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

TEST(WallReference, TellsTheTimeBeforeAndAfterItWasTaken) {
  const WallReference taken{.wall = {100, 900}, .at = Time{10s}};
  EXPECT_EQ(taken.now(Time{10s}), (WallTime{100, 900}));
  EXPECT_EQ(taken.now(Time{10s + 99ms}), (WallTime{100, 999}));
  EXPECT_EQ(taken.now(Time{10s + 100ms}), (WallTime{101, 0}));
  EXPECT_EQ(taken.now(Time{9s + 99ms}), (WallTime{99, 999}));
}

}  // namespace
}  // namespace ztna::base
