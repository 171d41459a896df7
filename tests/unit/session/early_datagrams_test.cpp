#include "session/early_datagrams.hpp"

#include <gtest/gtest.h>

namespace ztna::session {
namespace {

using namespace std::chrono_literals;

using All = std::vector<base::Bytes>;

constexpr base::Time t0{100s};

base::Bytes octets(std::size_t size, std::uint8_t value) { return base::Bytes(size, value); }

TEST(EarlyDatagrams, WaitForTheirFlowInOrder) {
  EarlyDatagrams early;
  early.keep(4, octets(10, 1), t0);
  early.keep(8, octets(10, 2), t0);
  early.keep(4, octets(10, 3), t0 + 1ms);
  EXPECT_TRUE(early.take(12, t0 + 2ms).empty());
  EXPECT_EQ(early.take(4, t0 + 2ms), (All{octets(10, 1), octets(10, 3)}));
  EXPECT_TRUE(early.take(4, t0 + 2ms).empty()) << "taken twice";
  EXPECT_EQ(early.take(8, t0 + 2ms), (All{octets(10, 2)}));
  EXPECT_EQ(early.dropped(), 0u);
}

TEST(EarlyDatagrams, AreForgottenAfterAWhile) {
  EarlyDatagrams early;
  early.keep(4, octets(10, 1), t0);
  early.keep(4, octets(10, 2), t0 + 1ns);
  EXPECT_EQ(early.take(4, t0 + EarlyDatagrams::max_age + 1ns), (All{octets(10, 2)}));
  EXPECT_EQ(early.dropped(), 1u);
}

TEST(EarlyDatagrams, TheOldestMakeRoom) {
  EarlyDatagrams early;
  constexpr std::size_t each = EarlyDatagrams::max_bytes / 4 - EarlyDatagrams::cost_of_each;
  for (std::uint8_t n = 0; n < 5; ++n) early.keep(4, octets(each, n), t0);
  const auto left = early.take(4, t0);
  ASSERT_EQ(left.size(), 4u);
  EXPECT_EQ(left.front(), octets(each, 1));
  early.keep(4, octets(EarlyDatagrams::max_bytes, 1), t0);
  EXPECT_TRUE(early.take(4, t0).empty());
  EXPECT_EQ(early.dropped(), 2u);
}

}  // namespace
}  // namespace ztna::session
