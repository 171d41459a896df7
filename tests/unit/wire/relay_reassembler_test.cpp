#include "wire/relay_reassembler.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "unit/wire/bytes_of.hpp"

namespace ztna::wire {
namespace {

using namespace std::chrono_literals;

constexpr base::Time relay_start{1h};

RelayPacket half(std::uint32_t channel, std::uint16_t pair, bool second, base::BytesView payload,
                 std::uint8_t ecn = 0) {
  return {{.channel = channel, .ecn = ecn, .fragment = true, .second = second, .pair = pair},
          payload};
}

class RelayReassemblerTest : public testing::Test {
 protected:
  const base::Bytes a = hex("a1a2a3");
  const base::Bytes b = hex("b1b2");
  RelayReassembler reassembler;
};

TEST_F(RelayReassemblerTest, JoinsHalvesInOrder) {
  EXPECT_FALSE(reassembler.add(half(5, 7, false, a, 2), relay_start));
  const auto joined = reassembler.add(half(5, 7, true, b, 2), relay_start + 1ms);
  ASSERT_TRUE(joined);
  EXPECT_EQ(joined->channel, 5u);
  EXPECT_EQ(joined->ecn, 2);
  EXPECT_EQ(base::to_hex(joined->payload), "a1a2a3b1b2");
  EXPECT_EQ(reassembler.pending(), 0u);
}

TEST_F(RelayReassemblerTest, JoinsHalvesOutOfOrder) {
  EXPECT_FALSE(reassembler.add(half(5, 7, true, b), relay_start));
  const auto joined = reassembler.add(half(5, 7, false, a), relay_start);
  ASSERT_TRUE(joined);
  EXPECT_EQ(base::to_hex(joined->payload), "a1a2a3b1b2");
}

TEST_F(RelayReassemblerTest, CongestionSeenByOneHalfIsSeenByThePacket) {
  EXPECT_FALSE(reassembler.add(half(5, 7, false, a, 3), relay_start));
  EXPECT_EQ(reassembler.add(half(5, 7, true, b, 2), relay_start)->ecn, 3);
  EXPECT_FALSE(reassembler.add(half(5, 8, false, a, 2), relay_start));
  EXPECT_EQ(reassembler.add(half(5, 8, true, b, 3), relay_start)->ecn, 3);
}

TEST_F(RelayReassemblerTest, KeepsChannelsAndPairsApart) {
  EXPECT_FALSE(reassembler.add(half(5, 7, false, a), relay_start));
  EXPECT_FALSE(reassembler.add(half(6, 7, true, b), relay_start));
  EXPECT_FALSE(reassembler.add(half(5, 8, true, b), relay_start));
  EXPECT_EQ(reassembler.pending(), 3u);
}

TEST_F(RelayReassemblerTest, ForgetsAHalfAfterItsTime) {
  EXPECT_FALSE(reassembler.add(half(5, 7, false, a), relay_start));
  EXPECT_FALSE(reassembler.add(half(5, 7, true, b), relay_start + 1s + 1ns));
  EXPECT_EQ(reassembler.drops().expired, 1u);
  EXPECT_EQ(reassembler.pending(), 1u);
  EXPECT_TRUE(reassembler.add(half(5, 7, false, a), relay_start + 2s));
}

TEST_F(RelayReassemblerTest, ARepeatedHalfReplacesTheOldOne) {
  EXPECT_FALSE(reassembler.add(half(5, 7, false, b), relay_start));
  EXPECT_FALSE(reassembler.add(half(5, 7, false, a), relay_start));
  EXPECT_EQ(reassembler.drops().repeated, 1u);
  EXPECT_EQ(base::to_hex(reassembler.add(half(5, 7, true, b), relay_start)->payload), "a1a2a3b1b2");
}

TEST_F(RelayReassemblerTest, EvictsTheOldestWhenFull) {
  for (std::uint16_t pair = 0; pair < 33; ++pair) {
    EXPECT_FALSE(reassembler.add(half(5, pair, false, a), relay_start));
  }
  EXPECT_EQ(reassembler.pending(), 32u);
  EXPECT_EQ(reassembler.drops().evicted, 1u);
  EXPECT_TRUE(reassembler.add(half(5, 1, true, b), relay_start));
  EXPECT_FALSE(reassembler.add(half(5, 0, true, b), relay_start));
}

TEST_F(RelayReassemblerTest, OneChannelCannotPushOutAnothers) {
  EXPECT_FALSE(reassembler.add(half(6, 0, false, a), relay_start));
  for (std::uint16_t pair = 0; pair < 1000; ++pair) {
    EXPECT_FALSE(reassembler.add(half(5, pair, false, a), relay_start));
  }
  EXPECT_TRUE(reassembler.add(half(6, 0, true, b), relay_start));
}

TEST_F(RelayReassemblerTest, RefusesOversizeHalves) {
  RelayReassembler small({.half_size = 2});
  EXPECT_FALSE(small.add(half(5, 7, false, a), relay_start));
  EXPECT_EQ(small.drops().oversize, 1u);
  EXPECT_EQ(small.pending(), 0u);
}

TEST_F(RelayReassemblerTest, AClosedChannelLeavesNothing) {
  EXPECT_FALSE(reassembler.add(half(5, 7, false, a), relay_start));
  EXPECT_FALSE(reassembler.add(half(6, 7, false, a), relay_start));
  reassembler.forget(5);
  EXPECT_EQ(reassembler.drops().forgotten, 1u);
  EXPECT_FALSE(reassembler.add(half(5, 7, true, b), relay_start));
  EXPECT_TRUE(reassembler.add(half(6, 7, true, b), relay_start));
}

// Whatever arrives, memory stays within the limits and a joined packet is first + second of one
// pair of one channel: each half carries its own name.
RC_GTEST_PROP(RelayReassembler, StaysWithinItsLimits, ()) {
  const RelayReassembler::Limits limits{.pairs = 4, .half_size = 64, .max_age = 10ms};
  RelayReassembler reassembler(limits);
  base::Time now = relay_start;
  const int steps = *rc::gen::inRange(0, 200);
  for (int i = 0; i < steps; ++i) {
    now += *rc::gen::inRange(0, 4) * 1ms;
    const auto channel = *rc::gen::inRange<std::uint8_t>(1, 4);
    const auto pair = *rc::gen::inRange<std::uint8_t>(0, 6);
    const bool second = *rc::gen::arbitrary<bool>();
    base::Bytes payload(*rc::gen::inRange<std::size_t>(3, 70), 0);
    payload[0] = channel;
    payload[1] = pair;
    payload[2] = second ? 1 : 0;
    const auto joined = reassembler.add(half(channel, pair, second, payload), now);
    RC_ASSERT(reassembler.pending() <= limits.pairs);
    RC_ASSERT(reassembler.pending_octets() <= limits.pairs * limits.half_size);
    if (!joined) continue;
    RC_ASSERT(joined->channel == channel);
    RC_ASSERT(joined->payload[0] == channel);
    RC_ASSERT(joined->payload[1] == pair);
    RC_ASSERT(joined->payload[2] == 0);
  }
}

}  // namespace
}  // namespace ztna::wire
