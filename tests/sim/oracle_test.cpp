// The oracle against what RFC 5128 §3.3 says about UDP hole punching, and what the laboratory has
// seen between real programs and Linux routers.
#include "sim/oracle.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "nat/outlook.hpp"

namespace ztna::sim {
namespace {

// RFC 3489's names.
constexpr NatKind full_cone{independent, independent};
constexpr NatKind restricted{independent, by_address};
constexpr NatKind port_restricted{independent, by_port};
constexpr NatKind symmetric{by_port, by_port};

TEST(Oracle, ConesMeetEachOther) {
  for (const NatKind& one : {full_cone, restricted, port_restricted}) {
    for (const NatKind& other : {full_cone, restricted, port_restricted}) {
      EXPECT_TRUE(can_meet(one, other)) << to_string(one) << " " << to_string(other);
    }
  }
}

TEST(Oracle, SymmetricOnesMeetOnlyThoseWhoLetInUnknownPorts) {
  EXPECT_TRUE(can_meet(symmetric, full_cone));
  EXPECT_TRUE(can_meet(symmetric, restricted));
  EXPECT_FALSE(can_meet(symmetric, port_restricted));
  EXPECT_FALSE(can_meet(symmetric, symmetric));
}

// However open: neither knows where the other will be, and each answer moves both.
TEST(Oracle, TwoThatChangeTheirEndpointWithEveryPortNeverMeet) {
  EXPECT_FALSE(can_meet({by_port, independent}, {by_port, independent}));
  EXPECT_TRUE(can_meet({by_address, independent}, {by_port, independent}));
}

TEST(Oracle, DoesNotAskWhoIsWho) {
  for (const NatKind& one : all_kinds()) {
    for (const NatKind& other : all_kinds()) {
      EXPECT_EQ(can_meet(one, other), can_meet(other, one));
    }
  }
}

// A NAT that is more open never makes it worse.
TEST(Oracle, OpennessNeverHurts) {
  const auto opens = [](const NatKind& more, const NatKind& less) {
    return more.mapping <= less.mapping && more.filtering <= less.filtering;
  };
  for (const NatKind& peer : all_kinds()) {
    for (const NatKind& more : all_kinds()) {
      for (const NatKind& less : all_kinds()) {
        if (!opens(more, less) || !can_meet(less, peer)) continue;
        EXPECT_TRUE(can_meet(more, peer)) << to_string(more) << " " << to_string(peer);
      }
    }
  }
}

// What netcheck tells people to expect. It may promise less: routers that filter each mapping by
// itself, as Linux does, let in less than RFC 4787 §5 describes.
TEST(Oracle, AllowsWhatTheOutlookPromises) {
  const auto named = [](Dependence dependence) {
    switch (dependence) {
      case Dependence::endpoint_independent: return nat::Dependence::endpoint_independent;
      case Dependence::address: return nat::Dependence::address_dependent;
      case Dependence::address_and_port: return nat::Dependence::address_and_port_dependent;
    }
    return nat::Dependence::unknown;
  };
  const auto behaviour = [&](const NatKind& kind) {
    nat::Behaviour made;
    made.mapping = named(kind.mapping);
    made.filtering = named(kind.filtering);
    return made;
  };
  for (const NatKind& one : all_kinds()) {
    for (const NatKind& other : all_kinds()) {
      const bool promised = nat::outcome(behaviour(one), behaviour(other)) == nat::Outcome::direct;
      EXPECT_LE(promised, can_meet(one, other)) << to_string(one) << " " << to_string(other);
    }
  }
}

}  // namespace
}  // namespace ztna::sim
