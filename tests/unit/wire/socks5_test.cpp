#include "wire/socks5.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "unit/wire/bytes_of.hpp"

namespace ztna::wire::socks5 {
namespace {

TEST(Socks5, ReadsTheMethodsOffered) {
  const auto offered = parse_methods(hex("05 02 02 00 ff"));
  ASSERT_TRUE(offered);
  EXPECT_EQ(offered.size, 4u);
  EXPECT_TRUE(offered.value.no_authentication);
  const auto password_only = parse_methods(hex("05 01 02"));
  ASSERT_TRUE(password_only);
  EXPECT_FALSE(password_only.value.no_authentication);
  EXPECT_EQ(base::to_hex(encode_method(no_acceptable_method)), "05ff");
}

TEST(Socks5, ReadsConnectToAName) {
  // What curl --socks5-hostname sends for web.ztna:80.
  const auto request = parse_request(hex("05 01 00 03 08 7765622e7a746e61 0050"));
  ASSERT_TRUE(request);
  EXPECT_EQ(request.size, 15u);
  EXPECT_EQ(request.value.command, Command::connect);
  EXPECT_EQ(request.value.destination.type, AddressType::domain);
  EXPECT_EQ(request.value.destination.host, "web.ztna");
  EXPECT_EQ(request.value.destination.port, 80);
}

TEST(Socks5, ReadsAddresses) {
  const auto v4 = parse_request(hex("05 03 00 01 c0000201 1151"));
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4.value.command, Command::udp_associate);
  EXPECT_EQ(v4.value.destination.host, "192.0.2.1");
  EXPECT_EQ(v4.value.destination.port, 4433);
  const auto v6 = parse_request(hex("05 01 00 04 20010db8000000000000000000000001 01bb"));
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6.value.destination.host, "2001:db8::1");
  EXPECT_EQ(v6.value.destination.port, 443);
}

TEST(Socks5, WaitsForTheRest) {
  for (const char* whole : {"0501000308 7765622e7a746e61 0050", "05010001c00002010050",
                            "05010004 20010db8000000000000000000000001 01bb"}) {
    const base::Bytes input = hex(whole);
    for (std::size_t size = 0; size < input.size(); ++size) {
      const auto request = parse_request(base::BytesView(input).first(size));
      EXPECT_FALSE(request);
      EXPECT_EQ(request.outcome, Outcome::incomplete) << size;
    }
    EXPECT_EQ(parse_request(input).size, input.size());
  }
  EXPECT_EQ(parse_methods(hex("0502")).outcome, Outcome::incomplete);
  EXPECT_EQ(parse_methods(hex("050200")).outcome, Outcome::incomplete);
  EXPECT_EQ(parse_methods({}).outcome, Outcome::incomplete);
}

TEST(Socks5, SaysWhatIsWrong) {
  EXPECT_EQ(parse_methods(hex("04")).outcome, Outcome::malformed);
  EXPECT_EQ(parse_methods(hex("0500")).outcome, Outcome::malformed);
  EXPECT_EQ(parse_request(hex("04")).outcome, Outcome::malformed);
  EXPECT_EQ(parse_request(hex("05010101c00002010050")).outcome, Outcome::malformed);  // RSV
  EXPECT_EQ(parse_request(hex("05020001c00002010050")).outcome, Outcome::unknown_command);
  EXPECT_EQ(parse_request(hex("05010002c00002010050")).outcome, Outcome::unknown_address_type);
  EXPECT_EQ(parse_request(hex("0501000300")).outcome, Outcome::malformed);            // empty name
  EXPECT_EQ(parse_request(hex("0501000302 6100 0050")).outcome, Outcome::malformed);  // NUL in it
  EXPECT_EQ(parse_request(hex("0501000302 610a 0050")).outcome, Outcome::malformed);
}

TEST(Socks5, WritesReplies) {
  EXPECT_EQ(
      base::to_hex(
          encode_reply(Reply::succeeded, base::Address::parse("127.0.0.1:1080").value()).view()),
      "050000017f0000010438");
  EXPECT_EQ(
      base::to_hex(
          encode_reply(Reply::not_allowed, base::Address::parse("[2001:db8::1]:1").value()).view()),
      "0502000420010db80000000000000000000000010001");
}

TEST(Socks5, ReadsUdpHeaders) {
  const base::Bytes packet = hex("0000 00 03 05 7175616b65 6d38 ffffffff");
  const auto header = parse_udp_header(packet);
  ASSERT_TRUE(header);
  EXPECT_EQ(header.value.host, "quake");
  EXPECT_EQ(header.value.port, 27960);
  EXPECT_EQ(base::to_hex(base::BytesView(packet).subspan(header.size)), "ffffffff");
}

TEST(Socks5, RefusesUdpFragmentsAndCutHeaders) {
  EXPECT_FALSE(parse_udp_header(hex("0000 01 01 c0000201 0050 aa")));
  EXPECT_FALSE(parse_udp_header(hex("0001 00 01 c0000201 0050 aa")));
  const auto cut = parse_udp_header(hex("0000 00 01 c0000201 00"));
  EXPECT_FALSE(cut);
  EXPECT_EQ(cut.outcome, Outcome::malformed);  // a datagram never gets longer
}

TEST(Socks5, WritesUdpHeaders) {
  EXPECT_EQ(base::to_hex(encode_udp_header(base::Address::parse("192.0.2.1:80").value()).view()),
            "00000001c00002010050");
}

RC_GTEST_PROP(Socks5, UdpHeadersRoundTrip, (std::uint16_t port)) {
  const auto name =
      *rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::inRange<char>(0x21, 0x7f)));
  RC_PRE(name.size() <= 255u);
  std::array<std::uint8_t, max_request> out{};
  const std::size_t size = encode_udp_header({AddressType::domain, name, port}, out);
  const auto parsed = parse_udp_header(base::BytesView(out).first(size));
  RC_ASSERT(bool(parsed));
  RC_ASSERT(parsed.size == size);
  RC_ASSERT(parsed.value.host == name);
  RC_ASSERT(parsed.value.port == port);
}

}  // namespace
}  // namespace ztna::wire::socks5
