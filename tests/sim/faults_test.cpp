// One fault each: restarts, freezes, outages, and what the user notices of them.
#include <gtest/gtest.h>

#include "sim/scene.hpp"

namespace ztna::sim {
namespace {

// kill -9 of the Intermediate and a start a second later: nodes hear a stateless reset at their
// next packet, dial again, and both ends claim their session. The download goes on where it was.
TEST(Faults, DownloadSurvivesARestartOfTheIntermediate) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open(
      {.service = "source", .size = 4'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024});
  scene.world.idle(500ms);
  scene.relay->restart_after(1s);
  scene.world.idle(1s);
  const Time restarted = scene.world.now();
  const std::uint64_t before = client.received();
  ASSERT_TRUE(scene.world.run([&] { return client.received() > before; }, 10s));
  EXPECT_LE(scene.world.now() - restarted, 2s);
  ASSERT_TRUE(scene.finish(client, 60s));
  EXPECT_TRUE(client.complete()) << client.text();
  EXPECT_EQ(scene.world.violations(), none);
}

// Also where nothing was running, and at any moment of the nodes' timers.
TEST(Faults, ServiceIsBackTwoSecondsAfterARestartOfTheIntermediate) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Scene scene({.seed = seed});
    ASSERT_TRUE(scene.settle());
    scene.world.idle(scene.world.random().between(Duration{}, Duration(5s)));
    scene.relay->restart_after(scene.world.random().between(Duration(10ms), Duration(5s)));
    ASSERT_TRUE(scene.world.run([&] { return scene.relay->part() != nullptr; }, 10s));
    EXPECT_LT(scene.until_served({.size = 100}, 5s), 2s) << "seed " << seed;
  }
}

// A flow opened while the relay is away waits for the session that comes back, rather than to make
// the Connector prove itself in a second one.
TEST(Faults, FlowsDuringARestartOfTheIntermediateUseTheSessionThatWasThere) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Scene scene({.seed = seed});
    ASSERT_TRUE(scene.settle());
    ASSERT_TRUE(scene.finish(scene.open({.size = 100})));
    const auto sessions = [&] { return scene.agent().engine().node().sessions(); };
    scene.relay->restart_after(10ms);
    ASSERT_TRUE(scene.world.run([&] { return !sessions().at(0)->has_relay(); }, 10s));
    Client& client = scene.open({.size = 100});
    ASSERT_TRUE(scene.finish(client, 2s)) << "seed " << seed;
    EXPECT_TRUE(client.complete()) << "seed " << seed << ": " << client.text();
    EXPECT_EQ(sessions().size(), 1u) << "seed " << seed;
    EXPECT_EQ(scene.intermediate().broker().counters().sessions_reclaimed, 1u) << "seed " << seed;
    EXPECT_EQ(scene.world.violations(), none);
  }
}

TEST(Faults, RestartedConnectorServesAgainAndOldFlowsEnd) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open({.service = "source", .size = 50'000'000});
  scene.world.idle(500ms);
  scene.connectors[0]->restart_after(300ms);
  ASSERT_TRUE(scene.finish(client, 3s)) << "a flow through a dead Connector hangs";
  EXPECT_EQ(client.ended(), FlowEnd::session_lost);
  EXPECT_LT(scene.until_served({.size = 100}, 10s), 3s);
  EXPECT_EQ(scene.world.violations(), none);
}

TEST(Faults, NewFlowsGoToTheOtherConnector) {
  Scene scene({.connectors = 2});
  ASSERT_TRUE(scene.settle());
  ASSERT_TRUE(scene.finish(scene.open({.size = 100})));
  const std::size_t used = scene.connector(0).engine().counters().flows_accepted > 0 ? 0 : 1;
  scene.connectors[used]->kill();
  EXPECT_LT(scene.until_served({.size = 100}, 20s), 10s);
  EXPECT_GT(scene.connector(1 - used).engine().counters().flows_accepted, 0u);
  // From then on at once.
  EXPECT_LT(scene.until_served({.size = 100}, 20s), 1s);
  EXPECT_EQ(scene.world.violations(), none);
}

