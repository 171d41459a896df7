#include "node/uplink.hpp"

#include <gtest/gtest.h>

#include "node/timeouts.hpp"
#include "sim/seeded_random.hpp"
#include "unit/identity/test_certificates.hpp"

namespace ztna::node {
namespace {

using base::Duration;
using base::Time;
using namespace std::chrono_literals;

class Silent : public UplinkHandler {
 public:
  void on_uplink_up(Uplink&) override {}
  void on_uplink_down(Uplink&, const std::string&) override {}
  void on_uplink_attempt_failed(Uplink&, const std::string& reason) override {
    reasons.push_back(reason);
  }
  void on_uplink_message(Uplink&, const proto::Message&) override {}
  void on_relayed(Uplink&, std::uint32_t, std::uint8_t, base::BytesView) override {}
  std::vector<std::string> reasons;
};

class UplinkTest : public ::testing::Test {
 protected:
  UplinkTest() {
    uplink.set_credentials(authority().agent("alice"));
    uplink.set_sockets(base::SocketId{0}, std::nullopt);
  }
  static identity::TestAuthority& authority() {
    static identity::TestAuthority made;
    return made;
  }
  static UplinkConfig config(base::Random& random) {
    UplinkConfig made;
    made.intermediate = {"relay.example", 4433};
    made.random = &random;
    return made;
  }
  // Runs with a network that swallows everything until `end`, resolving (or not) at once.
  void run(Time end, bool resolves) {
    base::Bytes buffer(base::transmit_buffer_size);
    while (uplink.next_deadline() <= end) {
      now = std::max(now, uplink.next_deadline());
      uplink.expire(now, identity::test_now);
      if (uplink.take_resolve_request()) {
        attempts.push_back(now);
        uplink.resolved(resolves ? std::vector{base::Address::v4({203, 0, 113, 1}, 4433)}
                                 : std::vector<base::Address>{},
                        resolves ? "" : "no such host", now);
        if (resolves) uplink.expire(now, identity::test_now);
      }
      while (uplink.transmit(buffer, now).size > 0) {
      }
    }
  }

  Silent handler;
  sim::SeededRandom random{1};
  quic::Endpoint endpoint{{}, {}, random};
  relay::PacketPool pool;
  Uplink uplink{0, config(random), handler, endpoint, pool};
  Time now{1000s};
  std::vector<Time> attempts;
};

// The name does not resolve, so that attempts take no time: what lies between them is the pause.
TEST_F(UplinkTest, PausesGrowWithinTheirBounds) {
  run(Time{1000s} + timeouts::outage_young + 300s, false);
  ASSERT_GT(attempts.size(), 20u);
  EXPECT_LE(attempts[1] - attempts[0], timeouts::retry_first * 3 / 2);
  EXPECT_GE(attempts[1] - attempts[0], timeouts::retry_first / 2);
  Duration longest{};
  for (std::size_t i = 1; i < attempts.size(); ++i) {
    const Duration pause = attempts[i] - attempts[i - 1];
    const bool young = attempts[i - 1] - attempts[0] < timeouts::outage_young;
    EXPECT_LE(pause, (young ? timeouts::retry_young : timeouts::retry_max) * 3 / 2);
    longest = std::max(longest, pause);
  }
  EXPECT_GT(longest, timeouts::retry_max / 2) << "an old outage is asked about less often";
  EXPECT_EQ(handler.reasons.front(), "no such host");
}

// Most attempts are short, whatever the age of the outage: each knocks at once.
TEST_F(UplinkTest, ShortAttemptsFollowEachOtherAndSomeAreLong) {
  run(Time{1000s} + 120s, true);
  ASSERT_GT(attempts.size(), 2 * timeouts::connect_attempts.size());
  for (std::size_t i = 1; i < attempts.size(); ++i) {
    const Duration attempt =
        timeouts::connect_attempts.at((i - 1) % timeouts::connect_attempts.size());
    EXPECT_GE(attempts[i] - attempts[i - 1], attempt) << i;
    EXPECT_LE(attempts[i] - attempts[i - 1], attempt + timeouts::retry_young * 3 / 2 + 100ms) << i;
  }
  EXPECT_EQ(endpoint.size(), 1u) << "connection ids of ended attempts stay in the table";
}

TEST_F(UplinkTest, HopeEndsWithTheFirstFailure) {
  EXPECT_TRUE(uplink.hopeful(now));
  run(now + 1s, false);
  EXPECT_FALSE(uplink.hopeful(now));
}

TEST_F(UplinkTest, HurryDialsNow) {
  run(now + 200s, false);
  const Time before = now + 1ms;
  ASSERT_GT(uplink.next_deadline(), before);
  uplink.hurry(before);
  EXPECT_EQ(uplink.next_deadline(), before);
}

}  // namespace
}  // namespace ztna::node
