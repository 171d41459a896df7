#include "relay/fair_queue.hpp"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "wire/relay_reassembler.hpp"

namespace ztna::relay {
namespace {

using Fate = quic::DatagramSource::Fate;
using namespace std::chrono_literals;

class FairQueueTest : public ::testing::Test {
 protected:
  FairQueueTest() { queue.set_outer({1400, 0, 0ms}); }

  bool push(std::uint32_t channel, std::size_t size, std::uint8_t ecn = 0, bool whole = false) {
    wire::RelayHeader header;
    header.ecn = ecn;
    header.whole_only = whole;
    return queue.push(channel, header, base::Bytes(size, static_cast<std::uint8_t>(channel)));
  }
  // The next frame as the other end reads it.
  std::optional<base::Bytes> frame() {
    quic::DatagramSource::Item item;
    if (!queue.peek(item)) return std::nullopt;
    base::Bytes octets(item.header.begin(), item.header.end());
    octets.insert(octets.end(), item.payload.begin(), item.payload.end());
    return octets;
  }
  std::optional<wire::RelayPacket> pop() {
    auto octets = frame();
    if (!octets) return std::nullopt;
    queue.done(Fate::sent);
    last = std::move(*octets);
    return wire::parse_relay(last);
  }

  PacketPool pool;
  FairQueue::Counters counters;
  FairQueue queue{pool, counters, wire::RelayPairNumbers::of_node()};
  base::Bytes last;
};

TEST_F(FairQueueTest, KeepsTheOrderOfAChannel) {
  for (std::size_t size = 100; size < 110; ++size) ASSERT_TRUE(push(1, size));
  for (std::size_t size = 100; size < 110; ++size) EXPECT_EQ(pop()->payload.size(), size);
  EXPECT_FALSE(pop());
  EXPECT_TRUE(queue.empty());
}

// A game's packet behind a full queue of another session's bulk leaves after one packet or two of
// it, not after all.
TEST_F(FairQueueTest, GameDoesNotWaitForBulk) {
  while (push(1, 1200)) {
  }
  ASSERT_TRUE(push(2, 100)) << "the longest queue makes room";
  int before = 0;
  while (pop()->header.channel != 2) ++before;
  EXPECT_LE(before, 2);
}

// The number space is small: looking must not use it up, or halves of different packets meet.
TEST_F(FairQueueTest, EveryPacketThatIsCutHasOneNumber) {
  queue.set_outer({700, 1'000'000, 10ms});
  std::vector<std::uint16_t> numbers;
  for (int packet = 0; packet < 3; ++packet) {
    ASSERT_TRUE(push(1, 1200));
    for (int half = 0; half < 2; ++half) {
      const auto looked = frame();
      ASSERT_EQ(frame(), looked);
      const auto left = pop();
      ASSERT_TRUE(left && left->header.fragment);
      EXPECT_EQ(last, *looked);
      numbers.push_back(left->header.pair);
    }
  }
  const std::uint16_t first = numbers.front();
  EXPECT_EQ(numbers,
            (std::vector<std::uint16_t>{first, first, static_cast<std::uint16_t>(first + 1),
                                        static_cast<std::uint16_t>(first + 1),
                                        static_cast<std::uint16_t>(first + 2),
                                        static_cast<std::uint16_t>(first + 2)}));
}

// Equal shares of octets, whatever the packets' sizes.
TEST_F(FairQueueTest, SharesOctetsNotPackets) {
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(push(1, 1200));
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(push(2, 200));
  std::map<std::uint32_t, std::size_t> sent;
  while (sent[1] + sent[2] < 40'000) {
    const auto packet = pop();
    sent[packet->header.channel] += packet->payload.size();
  }
  EXPECT_NEAR(static_cast<double>(sent[1]), static_cast<double>(sent[2]), 3000);
}

TEST_F(FairQueueTest, IsBoundedAndDropsFromTheLongest) {
  std::size_t taken = 0;
  while (push(1, 1200)) taken += 1200;
  EXPECT_LE(taken, queue.limit());
  EXPECT_GT(taken, queue.limit() - 1200);
  EXPECT_EQ(counters.dropped_full, 1u);
  ASSERT_TRUE(push(2, 1200));
  EXPECT_LE(queue.bytes(1) + queue.bytes(2), queue.limit());
  EXPECT_EQ(queue.bytes(1), taken - 1200);
  EXPECT_EQ(counters.dropped_full, 2u);
}

// 20 ms of what the outer connection carries, within its bounds (DESIGN §8).
TEST_F(FairQueueTest, LimitFollowsTheOuterPace) {
  queue.set_outer({1400, 1'000'000, 100ms});  // 10 MB/s: 200 kB in 20 ms
  EXPECT_EQ(queue.limit(), 200'000u);
  queue.set_outer({1400, 10'000'000, 100ms});
  EXPECT_EQ(queue.limit(), FairQueue::max_bytes);
  queue.set_outer({1400, 10'000, 100ms});
  EXPECT_EQ(queue.limit(), FairQueue::min_bytes);
}

TEST_F(FairQueueTest, MarksWhatIsCapableWhileFilling) {
  ASSERT_TRUE(push(1, 1200, 2));
  EXPECT_EQ(counters.marked, 0u);
  while (queue.bytes(1) <= queue.limit() / 2) ASSERT_TRUE(push(1, 1200, 0));
  ASSERT_TRUE(push(1, 1200, 2));
  ASSERT_TRUE(push(1, 1200, 0));
  EXPECT_EQ(counters.marked, 1u) << "only ECN-capable packets are marked";
  EXPECT_EQ(pop()->header.ecn, 2);
  std::uint8_t seen = 0;
  while (const auto packet = pop()) seen = std::max(seen, packet->header.ecn);
  EXPECT_EQ(seen, 3);
}

TEST_F(FairQueueTest, HalvesJoinAgain) {
  queue.set_outer({800, 0, 0ms});
  ASSERT_TRUE(push(1, 1200, 1));
  wire::RelayReassembler reassembler;
  const auto first = pop();
  ASSERT_TRUE(first && first->header.fragment && !first->header.second);
  EXPECT_LE(last.size(), 800u);
  EXPECT_FALSE(reassembler.add(*first, base::Time{1s}));
  const auto second = pop();
  ASSERT_TRUE(second && second->header.fragment && second->header.second);
  const auto joined = reassembler.add(*second, base::Time{1s});
  ASSERT_TRUE(joined);
  EXPECT_EQ(joined->payload.size(), 1200u);
  EXPECT_EQ(joined->ecn, 1);
  EXPECT_EQ(counters.split, 1u);
  EXPECT_EQ(counters.packets, 1u);
  EXPECT_TRUE(queue.empty());
}

TEST_F(FairQueueTest, DropsProbesInsteadOfCuttingThem) {
  queue.set_outer({800, 0, 0ms});
  ASSERT_TRUE(push(1, 1200, 0, true));
  ASSERT_TRUE(push(1, 100));
  EXPECT_EQ(pop()->payload.size(), 100u);
  EXPECT_EQ(counters.dropped_too_large, 1u);
}

TEST_F(FairQueueTest, DropsWhatNotEvenHalvesCarry) {
  queue.set_outer({500, 0, 0ms});
  ASSERT_TRUE(push(1, 1200));
  EXPECT_FALSE(pop());
  EXPECT_EQ(counters.dropped_too_large, 1u);
  EXPECT_TRUE(queue.empty());
}

// The channel goes when one half of its packet has left: the next packet begins with a first half.
TEST_F(FairQueueTest, RemoveBetweenHalvesLeavesNoSecondHalfBehind) {
  queue.set_outer({800, 0, 0ms});
  for (const bool clear : {false, true}) {
    ASSERT_TRUE(push(1, 1200));
    ASSERT_TRUE(push(1, 1200));
    ASSERT_TRUE(pop()->header.fragment);
    clear ? queue.clear() : queue.remove(1);
    EXPECT_TRUE(queue.empty());
    EXPECT_FALSE(pop());
    ASSERT_TRUE(push(2, 100));
    ASSERT_TRUE(push(3, 1200));
    EXPECT_FALSE(pop()->header.fragment);
    const auto first = pop();
    EXPECT_TRUE(first->header.fragment && !first->header.second);
    EXPECT_TRUE(pop()->header.second);
  }
}

// Peeking again, even after more was pushed, shows the frame that was offered.
TEST_F(FairQueueTest, OffersTheSameFrameUntilItIsDone) {
  ASSERT_TRUE(push(1, 1200));
  const auto offered = frame();
  ASSERT_TRUE(push(2, 100));
  EXPECT_EQ(frame(), offered);
}

TEST_F(FairQueueTest, WaitsWhileTheOuterConnectionTakesNone) {
  queue.set_outer({0, 0, 0ms});
  ASSERT_TRUE(push(1, 100));
  EXPECT_FALSE(pop());
  queue.set_outer({1400, 0, 0ms});
  EXPECT_TRUE(pop());
}

TEST_F(FairQueueTest, ARetiredChannelSendsWhatItHasAndIsForgotten) {
  ASSERT_TRUE(push(1, 100));
  ASSERT_TRUE(push(2, 100));
  ASSERT_TRUE(push(3, 100));
  EXPECT_EQ(queue.channels(), 3u);
  queue.retire(1);
  queue.retire(7);
  EXPECT_EQ(queue.channels(), 3u);
  while (pop()) {
  }
  EXPECT_EQ(counters.packets, 3u);
  EXPECT_EQ(queue.channels(), 2u);
  queue.retire(2);
  EXPECT_EQ(queue.channels(), 1u) << "it had nothing to send";
}

// Idle channels cost nothing where the queue is full: only those that hold packets are looked at.
TEST_F(FairQueueTest, AFullQueueStillPrefersTheShorter) {
  for (std::uint32_t channel = 10; channel < 1000; ++channel) {
    ASSERT_TRUE(push(channel, 100));
    while (pop()) {
    }
  }
  while (push(1, 1200)) {
  }
  while (queue.bytes(2) + 1200 <= queue.bytes(1)) ASSERT_TRUE(push(2, 1200));
  EXPECT_LE(queue.bytes(1) + queue.bytes(2), queue.limit());
  EXPECT_NEAR(static_cast<double>(queue.bytes(1)), static_cast<double>(queue.bytes(2)), 1200.0);
}

}  // namespace
}  // namespace ztna::relay
