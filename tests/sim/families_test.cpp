// An Intermediate with IPv4 and IPv6, and nodes that have both or one: who dials by the one family
// is found in the other too.
#include <gtest/gtest.h>

#include "nat/timeouts.hpp"
#include "sim/scene.hpp"
#include "wire/stun.hpp"

namespace ztna::sim {
namespace {

using session::PathKind;

// Most homes: endpoint-independent mapping, address and port-dependent filtering.
NatBehaviour home(PortAllocation ports) { return {.ports = ports, .lifetime = 30s}; }

// Both are behind such NATs in IPv4, and one of them has IPv6.
SceneOptions half_dual(bool agent_ipv6, PortAllocation ports = PortAllocation::random) {
  return {.direct_paths = true,
          .agent_nat = home(ports),
          .connector_nat = home(ports),
          .agent_ipv6 = agent_ipv6,
          .connector_ipv6 = !agent_ipv6,
          .intermediate_ipv6 = true};
}

bool dials_v6(const node::Node& node) { return !node.uplinks().at(0)->remote().is_v4(); }

session::Session* session(Scene& scene) {
  const auto sessions = scene.agent().engine().node().sessions();
  return sessions.size() == 1 ? sessions[0] : nullptr;
}
bool on_direct(Scene& scene) {
  return session(scene) != nullptr && session(scene)->path_kind() == PathKind::direct;
}

class Families : public testing::TestWithParam<PortAllocation> {};
INSTANTIATE_TEST_SUITE_P(PortAllocations, Families,
                         testing::Values(PortAllocation::preserving, PortAllocation::sequential,
                                         PortAllocation::random));

TEST_P(Families, WhoDialsByTheOneMeetsWhoHasTheOtherAlone) {
  for (const bool agent_ipv6 : {true, false}) {
    // Also when the NAT has forgotten what was asked at the start.
    for (const Duration pause : {0s, 300s}) {
      SCOPED_TRACE(testing::Message() << agent_ipv6 << " " << pause / 1s);
      Scene scene(half_dual(agent_ipv6, GetParam()));
      ASSERT_TRUE(scene.settle());
      EXPECT_EQ(dials_v6(scene.agent().engine().node()), agent_ipv6);
      EXPECT_EQ(dials_v6(scene.connector().engine().node()), !agent_ipv6);
      scene.world.idle(pause);
      Client& client = scene.open({.service = "source", .size = 2'000'000});
      EXPECT_TRUE(scene.world.run([&] { return on_direct(scene); }, 2s));
      ASSERT_TRUE(scene.finish(client));
      EXPECT_TRUE(client.complete()) << client.text();
      EXPECT_EQ(scene.world.violations(), none);
    }
  }
}

// Its uplink does not notice when the NAT that it does not pass restarts with another address. The
// peer must know the new one to let its checks in.
TEST(BothFamilies, AnotherMappingIsNoticed) {
  for (const bool agent_ipv6 : {true, false}) {
    SCOPED_TRACE(agent_ipv6);
    SceneOptions options = half_dual(agent_ipv6);
    options.agent_nat->drops_input = options.connector_nat->drops_input = true;
    Scene scene(options);
    ASSERT_TRUE(scene.settle());
    scene.open({.size = UINT64_MAX, .write_pause = 50ms});
    ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 2s));
    scene.world.idle(5s);
    Network& network = agent_ipv6 ? *scene.agent_homes[0] : *scene.connector_homes[0];
    network.nat().reboot(base::Address::v4({198, 51, 100, 99}, 0));
    ASSERT_TRUE(scene.world.run([&] { return !on_direct(scene); }, 5s));
    EXPECT_TRUE(scene.world.run([&] { return on_direct(scene); }, 2s));
    EXPECT_EQ(scene.world.violations(), none);
  }
}

// IPv4 leads nowhere from the Agent's home.
TEST(BothFamilies, SilenceInTheOtherFamilyDisturbsNothing) {
  Scene scene(half_dual(true));
  std::uint64_t asked = 0;
  scene.world.filter = [&](const Machine& from, const Machine& to, base::BytesView packet) {
    const bool question =
        &from == scene.agents[0] && &to == scene.relay && wire::stun::is_stun(packet);
    if (question) ++asked;
    return !question;
  };
  ASSERT_TRUE(scene.settle());
  scene.world.idle(300s);
  EXPECT_EQ(asked, nat::timeouts::address_request.size()) << "without a session once is enough";
  Client& client = scene.open({.size = UINT64_MAX, .write_pause = 50ms});
  scene.world.idle(300s);
  EXPECT_FALSE(on_direct(scene));
  EXPECT_LE(asked, 7 * nat::timeouts::address_request.size());
  client.stop_writing();
  ASSERT_TRUE(scene.finish(client));
  EXPECT_TRUE(client.complete()) << client.text();
  EXPECT_EQ(scene.world.violations(), none);
}

// Where there is nobody to ask in the other family, nobody is asked.
TEST(BothFamilies, OneFamilyAsksNobody) {
  Scene scene({.direct_paths = true, .agent_ipv6 = true, .connector_ipv6 = true});
  std::uint64_t asked = 0;
  scene.world.filter = [&](const Machine&, const Machine& to, base::BytesView packet) {
    if (&to == scene.relay && wire::stun::is_stun(packet)) ++asked;
    return true;
  };
  ASSERT_TRUE(scene.settle());
  ASSERT_TRUE(scene.finish(scene.open({.size = 100})));
  scene.world.idle(60s);
  EXPECT_EQ(asked, 0u);
}

}  // namespace
}  // namespace ztna::sim
