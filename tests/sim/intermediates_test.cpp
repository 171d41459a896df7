// Two Intermediates: sessions move from one to the other, and their ends always meet again.
#include <gtest/gtest.h>

#include "sim/scene.hpp"

namespace ztna::sim {
namespace {

const FlowPlan slow_download{
    .service = "source", .size = 4'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024};

// The virtual time until the client got more octets, or `limit`.
Duration until_more(Scene& scene, const Client& client, Duration limit) {
  const Time start = scene.world.now();
  const std::uint64_t before = client.received();
  return scene.world.run([&] { return client.received() > before; }, limit)
             ? scene.world.now() - start
             : limit;
}

// The relay of the Agent's only session, or null.
const Machine* home_of(Scene& scene) {
  const node::Node& node = scene.agent().engine().node();
  const auto sessions = node.sessions();
  const node::Uplink* const uplink = sessions.size() == 1 ? node.uplink_of(*sessions[0]) : nullptr;
  if (uplink == nullptr) return nullptr;
  for (const Machine* const relay : scene.relays) {
    if (relay->address() == uplink->remote()) return relay;
  }
  return nullptr;
}

// The Agent's uplink to the relay blinks. It must claim its session there, where the Connector
// still is, although another Intermediate comes first in its list.
TEST(Intermediates, BlinkOfTheAgentsUplinkIsSurvived) {
  Scene scene({.intermediates = 2, .connector_uses = {0}, .agent_uses = {1, 0}});
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open(slow_download);
  scene.world.idle(500ms);
  ASSERT_EQ(home_of(scene), scene.relays[0]);
  scene.world.filter = [&](const Machine& from, const Machine& to, base::BytesView) {
    return &from != scene.relays[0] || &to != scene.agents[0];
  };
  scene.world.idle(4s);
  scene.world.filter = nullptr;
  EXPECT_LT(until_more(scene, client, 20s), 4s);
  ASSERT_TRUE(scene.finish(client, 60s));
  EXPECT_TRUE(client.complete()) << client.text();
  EXPECT_EQ(scene.world.violations(), none);
}

// The relay is killed and comes back, while the Agent has another that the Connector does not.
TEST(Intermediates, RestartOfTheOnlySharedOneIsSurvived) {
  Scene scene({.intermediates = 2, .connector_uses = {0}, .agent_uses = {1, 0}});
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open(slow_download);
  scene.world.idle(500ms);
  scene.relays[0]->restart_after(4s);
  scene.world.idle(4s);
  EXPECT_LT(until_more(scene, client, 20s), 4s);
  ASSERT_TRUE(scene.finish(client, 60s));
  EXPECT_TRUE(client.complete()) << client.text();
  EXPECT_EQ(scene.world.violations(), none);
}

// One end alone loses the shared relay for good: the other's leg there is whole, and only the
// Intermediate's patience ends the session. Nothing hangs for long.
TEST(Intermediates, OneEndAloneLosesTheRelay) {
  for (const bool at_agent : {true, false}) {
    Scene scene({.intermediates = 2});
    ASSERT_TRUE(scene.settle());
    Client& client = scene.open(slow_download);
    scene.world.idle(500ms);
    const Machine* const home = home_of(scene);
    ASSERT_NE(home, nullptr);
    const Machine* const victim = at_agent ? scene.agents[0] : scene.connectors[0];
    scene.world.filter = [&](const Machine& from, const Machine& to, base::BytesView) {
      return !(&from == home && &to == victim) && !(&from == victim && &to == home);
    };
    EXPECT_TRUE(scene.finish(client, 25s)) << client.received();
    EXPECT_LT(scene.until_served({.size = 100}, 20s), 10s);
    EXPECT_EQ(scene.world.violations(), none);
  }
}

TEST(Intermediates, SessionsMoveWhenTheirsIsKilled) {
  Scene scene({.intermediates = 2});
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open(slow_download);
  scene.world.idle(500ms);
  for (Machine* const relay : scene.relays) {
    if (relay != home_of(scene)) continue;
    relay->kill();
    break;
  }
  scene.world.idle(3s);
  EXPECT_LT(until_more(scene, client, 20s), 3s);
  ASSERT_TRUE(scene.finish(client, 60s));
  EXPECT_TRUE(client.complete()) << client.text();
  EXPECT_EQ(scene.world.violations(), none);
}

// An idle Agent does not notice for long that an Intermediate is gone; its first question there
// must not cost a flow more than the second opinion.
TEST(Intermediates, UnansweredQuestionGoesToTheOther) {
  for (const std::size_t dead : {0, 1}) {
    Scene scene({.intermediates = 2});
    ASSERT_TRUE(scene.settle());
    scene.world.idle(5s);
    scene.relays[dead]->link.cut = true;
    Client& client = scene.open({.size = 100});
    ASSERT_TRUE(scene.finish(client, 20s));
    EXPECT_TRUE(client.complete()) << dead << ": " << client.text();
    EXPECT_LT(scene.world.now() - client.started(), 5s) << dead;
  }
}

TEST(Intermediates, DrainedOneHandsOver) {
  Scene scene({.intermediates = 2});
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open(slow_download);
  scene.world.idle(500ms);
  const Machine* const home = home_of(scene);
  ASSERT_NE(home, nullptr);
  const std::size_t index = home == scene.relays[0] ? 0 : 1;
  scene.intermediate(index).drain(10s, scene.world.now());
  scene.world.idle(1s);
  EXPECT_EQ(home_of(scene), scene.relays[1 - index]) << "the session stays until the end";
  scene.relays[index]->kill();
  EXPECT_LT(until_more(scene, client, 5s), 100ms);
  ASSERT_TRUE(scene.finish(client, 60s));
  EXPECT_TRUE(client.complete()) << client.text();
  EXPECT_EQ(scene.world.violations(), none);
}

}  // namespace
}  // namespace ztna::sim
