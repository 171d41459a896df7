#include "base/address.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <unordered_set>

namespace ztna::base {
namespace {

Address ip(std::string_view text) { return Address::parse_ip(text, 0).value(); }

TEST(Address, ReadsAndWritesBothFamilies) {
  const auto v4 = Address::parse("192.0.2.1:4433");
  ASSERT_TRUE(v4);
  EXPECT_TRUE(v4->is_v4());
  EXPECT_EQ(v4->port(), 4433);
  EXPECT_EQ(v4->to_string(), "192.0.2.1:4433");
  EXPECT_EQ(to_hex(v4->octets()), "c0000201");

  const auto v6 = Address::parse("[2001:DB8:0:0::1]:1");
  ASSERT_TRUE(v6);
  EXPECT_FALSE(v6->is_v4());
  EXPECT_EQ(v6->to_string(), "[2001:db8::1]:1");  // RFC 5952
  EXPECT_EQ(to_hex(v6->octets()), "20010db8000000000000000000000001");
}

TEST(Address, RefusesWhatIsNoAddress) {
  for (const char* bad :
       {"", ":1", "192.0.2.1", "192.0.2:1", "192.0.2.256:1", "192.0.2.1:", "192.0.2.1:65536",
        "192.0.2.1:-1", "192.0.2.1:+1", "192.0.2.1: 1", "192.0.2.1:1x", "2001:db8::1:1",
        "[2001:db8::1]", "[2001:db8::1", "[2001:db8::1]1", "[fe80::1%eth0]:1", "localhost:1",
        "[192.0.2.1:1", "010.0.0.1:1"}) {
    EXPECT_FALSE(Address::parse(bad)) << bad;
  }
}

TEST(Address, MappedAddressesAreIpv4) {
  const Address mapped = Address::parse("[::ffff:127.0.0.1]:80").value();
  EXPECT_TRUE(mapped.is_v4());
  EXPECT_TRUE(mapped.is_loopback());
  EXPECT_EQ(mapped, Address::parse("127.0.0.1:80").value());
  EXPECT_EQ(std::hash<Address>{}(mapped),
            std::hash<Address>{}(Address::parse("127.0.0.1:80").value()));
}

TEST(Address, KnowsSpecialAddresses) {
  for (const char* text : {"127.0.0.1", "127.255.255.254", "::1"}) {
    EXPECT_TRUE(ip(text).is_loopback()) << text;
  }
  for (const char* text : {"224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1"}) {
    EXPECT_TRUE(ip(text).is_multicast()) << text;
  }
  for (const char* text : {"169.254.169.254", "fe80::1", "febf::1"}) {
    EXPECT_TRUE(ip(text).is_link_local()) << text;
  }
  for (const char* text : {"0.0.0.0", "::"}) EXPECT_TRUE(ip(text).is_unspecified()) << text;
  for (const char* text : {"128.0.0.1", "192.0.2.1", "223.255.255.255", "240.0.0.1", "169.253.0.1",
                           "fec0::1", "fe00::1", "2001:db8::1", "::2", "1::"}) {
    EXPECT_FALSE(ip(text).is_loopback() || ip(text).is_multicast() || ip(text).is_link_local() ||
                 ip(text).is_unspecified())
        << text;
  }
}

TEST(Address, CutsPrefixes) {
  EXPECT_EQ(Address::parse("192.0.2.255:9")->prefix(24), ip("192.0.2.0"));
  EXPECT_EQ(ip("192.0.2.255").prefix(25), ip("192.0.2.128"));
  EXPECT_EQ(ip("192.0.2.255").prefix(0), ip("0.0.0.0"));
  EXPECT_EQ(ip("192.0.2.255").prefix(32), ip("192.0.2.255"));
  EXPECT_EQ(ip("2001:db8:1:2:3::4").prefix(64), ip("2001:db8:1:2::"));
  EXPECT_EQ(ip("2001:db8:ffff::").prefix(33), ip("2001:db8:8000::"));
}

TEST(Address, DiffersByFamilyAndPort) {
  const std::unordered_set<Address> set = {ip("0.0.0.0"), ip("::"),
                                           Address::parse("0.0.0.0:1").value()};
  EXPECT_EQ(set.size(), 3u);
}

TEST(HostPort, ReadsNamesAndAddresses) {
  EXPECT_EQ(parse_host_port("example.org:80").value(), (HostPort{"example.org", 80}));
  EXPECT_EQ(parse_host_port("[2001:db8::1]:80").value(), (HostPort{"2001:db8::1", 80}));
  EXPECT_EQ(parse_host_port("example.org", 4433).value(), (HostPort{"example.org", 4433}));
  EXPECT_EQ(parse_host_port("[::1]", 4433).value(), (HostPort{"::1", 4433}));
  EXPECT_EQ(HostPort({"2001:db8::1", 80}).to_string(), "[2001:db8::1]:80");
}

TEST(HostPort, SaysWhatIsWrong) {
  for (const char* bad : {"", "example.org", ":80", "example.org:", "2001:db8::1", "[::1", "[]:1",
                          "a b:1", "user@host:1", "http://host:1", "host:99999"}) {
    const auto parsed = parse_host_port(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, ErrorCode::invalid_argument);
    EXPECT_FALSE(parsed.error().what.empty());
  }
}

RC_GTEST_PROP(Address, TextRoundTrips, (bool v4, std::uint16_t port)) {
  std::array<std::uint8_t, 16> octets{};
  for (auto& octet : octets) octet = *rc::gen::arbitrary<std::uint8_t>();
  const Address address = v4 ? Address::v4({octets[0], octets[1], octets[2], octets[3]}, port)
                             : Address::v6(octets, port);
  const auto parsed = Address::parse(address.to_string());
  RC_ASSERT(parsed.has_value());
  RC_ASSERT(*parsed == address);
}

}  // namespace
}  // namespace ztna::base
