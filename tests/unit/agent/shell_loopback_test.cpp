#include "agent/shell_loopback.hpp"

#include <gtest/gtest.h>

#include <set>

namespace ztna::agent {
namespace {

// FNV-1a of "foobar" is 0xbf9cf968 by its authors' test vectors; 0xbf9cf968 mod 254² is 32472,
// which is 127 · 254 + 214.
TEST(Loopback, AddressFollowsFromTheName) {
  EXPECT_EQ(loopback_address("foobar", 0).ip(), "127.96.128.215");
  EXPECT_EQ(loopback_address("foobar", 1).ip(), "127.96.128.216");
  EXPECT_EQ(loopback_address("web", 0).port(), 0);
}

TEST(Loopback, AttemptsReachEveryAddressOnce) {
  std::set<std::string> seen;
  for (std::uint32_t attempt = 0; attempt < loopback_addresses; ++attempt) {
    seen.insert(loopback_address("web", attempt).ip());
  }
  EXPECT_EQ(seen.size(), loopback_addresses);
  EXPECT_TRUE(loopback_address("web", 0).is_loopback());
}

// "s371" and "s960" have the same first choice (found by trying names with another program).
TEST(Loopback, SecondOfTwoThatCollideTakesTheNext) {
  ASSERT_EQ(loopback_address("s371", 0), loopback_address("s960", 0));
  std::map<std::string, base::Address> assigned;
  EXPECT_FALSE(assign_loopback(assigned, "s371"));
  EXPECT_TRUE(assign_loopback(assigned, "s960"));
  EXPECT_EQ(assigned["s371"].ip(), "127.96.112.226");
  EXPECT_EQ(assigned["s960"].ip(), "127.96.112.227");
  EXPECT_FALSE(assign_loopback(assigned, "s960")) << "it has one";
  EXPECT_EQ(assigned["s960"].ip(), "127.96.112.227");
}

TEST(Loopback, HighPorts) {
  EXPECT_EQ(high_port(80), 10080);
  EXPECT_EQ(high_port(55535), 65535);
  EXPECT_EQ(high_port(55536), 0);
}

}  // namespace
}  // namespace ztna::agent
