#include "intermediate/admission.hpp"

#include <gtest/gtest.h>

namespace ztna::intermediate {
namespace {

using base::Address;
using base::Time;
using Verdict = Admission::Verdict;
using namespace std::chrono_literals;

const Time start{1000s};
Address at(std::uint8_t network, std::uint8_t host) {
  return Address::v4({192, 0, network, host}, 1000);
}

TEST(Admission, OneNetworkIsAskedToProveItselfAfterItsBurst) {
  AdmissionLimits limits;
  limits.unproven_rate = 1;
  limits.unproven_burst = 3;
  Admission admission(limits);
  for (std::uint8_t host = 1; host <= 3; ++host) {
    EXPECT_EQ(admission.admit(at(1, host), false, start), Verdict::accept);
  }
  EXPECT_EQ(admission.admit(at(1, 200), false, start), Verdict::retry) << "the same /24";
  EXPECT_EQ(admission.admit(at(2, 1), false, start), Verdict::accept) << "another /24";
  EXPECT_EQ(admission.admit(at(1, 200), true, start), Verdict::accept) << "proven by Retry";
  EXPECT_EQ(admission.admit(at(1, 200), false, start + 1s), Verdict::accept);
}

TEST(Admission, EveryoneIsAskedWhileManyHandshakesAreUnderWay) {
  AdmissionLimits limits;
  limits.retry_threshold = 2;
  limits.max_handshakes = 4;
  Admission admission(limits);
  admission.handshake_started(at(1, 1));
  EXPECT_FALSE(admission.wants_retry());
  admission.handshake_started(at(1, 1));
  EXPECT_TRUE(admission.wants_retry());
  EXPECT_EQ(admission.admit(at(1, 1), false, start), Verdict::retry);
  EXPECT_EQ(admission.admit(at(1, 1), true, start), Verdict::accept);
  admission.handshake_started(at(1, 1));
  admission.handshake_started(at(1, 1));
  EXPECT_EQ(admission.admit(at(1, 1), true, start), Verdict::drop);
  admission.handshake_ended(at(1, 1));
  EXPECT_EQ(admission.admit(at(1, 1), true, start), Verdict::accept);
}

// Invented source addresses are of many networks.
TEST(Admission, EveryoneIsAskedAfterTooManyFromEverywhere) {
  AdmissionLimits limits;
  limits.total_rate = 10;
  limits.total_burst = 5;
  Admission admission(limits);
  for (std::uint8_t network = 1; network <= 5; ++network) {
    EXPECT_EQ(admission.admit(at(network, 1), false, start), Verdict::accept);
  }
  EXPECT_EQ(admission.admit(at(9, 1), false, start), Verdict::retry);
  EXPECT_EQ(admission.admit(at(9, 1), true, start), Verdict::accept) << "proven by Retry";
  EXPECT_EQ(admission.admit(at(9, 1), false, start + 1s), Verdict::accept);
}

// Two strangers with slow handshakes do not hold all places.
TEST(Admission, HandshakesOfOneNetworkAreBounded) {
  AdmissionLimits limits;
  Admission admission(limits);
  for (std::size_t i = 0; i < limits.max_handshakes_per_prefix; ++i) {
    ASSERT_EQ(admission.admit(at(1, 1), true, start), Verdict::accept);
    admission.handshake_started(at(1, 1));
  }
  EXPECT_EQ(admission.admit(at(1, 2), true, start), Verdict::drop);
  EXPECT_EQ(admission.admit(at(2, 1), true, start), Verdict::accept);
  admission.handshake_ended(at(1, 7));
  EXPECT_EQ(admission.admit(at(1, 2), true, start), Verdict::accept);
}

// Who invents addresses of a network does not keep its users out: they prove theirs.
TEST(Admission, HalfOfANetworksPlacesAreForProvenAddresses) {
  AdmissionLimits limits;
  Admission admission(limits);
  for (std::size_t i = 0; i < limits.max_handshakes_per_prefix / 2; ++i) {
    ASSERT_EQ(admission.admit(at(1, 1), false, start), Verdict::accept);
    admission.handshake_started(at(1, 1));
  }
  EXPECT_EQ(admission.admit(at(1, 1), false, start), Verdict::retry);
  EXPECT_EQ(admission.admit(at(1, 2), true, start), Verdict::accept);
  EXPECT_EQ(admission.admit(at(2, 1), false, start), Verdict::accept);
}

TEST(Admission, UplinksAreBounded) {
  AdmissionLimits limits;
  limits.max_uplinks = 1;
  Admission admission(limits);
  admission.uplink_up();
  EXPECT_EQ(admission.admit(at(1, 1), true, start), Verdict::drop);
  admission.uplink_down();
  EXPECT_EQ(admission.admit(at(1, 1), true, start), Verdict::accept);
}

// More networks than the table holds: those known are served, the others wait until some rest.
TEST(PrefixLimiter, MemoryIsBounded) {
  PrefixLimiter limiter(1, 2);
  const auto network = [](std::size_t i) {
    return Address::v4({10, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i), 1}, 1);
  };
  for (std::size_t i = 0; i < PrefixLimiter::max_prefixes; ++i) {
    ASSERT_TRUE(limiter.take(network(i), start));
  }
  const Address fresh = network(PrefixLimiter::max_prefixes);
  EXPECT_FALSE(limiter.take(fresh, start));
  EXPECT_TRUE(limiter.take(network(5), start));
  EXPECT_TRUE(limiter.take(fresh, start + 3s)) << "idle buckets are forgotten";
}

}  // namespace
}  // namespace ztna::intermediate
