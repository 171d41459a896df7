#include "proof/lease.hpp"

#include <gtest/gtest.h>

namespace ztna::proof {
namespace {

using namespace std::chrono_literals;
using base::Time;

TEST(Lease, EndsByItself) {
  Lease lease;
  EXPECT_FALSE(lease.active(Time{100s}));
  const auto granted = lease.ask(3s, Time{100s});
  ASSERT_TRUE(granted);
  EXPECT_EQ(*granted, 3s);
  EXPECT_TRUE(lease.active(Time{100s}));
  EXPECT_TRUE(lease.active(Time{103s} - 1ns));
  EXPECT_FALSE(lease.active(Time{103s}));
}

TEST(Lease, NeverLastsLongerThanTenSeconds) {
  Lease lease;
  EXPECT_EQ(lease.ask(1h, Time{100s}).value(), 10s);
  EXPECT_FALSE(lease.active(Time{110s}));
}

TEST(Lease, ANewOneTakesThePlaceOfOneThatRuns) {
  Lease lease;
  ASSERT_TRUE(lease.ask(10s, Time{100s}));
  ASSERT_TRUE(lease.ask(1s, Time{101s}));
  EXPECT_FALSE(lease.active(Time{102s}));
}

// However often somebody asks, the paths are there for a good part of the time.
TEST(Allowance, OfSuspensionsIsSmall) {
  Allowance allowance;
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(allowance.suspensions.take(1, Time{100s}));
  EXPECT_FALSE(allowance.suspensions.take(1, Time{100s}));
  EXPECT_FALSE(allowance.idle(Time{100s}));
  EXPECT_TRUE(allowance.suspensions.take(1, Time{116s}));
  EXPECT_TRUE(allowance.idle(Time{300s}));
}

TEST(Lease, OfNoTimeIsRefused) {
  Lease lease;
  EXPECT_FALSE(lease.ask(0s, Time{100s}));
  EXPECT_FALSE(lease.ask(-1s, Time{100s}));
}

}  // namespace
}  // namespace ztna::proof
