#include "nat/outlook.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kinds.hpp"

namespace ztna::nat {
namespace {

using testing::Each;
using testing::Field;
using testing::HasSubstr;

const Behaviour open_host = behaviour(Dependence::none, Dependence::endpoint_independent);
const Behaviour firewalled = behaviour(Dependence::none, Dependence::address_and_port_dependent);
const Behaviour full_cone =
    behaviour(Dependence::endpoint_independent, Dependence::endpoint_independent);
const Behaviour restricted =
    behaviour(Dependence::endpoint_independent, Dependence::address_dependent);
const Behaviour port_restricted =
    behaviour(Dependence::endpoint_independent, Dependence::address_and_port_dependent);
const Behaviour symmetric =
    behaviour(Dependence::address_and_port_dependent, Dependence::address_and_port_dependent);
const Behaviour symmetric_by_address =
    behaviour(Dependence::address_dependent, Dependence::address_dependent);
const Behaviour symmetric_open =
    behaviour(Dependence::address_and_port_dependent, Dependence::endpoint_independent);

struct Meeting {
  Behaviour one, other;
  Outcome expected;
};
class Pairs : public testing::TestWithParam<Meeting> {};

TEST_P(Pairs, HaveTheOutcomeOfTheLaboratoryInBothOrders) {
  EXPECT_EQ(outcome(GetParam().one, GetParam().other), GetParam().expected);
  EXPECT_EQ(outcome(GetParam().other, GetParam().one), GetParam().expected);
}

// Measured with real NATs, or known from the literature (RFC 5128 §3.3, §5.1).
INSTANTIATE_TEST_SUITE_P(
    Known, Pairs,
    testing::Values(Meeting{open_host, symmetric, Outcome::direct},
                    Meeting{firewalled, symmetric, Outcome::relay},
                    Meeting{firewalled, port_restricted, Outcome::direct},
                    Meeting{full_cone, symmetric, Outcome::direct},
                    Meeting{restricted, symmetric, Outcome::direct},
                    Meeting{restricted, port_restricted, Outcome::direct},
                    Meeting{port_restricted, port_restricted, Outcome::direct},
                    Meeting{port_restricted, symmetric, Outcome::relay},
                    Meeting{port_restricted, symmetric_by_address, Outcome::relay},
                    Meeting{symmetric, symmetric, Outcome::relay},
                    Meeting{symmetric_by_address, symmetric_by_address, Outcome::relay},
                    // The open one hears the other's check, and answers to where it came from;
                    // that filter must let another port of the same host pass.
                    Meeting{symmetric_open, symmetric_by_address, Outcome::direct},
                    Meeting{symmetric_open, symmetric, Outcome::relay},
                    // Each answer comes from yet another port than the one that was sent to.
                    Meeting{symmetric_open, symmetric_open, Outcome::relay}));

TEST(Outlook, LeavesOpenWhatWasNotTold) {
  const Behaviour one_ip = behaviour(Dependence::independent_or_address_dependent,
                                     Dependence::address_and_port_dependent);
  EXPECT_EQ(outcome(one_ip, full_cone), Outcome::direct);      // either way
  EXPECT_EQ(outcome(one_ip, port_restricted), Outcome::open);  // only if independent
  EXPECT_EQ(outcome(one_ip, symmetric), Outcome::relay);       // either way
  EXPECT_EQ(outcome(behaviour(Dependence::endpoint_independent, Dependence::unknown), symmetric),
            Outcome::open);
}

TEST(Outlook, HasASentenceForEachKindOfPeer) {
  const auto all = outlooks(port_restricted, true);
  ASSERT_EQ(all.size(), 5u);
  EXPECT_EQ(all[3].peer, "port-restricted cone NAT");
  EXPECT_EQ(all[3].outcome, Outcome::direct);
  EXPECT_EQ(all[4].peer, "symmetric NAT");
  EXPECT_EQ(all[4].outcome, Outcome::relay);
  EXPECT_THAT(all[4].sentence, HasSubstr("relay"));
}

TEST(Outlook, PromisesNothingWithoutUdp) {
  EXPECT_THAT(outlooks(port_restricted, false), Each(Field(&Outlook::sentence, HasSubstr("UDP"))));
}

}  // namespace
}  // namespace ztna::nat
