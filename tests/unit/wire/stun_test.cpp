#include "wire/stun.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>

#include "unit/wire/stun_vectors.hpp"

namespace ztna::wire::stun {
namespace {

using base::Address;

TransactionId sample_transaction() {
  TransactionId id;
  EXPECT_TRUE(base::from_hex("2112a442b7e7a701bc34d686fa87dfae", id.octets));
  return id;
}

TEST(StunMessage, ReadsTheSampleRequest) {
  const base::Bytes datagram = sample_request();
  const auto message = Message::parse(datagram);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->message_class(), Class::request);
  EXPECT_EQ(message->method(), binding);
  EXPECT_EQ(message->transaction(), sample_transaction());
  EXPECT_FALSE(message->classic());
  EXPECT_EQ(base::as_text(*message->find(Attribute::software)), "STUN test client");
  EXPECT_EQ(base::as_text(*message->find(Attribute::username)), "evtj:h6vY");
  EXPECT_TRUE(message->check_integrity(base::as_bytes(short_term_password)));
  EXPECT_FALSE(message->check_integrity(base::as_bytes("wrong")));
  EXPECT_FALSE(message->check_integrity_sha256(base::as_bytes(short_term_password)));
  EXPECT_TRUE(message->check_fingerprint());
}

TEST(StunMessage, ReadsTheSampleResponses) {
  const base::Bytes v4 = sample_ipv4_response();
  const base::Bytes v6 = sample_ipv6_response();
  const std::map<const base::Bytes*, Address> expected = {
      {&v4, Address::parse("192.0.2.1:32853").value()},
      {&v6, Address::parse("[2001:db8:1234:5678:11:2233:4455:6677]:32853").value()}};
  for (const auto& [datagram, address] : expected) {
    const auto message = Message::parse(*datagram);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->message_class(), Class::success);
    EXPECT_EQ(base::as_text(*message->find(Attribute::software)), "test vector");
    EXPECT_EQ(message->address(Attribute::xor_mapped_address), address);
    EXPECT_TRUE(message->check_integrity(base::as_bytes(short_term_password)));
    EXPECT_TRUE(message->check_fingerprint());
  }
}

TEST(StunMessage, ChecksLongTermIntegrityOfBothKinds) {
  const base::Bytes sha1 = sample_long_term_request();
  EXPECT_TRUE(Message::parse(sha1)->check_integrity(long_term_md5_key()));
  const base::Bytes sha256 = sample_sha256_request();
  const auto message = Message::parse(sha256);
  ASSERT_TRUE(message);
  EXPECT_FALSE(message->has_integrity());
  EXPECT_TRUE(message->check_integrity_sha256(long_term_sha256_key()));
  EXPECT_FALSE(message->check_integrity_sha256(long_term_md5_key()));
}

TEST(StunMessage, NoticesEveryChangedBit) {
  const base::Bytes original = sample_request();
  for (std::size_t bit = 0; bit < original.size() * 8; ++bit) {
    base::Bytes changed = original;
    changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ 1 << bit % 8);
    const auto message = Message::parse(changed);
    EXPECT_FALSE(message && message->check_fingerprint() &&
                 message->check_integrity(base::as_bytes(short_term_password)))
        << bit;
  }
}

TEST(StunWriter, ReproducesTheSampleResponses) {
  // The RFC pads with spaces and we with zeros, so these rebuild all but SOFTWARE's last octet.
  const struct {
    base::Bytes sample;
    const char* address;
  } cases[] = {{sample_ipv4_response(), "192.0.2.1:32853"},
               {sample_ipv6_response(), "[2001:db8:1234:5678:11:2233:4455:6677]:32853"}};
  for (const auto& test : cases) {
    std::array<std::uint8_t, 128> out{};
    Writer writer(out, Class::success, binding, sample_transaction());
    writer.add(Attribute::software, base::as_bytes("test vector"));
    writer.add_address(Attribute::xor_mapped_address, Address::parse(test.address).value());
    const base::BytesView written = writer.message();
    ASSERT_EQ(written.size() + 24 + 8, test.sample.size());
    base::Bytes expected(test.sample.begin(),
                         test.sample.begin() + static_cast<std::ptrdiff_t>(written.size()));
    expected[2] = 0;
    expected[3] = static_cast<std::uint8_t>(written.size() - header_size);
    expected[35] = 0;
    EXPECT_EQ(base::to_hex(written), base::to_hex(expected));
  }
}

TEST(StunWriter, ReproducesTheIntegrityOfTheSampleRequest) {
  // With the padding of the sample put inside USERNAME's and SOFTWARE's values, nothing differs but
  // the length of USERNAME; so take the long-term sample, which pads with zeros as we do.
  const base::Bytes sample = sample_long_term_request();
  const auto parsed = Message::parse(sample);
  ASSERT_TRUE(parsed);
  std::array<std::uint8_t, 256> out{};
  Writer writer(out, Class::request, binding, parsed->transaction());
  parsed->for_each([&](Attribute type, base::BytesView value) { writer.add(type, value); });
  writer.add_integrity(long_term_md5_key());
  EXPECT_EQ(base::to_hex(writer.message()), base::to_hex(sample));
}

