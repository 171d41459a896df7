#include "wire/flow_reassembler.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <numeric>

#include "unit/wire/bytes_of.hpp"

namespace ztna::wire {
namespace {

using namespace std::chrono_literals;

constexpr base::Time flow_start{1h};

FlowDatagram piece(std::uint64_t flow, std::uint16_t packet, std::uint8_t index, std::uint8_t count,
                   base::BytesView payload) {
  return {{.flow = flow, .fragmented = true, .packet = packet, .index = index, .count = count},
          payload};
}

class FlowReassemblerTest : public testing::Test {
 protected:
  const base::Bytes a = hex("a1a2");
  const base::Bytes b = hex("b1b2");
  const base::Bytes c = hex("c1");
  FlowReassembler reassembler;
};

TEST_F(FlowReassemblerTest, JoinsPiecesInAnyOrder) {
  EXPECT_FALSE(reassembler.add(piece(1, 9, 2, 3, c), flow_start));
  EXPECT_FALSE(reassembler.add(piece(1, 9, 0, 3, a), flow_start));
  const auto payload = reassembler.add(piece(1, 9, 1, 3, b), flow_start);
  ASSERT_TRUE(payload);
  EXPECT_EQ(base::to_hex(*payload), "a1a2b1b2c1");
  EXPECT_EQ(reassembler.pending(), 0u);
  EXPECT_EQ(reassembler.pending_octets(), 0u);
}

TEST_F(FlowReassemblerTest, KeepsFlowsAndPacketsApart) {
  EXPECT_FALSE(reassembler.add(piece(1, 9, 0, 2, a), flow_start));
  EXPECT_FALSE(reassembler.add(piece(2, 9, 1, 2, b), flow_start));
  EXPECT_FALSE(reassembler.add(piece(1, 8, 1, 2, b), flow_start));
  EXPECT_EQ(reassembler.pending(), 3u);
}

TEST_F(FlowReassemblerTest, ADuplicateChangesNothing) {
  EXPECT_FALSE(reassembler.add(piece(1, 9, 0, 2, a), flow_start));
  EXPECT_FALSE(reassembler.add(piece(1, 9, 0, 2, b), flow_start));
  EXPECT_EQ(reassembler.drops().duplicate, 1u);
  EXPECT_EQ(base::to_hex(*reassembler.add(piece(1, 9, 1, 2, c), flow_start)), "a1a2c1");
}

TEST_F(FlowReassemblerTest, PiecesThatDisagreeAboutTheCountStartAnew) {
  EXPECT_FALSE(reassembler.add(piece(1, 9, 0, 2, a), flow_start));
  EXPECT_FALSE(reassembler.add(piece(1, 9, 1, 3, b), flow_start));
  EXPECT_EQ(reassembler.drops().inconsistent, 1u);
  EXPECT_FALSE(reassembler.add(piece(1, 9, 0, 3, a), flow_start));
  EXPECT_TRUE(reassembler.add(piece(1, 9, 2, 3, c), flow_start));
}

TEST_F(FlowReassemblerTest, GivesUpAfterItsTime) {
  EXPECT_FALSE(reassembler.add(piece(1, 9, 0, 2, a), flow_start));
  EXPECT_FALSE(reassembler.add(piece(1, 9, 1, 2, b), flow_start + 1s + 1ns));
  EXPECT_EQ(reassembler.drops().expired, 1u);
}

TEST_F(FlowReassemblerTest, DoesNotMixAPacketWithTheNextUseOfItsNumber) {
  EXPECT_FALSE(reassembler.add(piece(1, 9, 1, 2, b), flow_start));
  EXPECT_FALSE(reassembler.add(piece(2, 9, 1, 2, b), flow_start));  // another flow: left alone
  EXPECT_FALSE(reassembler.add(piece(1, 9 + 4096, 1, 2, b), flow_start + 1ms));
  EXPECT_EQ(reassembler.drops().expired, 1u);
  EXPECT_FALSE(reassembler.add(piece(1, 9, 0, 2, a), flow_start + 2ms));
  EXPECT_TRUE(reassembler.add(piece(2, 9, 0, 2, a), flow_start + 2ms));
}

TEST_F(FlowReassemblerTest, EvictsTheOldestPacketWhenFull) {
  FlowReassembler few({.packets = 2});
  EXPECT_FALSE(few.add(piece(1, 1, 0, 2, a), flow_start));
  EXPECT_FALSE(few.add(piece(1, 2, 0, 2, a), flow_start));
  EXPECT_FALSE(few.add(piece(1, 3, 0, 2, a), flow_start));
  EXPECT_EQ(few.drops().evicted, 1u);
  EXPECT_TRUE(few.add(piece(1, 2, 1, 2, b), flow_start));
  EXPECT_TRUE(few.add(piece(1, 3, 1, 2, b), flow_start));
  EXPECT_FALSE(few.add(piece(1, 1, 1, 2, b), flow_start));
}

TEST_F(FlowReassemblerTest, BoundsItsMemory) {
  const base::Bytes large = pattern(1400);
  for (std::uint16_t packet = 0; packet < 2000; ++packet) {
    EXPECT_FALSE(reassembler.add(piece(1, packet, 0, 64, large), flow_start));
    EXPECT_LE(reassembler.pending_octets(), 256u * 1024);
  }
  EXPECT_EQ(reassembler.drops().evicted + reassembler.pending(), 2000u);
}

TEST_F(FlowReassemblerTest, RefusesPacketsLargerThanUdp) {
  const base::Bytes large = pattern(40000);
  EXPECT_FALSE(reassembler.add(piece(1, 1, 0, 2, large), flow_start));
  EXPECT_FALSE(reassembler.add(piece(1, 1, 1, 2, large), flow_start));
  EXPECT_EQ(reassembler.drops().oversize, 1u);
  EXPECT_EQ(reassembler.pending(), 0u);
  EXPECT_EQ(reassembler.pending_octets(), 0u);
}

TEST_F(FlowReassemblerTest, APacketThatAloneExceedsTheBudgetIsDropped) {
  FlowReassembler tiny({.octets = 2000});
  EXPECT_FALSE(tiny.add(piece(1, 1, 0, 2, a), flow_start));
  EXPECT_FALSE(tiny.add(piece(1, 2, 0, 2, pattern(1400)), flow_start));
  EXPECT_EQ(tiny.drops().oversize, 1u);
  EXPECT_EQ(tiny.pending_octets(), 0u);
}

TEST_F(FlowReassemblerTest, AnEndedFlowLeavesNothing) {
  EXPECT_FALSE(reassembler.add(piece(1, 9, 0, 2, a), flow_start));
  EXPECT_FALSE(reassembler.add(piece(2, 9, 0, 2, a), flow_start));
  reassembler.forget(1);
  EXPECT_EQ(reassembler.drops().forgotten, 1u);
  EXPECT_EQ(reassembler.pending(), 1u);
}

// Packets of several flows, cut by our fragmenter, shuffled: all arrive, as they were.
RC_GTEST_PROP(FlowReassembler, UndoesTheFragmenter, ()) {
  const auto sizes =
      *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1200, 6000));
  RC_PRE(sizes.size() <= 20u);
  std::vector<base::Bytes> payloads;
  std::vector<FlowDatagram> pieces;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    payloads.push_back(pattern(sizes[i], static_cast<unsigned>(i)));
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const FlowFragmenter cut(i % 3, static_cast<std::uint16_t>(i), payloads[i], 1150);
    for (std::size_t k = 0; k < cut.count(); ++k) pieces.push_back(cut.piece(k));
  }
  for (std::size_t i = pieces.size(); i > 1; --i) {
    std::swap(pieces[i - 1], pieces[*rc::gen::inRange<std::size_t>(0, i)]);
  }
  FlowReassembler reassembler;
  std::size_t arrived = 0;
  for (const FlowDatagram& piece : pieces) {
    if (const auto payload = reassembler.add(piece, flow_start)) {
      RC_ASSERT(copy(*payload) == payloads[piece.header.packet]);
      ++arrived;
    }
  }
  RC_ASSERT(arrived == payloads.size());
  RC_ASSERT(reassembler.pending() == 0u);
}

}  // namespace
}  // namespace ztna::wire
