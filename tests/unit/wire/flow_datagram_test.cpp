#include "wire/flow_datagram.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "unit/wire/bytes_of.hpp"

namespace ztna::wire {
namespace {

base::Bytes encode(const FlowDatagram& datagram) {
  std::array<std::uint8_t, FlowDatagramHeader::max_size> out{};
  const std::size_t size = datagram.header.encode(out);
  base::Bytes bytes(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size));
  bytes.insert(bytes.end(), datagram.payload.begin(), datagram.payload.end());
  return bytes;
}

TEST(FlowDatagram, LaysOutWholePayloads) {
  const base::Bytes payload = hex("cafe");
  const FlowFragmenter cut(flow_of_stream(4 * 15293), 9, payload, 1200);
  ASSERT_EQ(cut.count(), 1u);
  EXPECT_EQ(base::to_hex(encode(cut.piece(0))), "007bbdcafe");
}

TEST(FlowDatagram, LaysOutPieces) {
  const base::Bytes payload = hex("a1a2a3a4a5a6a7");
  const FlowFragmenter cut(37, 0x1234, payload, 6 + 2);
  ASSERT_EQ(cut.count(), 4u);
  EXPECT_EQ(base::to_hex(encode(cut.piece(0))),
            "0125"
            "1234"
            "0004"
            "a1a2");
  EXPECT_EQ(base::to_hex(encode(cut.piece(3))),
            "0125"
            "1234"
            "0304"
            "a7");
}

TEST(FlowDatagram, CarriesEmptyPayloads) {
  const FlowFragmenter cut(1, 0, {}, 1200);
  ASSERT_EQ(cut.count(), 1u);
  const base::Bytes datagram = encode(cut.piece(0));
  EXPECT_EQ(base::to_hex(datagram), "0001");
  const auto parsed = parse_flow_datagram(datagram);
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->payload.empty());
}

TEST(FlowDatagram, FlowsAreStreamsOfTheClient) {
  EXPECT_EQ(flow_of_stream(0), 0u);
  EXPECT_EQ(flow_of_stream(4), 1u);
  EXPECT_EQ(stream_of_flow(1), 4);
  constexpr std::int64_t largest = (std::int64_t{1} << 62) - 4;
  EXPECT_EQ(stream_of_flow(flow_of_stream(largest)), largest);
}

TEST(FlowDatagram, RefusesMalformedDatagrams) {
  for (const char* bad : {
           "",                                                // nothing
           "00",                                              // no flow
           "0040",                                            // flow cut short
           "0201aa", "8001aa",                                // reserved bits
           "00d000000000000000aa",                            // flow 2^60
           "0101", "01010001", "0101000100", "010100010002",  // piece cut short, or empty
           "010100010001aa",                                  // a count of 1
           "010100010000aa",                                  // of 0
           "010100010041aa",                                  // of 65
           "010100010202aa",                                  // index 2 of 2
       }) {
    EXPECT_FALSE(parse_flow_datagram(hex(bad))) << bad;
  }
}

TEST(FlowDatagram, AnyUdpPayloadPassesOnSmallPaths) {
  const base::Bytes payload = pattern(udp_max_payload);
  const FlowFragmenter cut((std::uint64_t{1} << 60) - 1, 1, payload, 1100);
  EXPECT_GT(cut.count(), 1u);
  EXPECT_LE(cut.count(), flow_max_pieces);
}

TEST(FlowDatagram, SaysWhenAPathIsTooSmall) {
  const base::Bytes payload = pattern(udp_max_payload);
  EXPECT_EQ(FlowFragmenter(1, 1, payload, 1000).count(), 0u);
  EXPECT_EQ(FlowFragmenter(1, 1, payload, 0).count(), 0u);
  EXPECT_EQ(FlowFragmenter(1, 1, base::BytesView(payload).first(1), 2).count(), 0u);
  EXPECT_EQ(FlowFragmenter(1, 1, {}, 1).count(), 0u);
}

TEST(FlowDatagram, NeverMakesASinglePiece) {
  // One octet more than fits unfragmented needs two pieces, although the limit is near.
  const base::Bytes payload = pattern(1199);
  EXPECT_EQ(FlowFragmenter(1, 1, base::BytesView(payload).first(1198), 1200).count(), 1u);
  EXPECT_EQ(FlowFragmenter(1, 1, payload, 1200).count(), 2u);
  EXPECT_EQ(flow_whole_limit(1, 1200), 1198u);
}

RC_GTEST_PROP(FlowDatagram, PiecesFitAndAddUp, ()) {
  const std::uint64_t flow =
      *rc::gen::inRange<std::uint64_t>(0, std::uint64_t{1} << 60) >> *rc::gen::inRange(0, 60);
  const auto number = *rc::gen::arbitrary<std::uint16_t>();
  const base::Bytes payload = pattern(*rc::gen::inRange<std::size_t>(0, udp_max_payload + 1));
  const auto limit = *rc::gen::inRange<std::size_t>(1100, 1500);
  const FlowFragmenter cut(flow, number, payload, limit);
  RC_ASSERT(cut.count() >= 1u);
  RC_ASSERT(cut.count() <= flow_max_pieces);
  base::Bytes joined;
  for (std::size_t i = 0; i < cut.count(); ++i) {
    const base::Bytes datagram = encode(cut.piece(i));
    RC_ASSERT(datagram.size() <= limit);
    const auto parsed = parse_flow_datagram(datagram);
    RC_ASSERT(parsed.has_value());
    RC_ASSERT(parsed->header.flow == flow);
    RC_ASSERT(parsed->header.fragmented == (cut.count() > 1));
    if (parsed->header.fragmented) {
      RC_ASSERT(parsed->header.packet == number);
      RC_ASSERT(parsed->header.index == i);
      RC_ASSERT(parsed->header.count == cut.count());
    }
    joined.insert(joined.end(), parsed->payload.begin(), parsed->payload.end());
  }
  RC_ASSERT(joined == payload);
}

}  // namespace
}  // namespace ztna::wire
