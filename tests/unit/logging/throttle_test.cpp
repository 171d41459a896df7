#include <gtest/gtest.h>

#include "logging/logging.hpp"

namespace ztna::logging {
namespace {

using namespace std::chrono_literals;

TEST(Throttle, PassesOneEachIntervalAndCountsTheRest) {
  Throttle throttle(5s);
  const base::Time start = base::from_ns(1);
  EXPECT_EQ(throttle.pass(start), 0U);
  EXPECT_FALSE(throttle.pass(start));
  EXPECT_FALSE(throttle.pass(start + 4999ms));
  EXPECT_EQ(throttle.pass(start + 5s), 2U);
  EXPECT_FALSE(throttle.pass(start + 6s));
  EXPECT_EQ(throttle.pass(start + 10s), 1U);
  EXPECT_EQ(throttle.pass(start + 20s), 0U);
}

}  // namespace
}  // namespace ztna::logging
