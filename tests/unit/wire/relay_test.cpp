#include "wire/relay.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "unit/wire/bytes_of.hpp"

namespace ztna::wire {
namespace {

base::Bytes encode(const RelayHeader& header, base::BytesView payload) {
  std::array<std::uint8_t, RelayHeader::max_size> out{};
  const std::size_t size = header.encode(out);
  base::Bytes datagram(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size));
  datagram.insert(datagram.end(), payload.begin(), payload.end());
  return datagram;
}

TEST(Relay, LaysOutWholePackets) {
  EXPECT_EQ(base::to_hex(encode({.channel = 37, .ecn = 2}, hex("cafe"))), "0225cafe");
}

TEST(Relay, LaysOutPacketsThatMustNotBeCut) {
  EXPECT_EQ(base::to_hex(encode({.channel = 37, .ecn = 2, .whole_only = true}, hex("cafe"))),
            "1225cafe");
  EXPECT_TRUE(parse_relay(hex("1225cafe"))->header.whole_only);
}

TEST(Relay, LaysOutHalves) {
  const RelayHeader first{.channel = 15293, .ecn = 1, .fragment = true, .pair = 0x1234};
  EXPECT_EQ(base::to_hex(encode(first, hex("aa"))), "057bbd1234aa");
  const RelayHeader second{
      .channel = 15293, .ecn = 1, .fragment = true, .second = true, .pair = 0x1234};
  EXPECT_EQ(base::to_hex(encode(second, hex("bb"))), "0d7bbd1234bb");
}

TEST(Relay, RefusesMalformedDatagrams) {
  for (const char* bad : {
           "",                            // nothing
           "00",                          // no channel
           "0001",                        // no payload
           "2001aa", "8001aa",            // reserved bits
           "14010001aa",                  // a half of what must not be cut
           "0801aa",                      // second half of no fragment
           "0000aa",                      // channel 0
           "00c000000040000000aa",        // channel 2^30
           "0040",                        // channel cut short
           "0401", "040100", "04010001",  // fragment without number, or without payload
       }) {
    EXPECT_FALSE(parse_relay(hex(bad))) << bad;
  }
}

TEST(Relay, AcceptsTheLargestChannel) {
  const auto packet = parse_relay(hex("00bfffffffaa"));
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->header.channel, relay_channel_max);
  EXPECT_EQ(packet->header.size(), 5u);
}

// FACTS of the wire: QUIC guarantees 1200-octet packets; the smallest frame payload that a
// connection with 20-octet ids then has is 1200 - 1 - 20 - 4 - 16 - 3 octets.
TEST(Relay, A1200OctetPacketPassesOnTheSmallestOuterPath) {
  constexpr std::size_t smallest = 1200 - 1 - 20 - 4 - 16 - 3;
  for (const std::uint32_t channel : {1u, 64u, 16384u, relay_channel_max}) {
    const RelaySplit split = relay_split(channel, 1200, smallest);
    EXPECT_EQ(split.fit, RelayFit::halves);
    EXPECT_EQ(split.first, 600u);
  }
}

TEST(Relay, SplitsExactlyWhereTheHeaderLeavesNoRoom) {
  EXPECT_EQ(relay_split(1, 98, 100).fit, RelayFit::whole);  // 1 flags + 1 channel
  EXPECT_EQ(relay_split(1, 99, 100).fit, RelayFit::halves);
  EXPECT_EQ(relay_split(1, 192, 100).fit, RelayFit::halves);  // 2 × (100 - 4)
  EXPECT_EQ(relay_split(1, 193, 100).fit, RelayFit::impossible);
  EXPECT_EQ(relay_split(1, 0, 100).fit, RelayFit::impossible);
  EXPECT_EQ(relay_split(1, 1, 0).fit, RelayFit::impossible);
}

TEST(Relay, NodesAndIntermediatesNeverUseTheSamePairNumber) {
  auto node = RelayPairNumbers::of_node();
  auto intermediate = RelayPairNumbers::of_intermediate();
  std::set<std::uint16_t> seen;
  for (int i = 0; i < 32768; ++i) {
    EXPECT_TRUE(seen.insert(node.next()).second);
    EXPECT_TRUE(seen.insert(intermediate.next()).second);
  }
}

RC_GTEST_PROP(Relay, RoundTrips, (bool fragment, bool flag, std::uint16_t pair)) {
  RelayHeader header;
  header.channel =
      *rc::gen::inRange<std::uint32_t>(1, relay_channel_max) >> *rc::gen::inRange(0, 30);
  RC_PRE(header.channel > 0);
  header.ecn = *rc::gen::inRange<std::uint8_t>(0, 4);
  header.fragment = fragment;
  header.second = fragment && flag;
  header.whole_only = !fragment && flag;
  header.pair = pair;
  const base::Bytes payload = pattern(*rc::gen::inRange<std::size_t>(1, 2000));
  const base::Bytes datagram = encode(header, payload);
  RC_ASSERT(datagram.size() == header.size() + payload.size());
  const auto parsed = parse_relay(datagram);
  RC_ASSERT(parsed.has_value());
  RC_ASSERT(parsed->header.channel == header.channel);
  RC_ASSERT(parsed->header.ecn == header.ecn);
  RC_ASSERT(parsed->header.fragment == header.fragment);
  RC_ASSERT(parsed->header.second == header.second);
  RC_ASSERT(parsed->header.whole_only == header.whole_only);
  RC_ASSERT(!fragment || parsed->header.pair == pair);
  RC_ASSERT(copy(parsed->payload) == payload);
}

RC_GTEST_PROP(Relay, WhatASplitPromisesFits, ()) {
  const auto channel = *rc::gen::inRange<std::uint32_t>(1, 100000);
  const auto packet = *rc::gen::inRange<std::size_t>(1, 4000);
  const auto limit = *rc::gen::inRange<std::size_t>(0, 2000);
  const RelaySplit split = relay_split(channel, packet, limit);
  const RelayHeader whole{.channel = channel};
  const RelayHeader half{.channel = channel, .fragment = true};
  if (whole.size() + packet <= limit) {
    RC_ASSERT(split.fit == RelayFit::whole);
  } else if (packet >= 2 && half.size() + (packet + 1) / 2 <= limit) {
    RC_ASSERT(split.fit == RelayFit::halves);
    RC_ASSERT(split.first >= 1u);
    RC_ASSERT(split.first < packet);
    RC_ASSERT(half.size() + split.first <= limit);
    RC_ASSERT(half.size() + packet - split.first <= limit);
  } else {
    RC_ASSERT(split.fit == RelayFit::impossible);
  }
}

}  // namespace
}  // namespace ztna::wire