TEST(StunWriter, ReproducesTheSha256Sample) {
  const base::Bytes sample = sample_sha256_request();
  const auto parsed = Message::parse(sample);
  ASSERT_TRUE(parsed);
  std::array<std::uint8_t, 256> out{};
  Writer writer(out, Class::request, binding, parsed->transaction());
  parsed->for_each([&](Attribute type, base::BytesView value) { writer.add(type, value); });
  writer.add_integrity_sha256(long_term_sha256_key());
  EXPECT_EQ(base::to_hex(writer.message()), base::to_hex(sample));
}

TEST(StunWriter, SaysWhenTheBufferIsTooSmall) {
  std::array<std::uint8_t, 31> out{};
  Writer writer(out, Class::request, binding, sample_transaction());
  writer.add_u32(Attribute::change_request, 0);
  EXPECT_EQ(writer.message().size(), 28u);
  writer.add_padding(0);
  EXPECT_TRUE(writer.message().empty());
  Writer tiny(base::MutableBytes(out).first(19), Class::request, binding, sample_transaction());
  EXPECT_TRUE(tiny.message().empty());
}

TEST(StunWriter, WritesErrors) {
  std::array<std::uint8_t, 64> out{};
  Writer writer(out, Class::error, binding, sample_transaction());
  writer.add_error(420, "Unknown Attribute");
  const auto message = Message::parse(writer.message());
  ASSERT_TRUE(message);
  EXPECT_EQ(message->message_class(), Class::error);
  EXPECT_EQ(message->error()->code, 420u);
  EXPECT_EQ(message->error()->reason, "Unknown Attribute");
  EXPECT_EQ(base::load_be16(out.data()), 0x0111);  // RFC 8489 §5: Binding error response
}

TEST(StunMessage, RefusesMalformedMessages) {
  for (const char* bad : {
           "",
           "000100002112a442b7e7a701bc34d686fa87df",                    // 19 octets
           "400100002112a442b7e7a701bc34d686fa87dfae",                  // first bits not 00
           "000100042112a442b7e7a701bc34d686fa87dfae",                  // length past the end
           "000100002112a442b7e7a701bc34d686fa87dfae00000000",          // length short of it
           "000100032112a442b7e7a701bc34d686fa87dfae802200",            // not a multiple of 4
           "000100042112a442b7e7a701bc34d686fa87dfae80220001",          // value past the end
           "000100082112a442b7e7a701bc34d686fa87dfae0008000400000000",  // integrity of 4 octets
           "000100082112a442b7e7a701bc34d686fa87dfae001c000400000000",  // SHA-256 one too
           "000100042112a442b7e7a701bc34d686fa87dfae80280000",          // empty fingerprint
           "0001000c2112a442b7e7a701bc34d686fa87dfae802800040000000080220000",  // not the last
       }) {
    EXPECT_FALSE(Message::parse(hex(bad))) << bad;
  }
}

TEST(StunMessage, IgnoresWhatStandsBehindTheIntegrity) {
  base::Bytes datagram = sample_long_term_request();
  const base::Bytes extra = hex("8022000465766950");
  datagram.insert(datagram.end(), extra.begin(), extra.end());
  base::store_be16(datagram.data() + 2, static_cast<std::uint16_t>(datagram.size() - header_size));
  const auto message = Message::parse(datagram);
  ASSERT_TRUE(message);
  EXPECT_FALSE(message->find(Attribute::software));
  EXPECT_TRUE(message->check_integrity(long_term_md5_key()));
}

TEST(IsStun, TellsStunFromQuic) {
  EXPECT_TRUE(is_stun(sample_request()));
  EXPECT_TRUE(is_stun(hex("000100000123456789abcdef0123456789abcdef")));   // classic
  EXPECT_FALSE(is_stun(hex("000100040123456789abcdef0123456789abcdef")));  // and a wrong length
  base::Bytes quic = pattern(1200);
  quic[0] = 0xc3;  // long header
  EXPECT_FALSE(is_stun(quic));
  quic[0] = 0x41;  // short header
  EXPECT_FALSE(is_stun(quic));
}

RC_GTEST_PROP(StunMessage, AddressesRoundTrip, (bool v4, std::uint16_t port)) {
  std::array<std::uint8_t, 16> ip{};
  for (auto& octet : ip) octet = *rc::gen::arbitrary<std::uint8_t>();
  const Address address =
      v4 ? Address::v4({ip[0], ip[1], ip[2], ip[3]}, port) : Address::v6(ip, port);
  std::array<std::uint8_t, 128> out{};
  Writer writer(out, Class::success, binding, sample_transaction());
  writer.add_address(Attribute::xor_mapped_address, address);
  writer.add_address(Attribute::mapped_address, address);
  writer.add_fingerprint();
  const auto message = Message::parse(writer.message());
  RC_ASSERT(message.has_value());
  RC_ASSERT(message->address(Attribute::xor_mapped_address) == address);
  RC_ASSERT(message->address(Attribute::mapped_address) == address);
  RC_ASSERT(message->check_fingerprint());
}

}  // namespace
}  // namespace ztna::wire::stun
