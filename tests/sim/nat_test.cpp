// The simulated NAT itself, against RFC 4787's words and what a Linux gateway was seen to do.
#include "sim/nat.hpp"

#include <gtest/gtest.h>

#include <set>

#include "sim/world.hpp"

namespace ztna::sim {
namespace {

using base::Address;
using base::Duration;
using base::Time;
using namespace std::chrono_literals;

const Address outside = Address::v4({198, 51, 100, 1}, 0);
const Address host = Address::v4({192, 168, 1, 2}, 5000);
const Address neighbour = Address::v4({192, 168, 1, 3}, 5000);
const Address server = Address::v4({203, 0, 113, 1}, 4433);
const Address other_port = server.with_port(4435);
const Address other_host = Address::v4({203, 0, 113, 2}, 4433);
constexpr Time start{1000s};
struct Expected {
  Dependence dependence;
  bool same_for_other_port, same_for_other_host;
};
class EachDependence : public testing::TestWithParam<Expected> {};
INSTANTIATE_TEST_SUITE_P(Rfc4787, EachDependence,
                         testing::Values(Expected{independent, true, true},
                                         Expected{by_address, true, false},
                                         Expected{by_port, false, false}),
                         [](const auto& test) { return to_string(test.param.dependence); });

// RFC 4787 §4.1.
TEST_P(EachDependence, OfMapping) {
  for (const auto ports :
       {PortAllocation::preserving, PortAllocation::sequential, PortAllocation::random}) {
    Nat nat({.mapping = GetParam().dependence, .ports = ports}, outside, 1);
    const Address seen = nat.outbound(host, server, start);
    EXPECT_EQ(seen.with_port(0), outside);
    EXPECT_EQ(nat.outbound(host, server, start + 1s), seen);
    EXPECT_EQ(nat.outbound(host, other_port, start) == seen, GetParam().same_for_other_port);
    EXPECT_EQ(nat.outbound(host, other_host, start) == seen, GetParam().same_for_other_host);
    EXPECT_NE(nat.outbound(neighbour, server, start), seen);
  }
}

// RFC 4787 §5.
TEST_P(EachDependence, OfFiltering) {
  Nat nat({.filtering = GetParam().dependence}, outside, 1);
  const Address seen = nat.outbound(host, server, start);
  EXPECT_EQ(nat.inbound(server, seen, start), host);
  EXPECT_EQ(nat.inbound(other_port, seen, start).has_value(), GetParam().same_for_other_port);
  EXPECT_EQ(nat.inbound(other_host, seen, start).has_value(), GetParam().same_for_other_host);
  EXPECT_EQ(nat.inbound(server, outside.with_port(1), start), std::nullopt);
}

// What was sent by one mapping opens the others of the same inside endpoint, where the filter asks
// for less than the mapping does.
TEST(SimNat, FilteringDoesNotAskByWhichMappingWasSent) {
  Nat nat({.mapping = by_port, .filtering = by_address}, outside, 1);
  const Address first = nat.outbound(host, server, start);
  std::ignore = nat.outbound(host, other_host, start);
  EXPECT_EQ(nat.inbound(other_host.with_port(9), first, start), host);
}

// RFC 4787 §4.2.
TEST(SimNat, PortAllocation) {
  Nat preserving({.mapping = by_port, .ports = PortAllocation::preserving}, outside, 1);
  EXPECT_EQ(preserving.outbound(host, server, start).port(), host.port());
  EXPECT_NE(preserving.outbound(host, other_host, start).port(), host.port());
  Nat sequential({.mapping = by_port, .ports = PortAllocation::sequential}, outside, 1);
  const std::uint16_t first = sequential.outbound(host, server, start).port();
  EXPECT_EQ(sequential.outbound(host, other_host, start).port(), first + 1);
  EXPECT_EQ(sequential.outbound(neighbour, server, start).port(), first + 2);
  Nat random({.mapping = by_port, .ports = PortAllocation::random}, outside, 1);
  std::set<std::uint16_t> ports;
  for (std::uint16_t i = 1; i <= 100; ++i) {
    ports.insert(random.outbound(host, server.with_port(i), start).port());
  }
  EXPECT_EQ(ports.size(), 100u);
  EXPECT_GT(*ports.rbegin() - *ports.begin(), 10'000);
}

// RFC 4787 §4.3: outbound packets refresh; inbound ones only where that is the behaviour.
TEST(SimNat, BindingsLiveAsLongAsTheyAreUsed) {
  for (const bool inbound : {false, true}) {
    Nat nat({.lifetime = 60s, .refreshed_inbound = inbound}, outside, 1);
    const Address seen = nat.outbound(host, server, start);
    EXPECT_EQ(nat.inbound(server, seen, start + 59s), host);
    EXPECT_EQ(nat.inbound(server, seen, start + 61s).has_value(), inbound);
    EXPECT_EQ(nat.mappings(start + 61s), inbound ? 1u : 0u);
  }
  Nat nat({.lifetime = 60s}, outside, 1);
  const Address seen = nat.outbound(host, server, start);
  EXPECT_EQ(nat.outbound(host, server, start + 59s), seen);
  EXPECT_EQ(nat.inbound(server, seen, start + 118s), host);
}

TEST(SimNat, FlushAndRebootForget) {
  Nat nat({.ports = PortAllocation::sequential}, outside, 1);
  const Address seen = nat.outbound(host, server, start);
  nat.flush();
  EXPECT_EQ(nat.inbound(server, seen, start), std::nullopt);
  const Address moved = Address::v4({198, 51, 100, 77}, 0);
  nat.reboot(moved);
  EXPECT_TRUE(nat.has(moved.with_port(5)));
  EXPECT_EQ(nat.outbound(host, server, start).with_port(0), moved);
}

// FACTS: the trap of the plain Linux gateway. A packet that came too early takes the port away from
// what is sent to its sender later, and 30 s of silence give it back.
TEST(SimNat, AnUnsolicitedPacketSpoilsThePort) {
  for (const auto ports : {PortAllocation::preserving, PortAllocation::sequential}) {
    Nat nat({.ports = ports}, outside, 1);
    const Address seen = nat.outbound(host, server, start);
    EXPECT_EQ(nat.inbound(other_host, seen, start), std::nullopt);
    EXPECT_NE(nat.outbound(host, other_host, start + 1s), seen);
    EXPECT_EQ(nat.outbound(host, server, start + 1s), seen) << "others are not concerned";
    // Each one renews it.
    EXPECT_EQ(nat.inbound(other_host, seen, start + 29s), std::nullopt);
    EXPECT_NE(nat.outbound(host, other_host, start + 58s), seen);
    EXPECT_EQ(nat.outbound(host, server, start + 60s), seen);
    EXPECT_EQ(nat.outbound(host, other_host, start + 90s), seen);
    EXPECT_EQ(nat.inbound(other_host, seen, start + 90s), host);
  }
}

TEST(SimNat, AnOpenerOrAnInputRuleSavesThePort) {
  Nat opened({}, outside, 1);
  const Address seen = opened.outbound(host, server, start);
  EXPECT_EQ(opened.outbound(host, other_host, start), seen);
  EXPECT_EQ(opened.inbound(other_host, seen, start), host);
  Nat strict({.drops_input = true}, outside, 1);
  std::ignore = strict.outbound(host, server, start);
  EXPECT_EQ(strict.inbound(other_host, seen, start), std::nullopt);
  EXPECT_EQ(strict.outbound(host, other_host, start), seen);
}

// --- routers: where a packet gets with which TTL

class Routers : public testing::Test {
 protected:
  // From a host in `network`, climbing at once and descending at once; who gets it, or why nobody.
  std::string send(Network& network, const Address& from, const Address& to,
                   std::uint8_t ttl = 64) {
    Header header{from, to, ttl};
    const auto climbed = topology.climb(network, header, start);
    if (climbed.met == nullptr) return climbed.fate;
    const auto end = topology.descend(climbed.place, header, start);
    seen = header.from;
    return end.machine == nullptr ? end.fate : "arrived";
  }
  static std::unique_ptr<Nat> nat(NatBehaviour behaviour, const Address& at) {
    return std::make_unique<Nat>(behaviour, at, 1);
  }
  void place(Network& network, const Address& address) {
    machines.push_back(
        std::make_unique<Machine>(world, "", network, std::vector<LocalAddress>{{0, address}}));
  }
  World world{1};
  Topology topology;
  std::vector<std::unique_ptr<Machine>> machines;
  Address seen;
};

const Address home_outside = Address::v4({100, 64, 0, 1}, 0);

TEST_F(Routers, AHomeBehindACarrierIsTranslatedTwice) {
  Network& carrier = topology.add("carrier", topology.internet(), nat({}, outside));
  Network& home =
      topology.add("home", carrier, nat({.ports = PortAllocation::sequential}, home_outside));
  place(home, host);
  place(topology.internet(), server);
  EXPECT_EQ(send(home, host, server), "arrived");
  EXPECT_EQ(seen.with_port(0), outside);
  EXPECT_NE(seen.port(), host.port());
  const Address mapped = seen;
  EXPECT_EQ(send(topology.internet(), server, mapped), "arrived");
  EXPECT_EQ(send(topology.internet(), other_host, mapped), "refused by the NAT");
}

// Each router takes one of the TTL: the home's, the carrier's, those of the core, and theirs. An
// opener that ends on the way has opened the NATs that it passed.
TEST_F(Routers, TtlEndsWhereItIsUsedUp) {
  topology.internet().hops = 2;
  Network& mine = topology.add("mine", topology.internet(), nat({}, outside));
  const Address their_outside = Address::v4({198, 51, 100, 2}, 0);
  Network& theirs = topology.add("theirs", topology.internet(), nat({}, their_outside));
  place(mine, host);
  place(theirs, neighbour);
  const Address to = their_outside.with_port(neighbour.port());
  EXPECT_EQ(send(mine, host, to, 1), "TTL ended");
  EXPECT_EQ(mine.nat().mappings(start), 0u) << "the own router must forward it";
  EXPECT_EQ(send(mine, host, to, 3), "TTL ended") << "in the core";
  EXPECT_EQ(mine.nat().mappings(start), 1u);
  // The other router has not seen it: its port is not spoiled.
  EXPECT_EQ(send(theirs, neighbour, outside.with_port(host.port())), "arrived");
  EXPECT_EQ(send(mine, host, to, 4), "TTL ended") << "at the other router, which lets it pass";
  EXPECT_EQ(send(mine, host, to, 5), "arrived");
}

// Local input does not mind the TTL: next to each other, even a small one spoils.
TEST_F(Routers, AdjacentRoutersSeeEvenSmallTtls) {
  topology.internet().hops = 0;
  Network& mine = topology.add("mine", topology.internet(), nat({}, outside));
  const Address their_outside = Address::v4({198, 51, 100, 2}, 0);
  Network& theirs = topology.add("theirs", topology.internet(), nat({}, their_outside));
  place(mine, host);
  place(theirs, neighbour);
  place(topology.internet(), server);
  EXPECT_EQ(send(theirs, neighbour, server), "arrived");
  const Address to = seen;
  EXPECT_EQ(send(mine, host, to, 2), "refused by the NAT");
  EXPECT_EQ(send(theirs, neighbour, outside.with_port(host.port())), "refused by the NAT");
  EXPECT_NE(seen, to) << "the port is spoiled";
}

TEST_F(Routers, HairpinningIsABehaviour) {
  for (const bool hairpin : {false, true}) {
    const Address at = hairpin ? outside : home_outside;
    Network& home = topology.add("home", topology.internet(),
                                 nat({.filtering = independent, .hairpin = hairpin}, at));
    place(home, host);
    place(home, neighbour);
    place(topology.internet(), server);
    EXPECT_EQ(send(home, neighbour, server), "arrived");
    const Address mapped = seen;
    EXPECT_EQ(send(home, host, mapped), hairpin ? "arrived" : "not hairpinned");
    // RFC 4787 REQ-9: with the outside address as its source.
    EXPECT_EQ(seen.with_port(0) == outside, hairpin);
  }
}

TEST_F(Routers, AFirewallBlocksUdp) {
  Network& home =
      topology.add("home", topology.internet(), nat({.filtering = independent}, outside));
  place(home, host);
  place(topology.internet(), server);
  EXPECT_EQ(send(home, host, server), "arrived");
  const Address mapped = seen;
  home.blocks = [](const Address& remote) { return remote.port() != 443; };
  EXPECT_EQ(send(home, host, server), "blocked");
  EXPECT_EQ(send(topology.internet(), server, mapped), "blocked");
  EXPECT_EQ(send(topology.internet(), server.with_port(443), mapped), "arrived");
}

TEST_F(Routers, Ipv6PassesUntranslatedAndOnlyAsAnAnswer) {
  Network& home = topology.add("home", topology.internet(), nat({}, outside));
  const Address inside = Address::v6({0x20, 1, 0xd, 0xb8, 0, 1}, 4434);
  const Address remote = Address::v6({0x20, 1, 0xd, 0xb8, 0, 2}, 4434);
  place(home, inside);
  place(topology.internet(), remote);
  EXPECT_EQ(send(topology.internet(), remote, inside), "refused by firewall");
  EXPECT_EQ(send(home, inside, remote), "arrived");
  EXPECT_EQ(seen, inside);
  EXPECT_EQ(send(topology.internet(), remote, inside), "arrived");
}

}  // namespace
}  // namespace ztna::sim
