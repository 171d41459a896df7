#include "wire/message_stream.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "session.pb.h"
#include "unit/wire/bytes_of.hpp"
#include "uplink.pb.h"

namespace ztna::wire {
namespace {

uplink::v1::Message observed(const std::string& address) {
  uplink::v1::Message message;
  message.mutable_observed_address()->set_address(address);
  return message;
}

TEST(MessageStream, WritesTheLengthInFrontOfTheMessage) {
  session::v1::FlowOpen open;
  open.set_service("web");
  open.set_protocol(session::v1::FLOW_PROTOCOL_TCP);
  base::Bytes out = {0xff};
  append_message(out, open);
  // Field 1, wire type 2, "web"; field 2, wire type 0, 1 (protobuf encoding specification).
  EXPECT_EQ(base::to_hex(out),
            "ff07"
            "0a03776562"
            "1001");
}

TEST(MessageStream, WritesLengthsOfSeveralOctets) {
  base::Bytes out;
  append_message(out, observed(std::string(300, 'x')));
  // 300 octets, their own two-octet length, one tag: 303; again around it: 306 = 0xb2 0x02.
  EXPECT_EQ(base::to_hex(base::BytesView(out).first(2)), "b202");
  EXPECT_EQ(out.size(), 308u);
}

TEST(MessageStream, ReadsMessagesFedOctetByOctet) {
  base::Bytes stream;
  append_message(stream, observed("192.0.2.1:4433"));
  append_message(stream, uplink::v1::Message());  // empty: length 0
  append_message(stream, observed(std::string(1000, 'y')));
  MessageReader reader;
  std::vector<std::size_t> sizes;
  for (const std::uint8_t octet : stream) {
    reader.feed({&octet, 1});
    while (const auto payload = reader.next()) sizes.push_back(payload->size());
  }
  EXPECT_EQ(sizes, (std::vector<std::size_t>{18, 0, 1006}));
  EXPECT_EQ(reader.error(), nullptr);
  EXPECT_TRUE(reader.rest().empty());
}

TEST(MessageStream, HandsOverWhatFollowsTheFirstMessage) {
  base::Bytes stream;
  append_message(stream, observed("192.0.2.1:4433"));
  stream.insert(stream.end(), {0xff, 0xff, 0xff, 0xff, 0xff, 0xff});  // raw, no message
  MessageReader reader;
  reader.feed(base::BytesView(stream).first(5));
  EXPECT_FALSE(reader.next());
  reader.feed(base::BytesView(stream).subspan(5));
  const auto payload = reader.next();
  ASSERT_TRUE(payload);
  uplink::v1::Message message;
  ASSERT_TRUE(parse_message(*payload, message));
  EXPECT_EQ(message.observed_address().address(), "192.0.2.1:4433");
  EXPECT_EQ(base::to_hex(reader.rest()), "ffffffffffff");
  EXPECT_EQ(base::to_hex(reader.take_rest()), "ffffffffffff");
  EXPECT_TRUE(reader.rest().empty());
  EXPECT_EQ(reader.error(), nullptr);
}

TEST(MessageStream, TakesAMessageOfExactlyTheLimitAndNoMore) {
  const base::Bytes at_limit = hex("03 aabbcc");
  MessageReader reader(3);
  reader.feed(at_limit);
  EXPECT_TRUE(reader.next());

  MessageReader strict(2);
  strict.feed(at_limit);
  EXPECT_FALSE(strict.next());
  ASSERT_NE(strict.error(), nullptr);
  EXPECT_EQ(strict.error()->code, base::ErrorCode::protocol);
}

TEST(MessageStream, RefusesALengthBeforeItsMessageArrives) {
  MessageReader reader;
  reader.feed(hex("818004"));  // 65537
  EXPECT_FALSE(reader.next());
  EXPECT_NE(reader.error(), nullptr);
}

TEST(MessageStream, RefusesALengthThatNeverEnds) {
  MessageReader reader;
  reader.feed(hex("8080808080 8001"));  // longer than five octets
  EXPECT_FALSE(reader.next());
  EXPECT_NE(reader.error(), nullptr);
}

TEST(MessageStream, AnErrorStays) {
  MessageReader reader(10);
  reader.feed(hex("7f"));
  EXPECT_FALSE(reader.next());
  reader.feed(hex("01aa"));
  EXPECT_FALSE(reader.next());
  EXPECT_NE(reader.error(), nullptr);
}

TEST(MessageStream, RefusesPayloadsThatAreNoMessage) {
  uplink::v1::Message message;
  EXPECT_FALSE(parse_message(hex("0a"), message));
  // A string that is not UTF-8: refused, and nothing is printed.
  testing::internal::CaptureStderr();
  EXPECT_FALSE(parse_message(hex("22 03 0a01ff"), message));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

RC_GTEST_PROP(MessageStream, DoesNotDependOnHowTheStreamIsCut, ()) {
  const auto texts = *rc::gen::container<std::vector<std::string>>(
      rc::gen::container<std::string>(rc::gen::inRange('a', 'z')));
  base::Bytes stream;
  for (const auto& text : texts) append_message(stream, observed(text));
  MessageReader reader;
  std::vector<std::string> read;
  for (std::size_t at = 0; at < stream.size();) {
    const std::size_t size = *rc::gen::inRange<std::size_t>(1, stream.size() - at + 1);
    reader.feed(base::BytesView(stream).subspan(at, size));
    at += size;
    while (const auto payload = reader.next()) {
      uplink::v1::Message message;
      RC_ASSERT(parse_message(*payload, message));
      read.push_back(message.observed_address().address());
    }
  }
  RC_ASSERT(reader.error() == nullptr);
  RC_ASSERT(read == texts);
}

// A stream that is never read to its end, but read: memory follows what is unsent, not what was
// ever sent.
TEST(MessageWriter, LetsGoOfWhatWasTaken) {
  MessageWriter writer;
  const auto message = observed(std::string(1000, 'z'));
  base::Bytes expected, taken;
  for (int i = 0; i < 200; ++i) writer.append(message);
  for (int i = 0; i < 2000; ++i) {
    writer.append(message);
    append_message(expected, message);
    const base::BytesView part = writer.unsent().first(1008);  // a message and its length
    taken.insert(taken.end(), part.begin(), part.end());
    writer.sent(part.size());
    ASSERT_LE(writer.held(), 2 * writer.unsent().size() + 64 * 1024);
  }
  EXPECT_EQ(taken, expected);
  writer.sent(writer.unsent().size());
  EXPECT_EQ(writer.held(), 0u);
}

}  // namespace
}  // namespace ztna::wire
