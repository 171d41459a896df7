#include "nat/path_health.hpp"

#include <gtest/gtest.h>

#include "nat/timeouts.hpp"

namespace ztna::nat {
namespace {

using namespace std::chrono_literals;

wire::stun::TransactionId id(std::uint8_t number) {
  wire::stun::TransactionId id;
  id.octets.fill(number);
  return id;
}

const base::Time t0{base::Duration(1000s)};

TEST(PathHealth, AnAnswerToACheckProvesIt) {
  PathHealth health;
  EXPECT_FALSE(health.proven());
  health.sent(id(1), false, false, t0);
  EXPECT_FALSE(health.proven());
  ASSERT_TRUE(health.answered(id(1), t0 + 30ms));
  EXPECT_TRUE(health.proven());
  EXPECT_EQ(health.quality().rtt, base::Duration(30ms));
}

// Nobody can answer what was not asked, nor twice.
TEST(PathHealth, OnlyWhatIsInFlightCounts) {
  PathHealth health;
  EXPECT_FALSE(health.answered(id(1), t0));
  health.sent(id(1), false, false, t0);
  EXPECT_FALSE(health.answered(id(2), t0));
  ASSERT_TRUE(health.answered(id(1), t0 + 1ms));
  EXPECT_FALSE(health.answered(id(1), t0 + 2ms));
}

TEST(PathHealth, HeartbeatsAreMissedAfterTwoRoundTripsAndTheSlack) {
  PathHealth health;
  health.sent(id(1), false, false, t0);
  ASSERT_TRUE(health.answered(id(1), t0 + 50ms));
  health.sent(id(2), true, false, t0 + 1s);
  const base::Time overdue = t0 + 1s + 2 * 50ms + timeouts::answer_slack;
  EXPECT_EQ(health.next_deadline(), overdue);
  health.expire(overdue - 1ns);
  EXPECT_EQ(health.missed(), 0);
  health.expire(overdue);
  EXPECT_EQ(health.missed(), 1);
  EXPECT_GT(health.quality().loss, 0);
  // One that comes late after all ends the doubt, and was not lost.
  ASSERT_TRUE(health.answered(id(2), overdue + 1ms));
  EXPECT_EQ(health.missed(), 0);
  EXPECT_EQ(health.quality().loss, 0);
  EXPECT_TRUE(health.proven());
}

// A process that was stopped for seconds reads answers that were there all the while.
TEST(PathHealth, LateAnswersDoNotMakeTheWayLookSlow) {
  PathHealth health;
  health.sent(id(1), false, false, t0);
  ASSERT_TRUE(health.answered(id(1), t0 + 1ms));
  for (std::uint8_t i = 2; i < 20; ++i) health.sent(id(i), true, false, t0 + i * 150ms);
  const base::Time awake = t0 + 20 * 150ms;
  ASSERT_TRUE(health.answered(id(2), awake)) << "before anything was counted as missed";
  health.expire(awake);
  for (std::uint8_t i = 3; i < 18; ++i) ASSERT_TRUE(health.answered(id(i), awake));
  EXPECT_LE(health.quality().rtt, base::Duration(1ms));
  // A burst of checks that waited for the other end to wake, and one more.
  for (std::uint8_t i = 20; i < 28; ++i) health.sent(id(i), false, false, awake);
  for (std::uint8_t i = 20; i < 28; ++i) ASSERT_TRUE(health.answered(id(i), awake + 2s));
  health.sent(id(28), false, false, awake + 2s);
  ASSERT_TRUE(health.answered(id(28), awake + 2s + 1ms));
  EXPECT_EQ(health.quality().rtt, base::Duration(1ms));
  // What is there still counts: a way that has become slower is seen in the next round.
  for (std::uint8_t i = 30; i < 60; ++i) {
    health.sent(id(i), false, false, awake + 3s);
    ASSERT_TRUE(health.answered(id(i), awake + 3s + 400ms));
  }
  EXPECT_GT(health.quality().rtt, base::Duration(300ms));
}

TEST(PathHealth, WhatWasLostCountsUntilItIsForgotten) {
  PathHealth health;
  health.sent(id(1), true, false, t0);
  health.expire(t0 + 10s);
  EXPECT_GT(health.quality().loss, 0);
  health.forget_loss();
  EXPECT_EQ(health.quality().loss, 0);
}

// A queue has filled meanwhile: packets of the session know, checks do not yet.
TEST(PathHealth, NothingIsMissedThatMayStillBeInAQueue) {
  PathHealth health;
  health.sent(id(1), false, false, t0);
  ASSERT_TRUE(health.answered(id(1), t0 + 20ms));
  health.expect_round_trip(800ms);
  health.sent(id(2), true, false, t0 + 1s);
  health.expire(t0 + 1s + 1600ms);
  EXPECT_EQ(health.missed(), 0);
  EXPECT_EQ(health.next_deadline(), t0 + 1s + 1600ms + timeouts::answer_slack);
}

// An MTU that shrank: small heartbeats are answered, large ones are not.
TEST(PathHealth, LargeHeartbeatsAreCountedByThemselves) {
  PathHealth health;
  health.sent(id(1), false, false, t0);
  ASSERT_TRUE(health.answered(id(1), t0 + 10ms));
  base::Time now = t0;
  for (std::uint8_t n = 2; n < 6; n += 2) {
    now += 1s;
    health.sent(id(n), true, true, now);
    health.sent(id(n + 1), true, false, now);
    ASSERT_TRUE(health.answered(id(n + 1), now + 10ms));
    health.expire(now + 500ms);
  }
  EXPECT_EQ(health.missed(), 2);
}

TEST(PathHealth, RoundsOfChecksWithoutAnswerAreNotLoss) {
  PathHealth health;
  health.sent(id(1), false, false, t0);
  health.expire(t0 + 10s);
  EXPECT_EQ(health.missed(), 0);
  EXPECT_EQ(health.quality().loss, 0);
  EXPECT_EQ(health.next_deadline(), base::never);
}

}  // namespace
}  // namespace ztna::nat
