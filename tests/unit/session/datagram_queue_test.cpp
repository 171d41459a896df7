#include "session/datagram_queue.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "wire/flow_reassembler.hpp"

namespace ztna::session {
namespace {

using namespace std::chrono_literals;

class DatagramQueueTest : public ::testing::Test {
 protected:
  DatagramQueueTest() {
    queue.set_limit([this] { return limit; });
  }
  std::optional<wire::FlowDatagram> pop() {
    quic::DatagramSource::Item item;
    if (!queue.peek(item)) return std::nullopt;
    last.assign(item.header.begin(), item.header.end());
    last.insert(last.end(), item.payload.begin(), item.payload.end());
    EXPECT_LE(last.size(), limit);
    queue.done(quic::DatagramSource::Fate::sent);
    return wire::parse_flow_datagram(last);
  }
  // Everything that waits, joined at the other end.
  std::vector<base::Bytes> receive() {
    std::vector<base::Bytes> whole;
    while (const auto piece = pop()) {
      if (!piece->header.fragmented) {
        whole.emplace_back(piece->payload.begin(), piece->payload.end());
      } else if (const auto joined = reassembler.add(*piece, base::Time{1s})) {
        whole.emplace_back(joined->begin(), joined->end());
      }
    }
    return whole;
  }
  static base::Bytes payload(std::size_t size) {
    base::Bytes out(size);
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
    return out;
  }

  std::size_t limit = 1200;
  DatagramQueue queue;
  wire::FlowReassembler reassembler;
  base::Bytes last;
};

TEST_F(DatagramQueueTest, PayloadsOfAnySizeArriveInOrder) {
  const std::vector<base::Bytes> sent = {payload(0), payload(1), payload(1190), payload(1472),
                                         payload(9000)};
  for (const auto& p : sent) queue.push(3, p);
  EXPECT_EQ(receive(), sent);
  EXPECT_TRUE(queue.empty());
}

// The path shrinks when some pieces have left: all are sent again, for the new size.
TEST_F(DatagramQueueTest, StartsAgainWhenThePathShrinksHalfWay) {
  queue.push(3, payload(4000));
  const auto piece = pop();
  ASSERT_TRUE(piece && piece->header.fragmented);
  EXPECT_FALSE(reassembler.add(*piece, base::Time{1s}));
  limit = 700;
  EXPECT_EQ(receive(), std::vector<base::Bytes>{payload(4000)});
}

// A path that grew changes nothing for a payload under way.
TEST_F(DatagramQueueTest, KeepsItsPlanWhenThePathGrowsHalfWay) {
  queue.push(3, payload(4000));
  const auto piece = pop();
  const auto count = piece->header.count;
  EXPECT_FALSE(reassembler.add(*piece, base::Time{1s}));
  limit = 1400;
  quic::DatagramSource::Item item;
  ASSERT_TRUE(queue.peek(item));
  EXPECT_EQ(receive(), std::vector<base::Bytes>{payload(4000)});
  EXPECT_EQ(count, 4);
}

// A full queue lets the oldest go: what is new is what a game wants.
TEST_F(DatagramQueueTest, IsBounded) {
  for (std::uint8_t i = 0; i < 100; ++i) queue.push(1, base::Bytes(9000, i));
  std::vector<base::Bytes> got = receive();
  ASSERT_FALSE(got.empty());
  EXPECT_LE(got.size() * 9000, DatagramQueue::max_bytes);
  EXPECT_GT((got.size() + 2) * 9000, DatagramQueue::max_bytes);
  EXPECT_EQ(got.size() + queue.counters().overflowed, 100u);
  EXPECT_EQ(got.back(), base::Bytes(9000, 99));
}

// Empty payloads cost memory too.
TEST_F(DatagramQueueTest, EmptyPayloadsAreBounded) {
  for (int i = 0; i < 100'000; ++i) queue.push(1, {});
  EXPECT_GT(queue.counters().overflowed, 80'000u);
  queue.drop_flow(1);
  EXPECT_TRUE(queue.empty());
  queue.push(1, payload(9000));
  EXPECT_EQ(receive().size(), 1u) << "what was dropped is not counted any more";
}

TEST_F(DatagramQueueTest, OldOnesAreDropped) {
  queue.push(1, payload(10));
  queue.age(base::Time{1s});
  queue.push(1, payload(20));
  queue.age(base::Time{1s} + DatagramQueue::max_age);
  queue.age(base::Time{1s} + DatagramQueue::max_age + 1ms);
  EXPECT_EQ(queue.counters().too_old, 1u);
  EXPECT_EQ(receive(), std::vector<base::Bytes>{payload(20)});
}

// The front flow goes while half of its payload has left.
TEST_F(DatagramQueueTest, DroppedFlowLeavesTheNextOneWhole) {
  queue.push(1, payload(4000));
  queue.push(2, payload(3000));
  queue.push(1, payload(10));
  ASSERT_TRUE(pop());
  queue.drop_flow(1);
  EXPECT_EQ(receive(), std::vector<base::Bytes>{payload(3000)});
}

TEST_F(DatagramQueueTest, WhatNeedsTooManyPiecesIsCountedAndGone) {
  limit = 100;
  queue.push(1, payload(60'000));
  queue.push(1, payload(50));
  EXPECT_EQ(receive(), std::vector<base::Bytes>{payload(50)});
  EXPECT_EQ(queue.counters().too_large, 1u);
}

TEST_F(DatagramQueueTest, WaitsUntilThereIsAPath) {
  limit = 0;
  queue.push(1, payload(10));
  EXPECT_FALSE(pop());
  limit = 1200;
  EXPECT_TRUE(pop());
}

}  // namespace
}  // namespace ztna::session