TEST(Faults, RestartedAgentLeavesNothingBehind) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  scene.open({.service = "source", .size = 50'000'000});
  scene.world.idle(500ms);
  scene.agents[0]->restart_after(300ms);
  scene.world.idle(2s);
  EXPECT_EQ(scene.connector().engine().flow_count(), 0u);
  EXPECT_LT(scene.until_served({.size = 100}, 5s), 1s);
  EXPECT_EQ(scene.intermediate().broker().session_count(), 1u);
}

// SIGSTOP for 5 s, then SIGCONT: flows wait and go on.
TEST(Faults, FrozenPartsGoOnWhereTheyWere) {
  for (const int which : {0, 1, 2}) {
    Scene scene;
    ASSERT_TRUE(scene.settle());
    Client& client = scene.open(
        {.service = "source", .size = 3'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024});
    scene.world.idle(500ms);
    Machine* const parts[] = {scene.relay, scene.connectors[0], scene.agents[0]};
    parts[which]->freeze(5s);
    ASSERT_TRUE(scene.finish(client, 60s)) << parts[which]->name();
    EXPECT_TRUE(client.complete()) << parts[which]->name() << ": " << client.text();
    EXPECT_EQ(scene.world.violations(), none);
  }
}

// A closed and opened lid. The others have given the sleeper up, and it knows.
TEST(Faults, TheFirstRequestAfterALongSleepIsServed) {
  for (const bool agent_sleeps : {true, false}) {
    for (const Duration asleep : {Duration(15s), Duration(75s), Duration(1h)}) {
      for (const bool direct : {true, false}) {
        Scene scene({.direct_paths = direct});
        ASSERT_TRUE(scene.settle());
        ASSERT_TRUE(scene.finish(scene.open({.size = 100})));
        scene.world.idle(1s);
        Machine& sleeper = agent_sleeps ? *scene.agents[0] : *scene.connectors[0];
        sleeper.freeze(asleep);
        scene.world.idle(asleep);
        if (!agent_sleeps) {
          ASSERT_TRUE(scene.settle(2s));  // back in the Agent's directory
        }
        Client& client = scene.open({.size = 100});
        ASSERT_TRUE(scene.finish(client, 2s)) << sleeper.name() << " " << asleep / 1s << direct;
        EXPECT_TRUE(client.complete()) << sleeper.name() << " " << asleep / 1s << client.text();
        EXPECT_EQ(scene.world.violations(), none);
      }
    }
  }
}

TEST(Faults, OutageOfTheNetworkIsSurvived) {
  for (const bool at_agent : {true, false}) {
    Scene scene;
    ASSERT_TRUE(scene.settle());
    Client& client = scene.open(
        {.service = "source", .size = 3'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024});
    scene.world.idle(500ms);
    Machine& victim = at_agent ? *scene.agents[0] : *scene.connectors[0];
    victim.link.cut = true;
    scene.world.idle(6s);
    victim.link.cut = false;
    ASSERT_TRUE(scene.finish(client, 60s)) << victim.name();
    EXPECT_TRUE(client.complete()) << victim.name() << ": " << client.text();
    EXPECT_EQ(scene.world.violations(), none);
  }
}

// Nothing reaches the Connector, but its farewell to the silent uplink reaches the Intermediate.
// That is no end of its sessions: it dials again and claims them.
TEST(Faults, OneWayOutageIsSurvived) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open(
      {.service = "source", .size = 3'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024});
  scene.world.idle(500ms);
  scene.world.filter = [&](const Machine&, const Machine& to, base::BytesView) {
    return &to != scene.connectors[0];
  };
  scene.world.idle(5s);
  scene.world.filter = nullptr;
  ASSERT_TRUE(scene.finish(client, 60s));
  EXPECT_TRUE(client.complete()) << client.text();
}

// An Agent that starts before its Intermediate keeps trying; flows meanwhile end with a reason.
TEST(Faults, AgentWaitsForItsIntermediate) {
  Scene scene;
  scene.relay->kill();
  Client& early = scene.open({});
  ASSERT_TRUE(scene.finish(early, 5s)) << "a flow without an Intermediate hangs";
  EXPECT_EQ(early.ended(), FlowEnd::unavailable);
  scene.world.idle(30s);
  scene.relay->start();
  EXPECT_LT(scene.until_served({.size = 100}, 10s), 2s);
}

}  // namespace
}  // namespace ztna::sim
