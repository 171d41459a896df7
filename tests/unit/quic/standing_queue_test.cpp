#include "quic/standing_queue.hpp"

#include <gtest/gtest.h>

namespace ztna::quic {
namespace {

using namespace std::chrono_literals;

constexpr base::Time queue_start{std::chrono::seconds(1000)};

// A line, and streams that always have more to send than they may: what is under way is the limit,
// or what congestion control allows. What the line does not carry in a round trip waits in its
// queue.
struct Road {
  StandingQueue queue;
  base::Duration delay = 20ms;
  double octets_per_ms = 2500;  // 20 Mbit/s
  std::uint64_t window = 300'000;
  base::Duration foreign = 0ms;  // somebody else's queue
  base::Time now = queue_start;
  std::uint64_t under_way = 0;
  bool game = true;

  base::Duration rtt() const {
    const base::Duration line(
        static_cast<std::int64_t>(1e6 * static_cast<double>(under_way) / octets_per_ms));
    return std::max(delay, line) + foreign;
  }
  // Acknowledgements every 2 ms; each tells of what was under way when its packet was sent.
  void run(base::Duration time) {
    for (const base::Time end = now + time; now < end; now += 2ms) {
      if (game) queue.datagram_sent(now);
      queue.sample(rtt(), under_way, now);
      under_way = std::min(window, queue.limit(now));
    }
  }
};

TEST(StandingQueue, WithoutDatagramsThereIsNoLimit) {
  Road road;
  road.game = false;
  road.run(5s);
  EXPECT_EQ(road.under_way, road.window);
  EXPECT_EQ(road.queue.limit(road.now), StandingQueue::unlimited);
}

TEST(StandingQueue, AFullQueueEmptiesWhenTheGameBegins) {
  Road road;
  road.game = false;
  road.run(1s);
  ASSERT_GT(road.rtt(), 100ms);
  road.game = true;
  road.run(1s);
  EXPECT_LE(road.rtt(), road.delay + 2 * StandingQueue::target);
  EXPECT_GE(road.rtt(), road.delay) << "and the line stays busy";
  road.run(20s);
  EXPECT_LE(road.rtt(), road.delay + 2 * StandingQueue::target);
  EXPECT_GE(static_cast<double>(road.under_way), 0.95 * 20 * road.octets_per_ms);
}

TEST(StandingQueue, StreamsThatBeginBesideAGameFindTheLinesRate) {
  Road road;
  road.window = 0;
  road.run(2s);
  EXPECT_EQ(road.queue.limit(road.now), StandingQueue::least);
  road.window = 300'000;
  base::Duration worst{};
  for (int i = 0; i < 1000; ++i) {
    road.run(2ms);
    worst = std::max(worst, road.rtt());
  }
  EXPECT_GE(static_cast<double>(road.under_way), 0.95 * 20 * road.octets_per_ms);
  EXPECT_LE(worst, road.delay + 3 * StandingQueue::target);
}

TEST(StandingQueue, TheLimitIsOverSoonAfterTheGame) {
  Road road;
  road.run(2s);
  ASSERT_LT(road.under_way, road.window);
  road.game = false;
  road.run(StandingQueue::active_for + 100ms);
  EXPECT_EQ(road.under_way, road.window);
}

TEST(StandingQueue, WhatIsSlowerForEverIsNoQueue) {
  Road road;
  road.run(2s);
  road.foreign = 50ms;
  road.run(10s);
  EXPECT_EQ(road.under_way, StandingQueue::least) << "it may be a queue, and ours";
  road.run(2 * StandingQueue::memory);
  EXPECT_GE(static_cast<double>(road.under_way), 0.95 * 20 * road.octets_per_ms);
}

TEST(StandingQueue, AnotherPathIsAnotherLine) {
  Road road;
  road.run(2s);
  road.delay = 60ms;
  road.queue.path_changed();
  road.run(4s);
  EXPECT_GE(static_cast<double>(road.under_way), 0.95 * 60 * road.octets_per_ms);
  EXPECT_LE(road.rtt(), road.delay + 3 * StandingQueue::target);
}

}  // namespace
}  // namespace ztna::quic
