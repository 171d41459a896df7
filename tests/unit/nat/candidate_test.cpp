#include "nat/candidate.hpp"

#include <gtest/gtest.h>

#include "addresses.hpp"

namespace ztna::nat {
namespace {

// A peer may name any address; what it names gets packets from us.
TEST(Candidate, OnlyAddressesThatAPeerMayHaveAreChecked) {
  for (const char* good : {"192.168.1.10:4434", "10.0.0.1:1", "100.64.0.9:4434", "8.8.8.8:65535",
                           "[2001:db8::1]:4434", "[fd00::1]:4434"}) {
    EXPECT_TRUE(checkable(at(good))) << good;
  }
  for (const char* bad :
       {"127.0.0.1:4434", "0.0.0.0:4434", "0.1.2.3:4434", "224.0.0.1:4434", "255.255.255.255:4434",
        "240.0.0.1:4434", "169.254.169.254:80", "192.168.1.10:0", "[::1]:4434", "[::]:4434",
        "[fe80::1]:4434", "[ff02::1]:4434"}) {
    EXPECT_FALSE(checkable(at(bad))) << bad;
  }
}

TEST(Candidate, ListsAreCutAndHaveEachAddressOnce) {
  std::vector<Candidate> given;
  given.push_back({CandidateKind::advertised, at("203.0.113.1:4434")});
  given.push_back({CandidateKind::host, at("203.0.113.1:4434")});
  given.push_back({CandidateKind::host, at("127.0.0.1:4434")});
  for (std::uint16_t port = 1; port <= 40; ++port) {
    given.push_back({CandidateKind::host, at("10.0.0.1:1").with_port(port)});
  }
  const auto kept = sanitise(given);
  ASSERT_EQ(kept.size(), max_candidates);
  EXPECT_EQ(kept[0].kind, CandidateKind::advertised);
  EXPECT_EQ(kept[1].address, at("10.0.0.1:1"));
}

TEST(Candidate, OneLanIsASlash24OrSlash64) {
  EXPECT_TRUE(same_prefix(at("192.168.1.1:1"), at("192.168.1.254:9")));
  EXPECT_FALSE(same_prefix(at("192.168.1.1:1"), at("192.168.2.1:1")));
  EXPECT_TRUE(same_prefix(at("[2001:db8::1]:1"), at("[2001:db8::2:3:4:5]:1")));
  EXPECT_FALSE(same_prefix(at("[2001:db8::1]:1"), at("[2001:db8:0:1::1]:1")));
  EXPECT_FALSE(same_prefix(at("192.168.1.1:1"), at("[2001:db8::1]:1")));
}

}  // namespace
}  // namespace ztna::nat
