#include "nat/choice.hpp"

#include <gtest/gtest.h>

namespace ztna::nat {
namespace {

using namespace std::chrono_literals;

TEST(Choice, DirectWinsTies) {
  EXPECT_TRUE(direct_is_better({40ms, 0}, {40ms, 0}));
  EXPECT_TRUE(direct_is_better({40ms, 0}, {5ms, 0}));
}

TEST(Choice, DirectMayBeALittleSlower) {
  EXPECT_TRUE(direct_is_better({10ms, 0}, {15ms, 0}));  // 5 ms
  EXPECT_FALSE(direct_is_better({10ms, 0}, {16ms, 0}));
  EXPECT_TRUE(direct_is_better({100ms, 0}, {120ms, 0}));  // a fifth
  EXPECT_FALSE(direct_is_better({100ms, 0}, {121ms, 0}));
}

TEST(Choice, LossCountsNotOnlyTheRoundTrip) {
  EXPECT_FALSE(direct_is_better({100ms, 0}, {5ms, 0.2}));
  EXPECT_TRUE(direct_is_better({100ms, 0.2}, {5ms, 0.2}));
  EXPECT_TRUE(direct_is_better({100ms, 0}, {5ms, 0.05}));  // chance
}

TEST(Choice, OnlyMuchMoreLossLeadsBackToTheRelay) {
  EXPECT_TRUE(relay_is_better({5ms, 0.2}, {100ms, 0}));
  EXPECT_FALSE(relay_is_better({5ms, 0.12}, {100ms, 0}));
  EXPECT_FALSE(relay_is_better({5ms, 0.2}, {100ms, 0.1}));
  EXPECT_FALSE(relay_is_better({500ms, 0}, {1ms, 0}));
}

TEST(Choice, BetweenDirectPathsOnlyAClearGainMoves) {
  EXPECT_FALSE(clearly_better({20ms, 0}, {20ms, 0}));
  EXPECT_FALSE(clearly_better({20ms, 0}, {15ms, 0}));
  EXPECT_TRUE(clearly_better({20ms, 0}, {14ms, 0}));
  EXPECT_TRUE(clearly_better({20ms, 0.3}, {60ms, 0}));
  EXPECT_FALSE(clearly_better({20ms, 0}, {1ms, 0.3}));
}

}  // namespace
}  // namespace ztna::nat
