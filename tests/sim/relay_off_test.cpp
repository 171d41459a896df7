// A relay that is switched off: what still passes, what waits, and what users are told.
#include <gtest/gtest.h>

#include <algorithm>

#include "sim/scene.hpp"

namespace ztna::sim {
namespace {

using session::PathKind;

constexpr NatBehaviour symmetric_nat{.mapping = Dependence::address_and_port,
                                     .ports = PortAllocation::random};

constexpr NatBehaviour ordinary{.drops_input = true};

class RelayOff : public testing::Test {
 protected:
  static void turn(Scene& scene, bool on) { scene.intermediate().set_relay(on, scene.world.now()); }
  static session::Session& session(Scene& scene) {
    return *scene.agent().engine().node().sessions().at(0);
  }
  static bool on_direct(Scene& scene) {
    const auto ours = scene.agent().engine().node().sessions();
    return ours.size() == 1 && ours[0]->path_kind() == PathKind::direct;
  }
  static std::uint64_t relayed(Scene& scene) {
    return scene.intermediate().broker().counters().relayed_bytes;
  }
  static void cut_direct(Scene& scene) {
    scene.world.filter = [&](const Machine& from, const Machine& to, base::BytesView) {
      return &from == scene.relay || &to == scene.relay;
    };
  }
};

// Between two symmetric NATs. The session comes up and looks for a direct path; of the flow the
// Connector never hears, and the user hears why.
TEST_F(RelayOff, FlowsWaitForADirectPathAndEndWithTheReason) {
  Scene scene({.direct_paths = true, .agent_nat = symmetric_nat, .connector_nat = symmetric_nat});
  turn(scene, false);
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open({.size = 100});
  scene.world.idle(5s);
  EXPECT_EQ(scene.agent().engine().flows().at(0).state, "waiting for a direct path");
  ASSERT_TRUE(scene.finish(client, 7s));
  EXPECT_EQ(client.ended(), FlowEnd::unavailable);
  EXPECT_EQ(client.text(), "no direct path to the Connector was found, and the relay at " +
                               scene.agent().engine().node().uplinks().at(0)->name() + " is off");
  EXPECT_EQ(scene.agent().engine().failures().back().text, client.text());
  EXPECT_EQ(session(scene).state(), session::Session::State::ready);
  EXPECT_GT(session(scene).prober()->rounds(), 1u);
  EXPECT_EQ(scene.connector().engine().flow_count(), 0u);
  EXPECT_EQ(scene.connector().engine().counters().flows_accepted, 0u);
  // All of it passed that a session needs.
  EXPECT_EQ(scene.intermediate().broker().counters().dropped_relay_off, 0u);
  turn(scene, true);
  EXPECT_LT(scene.until_served({.size = 100'000}, 20s), 1s);
  EXPECT_EQ(scene.world.violations(), none);
}

TEST_F(RelayOff, WhatWaitsGoesOnAsSoonAsItIsOn) {
  Scene scene;
  turn(scene, false);
  ASSERT_TRUE(scene.settle());
  Client& tcp = scene.open({.size = 100'000});
  Client& udp = scene.open({.service = "udp-echo", .protocol = Protocol::udp, .payloads = {500}});
  scene.world.idle(5s);
  EXPECT_EQ(tcp.received() + udp.answered(), 0u);
  turn(scene, true);
  ASSERT_TRUE(scene.finish(tcp, 1s));
  EXPECT_TRUE(tcp.complete()) << tcp.text();
  EXPECT_TRUE(scene.world.run([&] { return udp.answered() == 1; }, 1s));
}

TEST_F(RelayOff, AFlowInItsMidstStandsStillAndGoesOn) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  Client& bulk = scene.open({.service = "source", .size = 30'000'000});
  scene.world.idle(300ms);
  turn(scene, false);
  scene.world.idle(1s);
  const std::uint64_t received = bulk.received(), bytes = relayed(scene);
  scene.world.idle(40s);
  EXPECT_EQ(bulk.received(), received);
  EXPECT_LT(relayed(scene) - bytes, 4000u);
  EXPECT_EQ(scene.agent().engine().flows().at(0).state, "waiting for a direct path");
  turn(scene, true);
  scene.world.idle(500ms);
  EXPECT_GT(bulk.received(), received + 1'000'000);
  ASSERT_TRUE(scene.finish(bulk));
  EXPECT_TRUE(bulk.complete()) << bulk.text();
  EXPECT_EQ(std::ranges::count(scene.relay_audit(), policy::AuditEvent::relay_switch,
                               &policy::AuditRecord::event),
            2);
  EXPECT_EQ(scene.world.violations(), none);
}

// So little that it would pass: the ends themselves keep it back, and nothing is lost.
TEST_F(RelayOff, WhatASlowWriterWritesIsHeld) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open({.size = 3000, .write_pause = 500ms, .write_chunk = 100});
  ASSERT_TRUE(scene.world.run([&] { return client.received() == 500; }, 5s));
  turn(scene, false);
  scene.world.idle(10s);
  EXPECT_EQ(client.received(), 500u);
  EXPECT_EQ(scene.intermediate().broker().counters().dropped_relay_off, 0u);
  turn(scene, true);
  ASSERT_TRUE(scene.finish(client));
  EXPECT_TRUE(client.complete()) << client.text();
}

// However many heartbeats are missed: there is no better place to go to.
TEST_F(RelayOff, ADoubtfulDirectPathIsNotLeft) {
  Scene scene({.direct_paths = true});
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open(
      {.service = "source", .size = 4'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024});
  ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 2s));
  turn(scene, false);
  scene.world.idle(500ms);
  const std::uint64_t bytes = relayed(scene);
  cut_direct(scene);
  scene.world.idle(1500ms);
  EXPECT_TRUE(session(scene).prober()->doubtful());
  EXPECT_TRUE(on_direct(scene));
  scene.world.filter = nullptr;
  const std::uint64_t received = client.received();
  scene.world.idle(3s);
  EXPECT_GT(client.received(), received);
  EXPECT_FALSE(session(scene).prober()->doubtful());
  ASSERT_TRUE(scene.finish(client));
  EXPECT_TRUE(client.complete()) << client.text();
  EXPECT_EQ(session(scene).switches().size(), 1u);
  EXPECT_EQ(relayed(scene), bytes);
  EXPECT_EQ(scene.world.violations(), none);
}

TEST_F(RelayOff, SwitchedOnItTakesADoubtfulSessionAtOnce) {
  Scene scene({.direct_paths = true});
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open(
      {.service = "source", .size = 4'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024});
  ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 2s));
  turn(scene, false);
  cut_direct(scene);
  scene.world.idle(5s);
  ASSERT_TRUE(on_direct(scene));
  turn(scene, true);
  ASSERT_TRUE(scene.world.run([&] { return !on_direct(scene); }, 200ms));
  ASSERT_TRUE(scene.finish(client));
  EXPECT_TRUE(client.complete()) << client.text();
}

// Nothing comes back: the flow ends with its session, and the next one is told of the relay.
TEST_F(RelayOff, ADeadDirectPathEndsWithTheIdleTimeOut) {
  Scene scene({.direct_paths = true});
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open({.size = 10'000'000, .write_pause = 10ms});
  ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 2s));
  turn(scene, false);
  cut_direct(scene);
  scene.world.idle(2s);
  Client& early = scene.open({.size = 100});
  ASSERT_TRUE(scene.finish(early, 9s));
  EXPECT_EQ(early.ended(), FlowEnd::unavailable);
  EXPECT_NE(early.text().find("the relay at "), std::string::npos) << early.text();
  ASSERT_TRUE(scene.finish(client, 70s));
  EXPECT_EQ(client.ended(), FlowEnd::session_lost);
  scene.world.filter = nullptr;
  EXPECT_LT(scene.until_served({.size = 100'000}, 20s), 5s);
  EXPECT_TRUE(on_direct(scene));
}

// Rounds of checks are a minute apart by now; a flow waits ten seconds.
TEST_F(RelayOff, AWaitingFlowIsLookedForAPathAtOnce) {
  Scene scene({.direct_paths = true});
  cut_direct(scene);
  ASSERT_TRUE(scene.settle());
  ASSERT_TRUE(scene.finish(scene.open({.size = 100})));
  scene.world.idle(100s);
  turn(scene, false);
  scene.world.idle(100ms);
  scene.world.filter = nullptr;
  Client& client = scene.open({.size = 100});
  ASSERT_TRUE(scene.finish(client, 2s));
  EXPECT_TRUE(client.complete()) << client.text();
}

// A claim needs no more than control does.
TEST_F(RelayOff, ASessionIsClaimedBackWhileItIsOff) {
  Scene scene({.direct_paths = true, .agent_nat = symmetric_nat, .connector_nat = symmetric_nat});
  ASSERT_TRUE(scene.settle());
  ASSERT_TRUE(scene.finish(scene.open({.size = 100})));
  const auto id = session(scene).config().id;
  scene.relay->kill();
  scene.world.idle(1s);
  scene.relay->restart_after(0ms);
  scene.world.idle(10ms);
  turn(scene, false);
  scene.world.idle(20s);
  ASSERT_EQ(session(scene).config().id, id);
  EXPECT_TRUE(session(scene).relay_off());
  EXPECT_EQ(scene.intermediate().broker().counters().dropped_relay_off, 0u);
  Client& client = scene.open({.size = 100});
  scene.world.idle(5s);
  turn(scene, true);
  ASSERT_TRUE(scene.finish(client, 1s));
  EXPECT_TRUE(client.complete()) << client.text();
  EXPECT_EQ(session(scene).config().id, id);
}

// Flows need a direct path; sessions need what the relay still takes, on lines that lose some of
// it.
TEST_F(RelayOff, SessionsMoveToADirectPathAllTheSame) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Scene scene(
        {.seed = seed, .direct_paths = true, .agent_nat = ordinary, .connector_nat = ordinary});
    turn(scene, false);
    ASSERT_TRUE(scene.settle());
    scene.set_links({.delay = 10ms, .loss = 0.02});
    Client& client = scene.open({.size = 100'000});
    ASSERT_TRUE(scene.finish(client, 20s));
    EXPECT_TRUE(client.complete()) << client.text();
    EXPECT_TRUE(on_direct(scene));
  }
}

}  // namespace
}  // namespace ztna::sim
