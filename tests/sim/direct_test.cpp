// Sessions that move to a direct path and back.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "sim/scene.hpp"
#include "sim/seeded_random.hpp"
#include "wire/stun.hpp"

namespace ztna::sim {
namespace {

using session::PathKind;

class Direct : public testing::Test {
 protected:
  static bool on_direct(Scene& scene) {
    const auto sessions = scene.agent().engine().node().sessions();
    const auto theirs = scene.connector().engine().node().sessions();
    return sessions.size() == 1 && theirs.size() == 1 &&
           sessions[0]->path_kind() == PathKind::direct &&
           theirs[0]->path_kind() == PathKind::direct;
  }
  static bool between_nodes(const Scene& scene, const Machine& from, const Machine& to) {
    return &from != scene.relay && &to != scene.relay;
  }
};

TEST_F(Direct, SessionsMoveThereByThemselves) {
  Scene scene({.direct_paths = true});
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open({.service = "source", .size = 2'000'000});
  ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 2s));
  ASSERT_TRUE(scene.finish(client));
  EXPECT_TRUE(client.complete()) << client.text();
  EXPECT_EQ(scene.world.violations(), none);
}

// The relay is 121 ms away each way, the peer 1 ms: what left by the relay comes when packets of
// the direct path have long been acknowledged. Each of these payloads is sent once, and answered
// once.
TEST_F(Direct, TheMoveFromASlowRelayLosesNoDatagram) {
  Scene scene({.direct_paths = true});
  scene.set_links({.delay = 500us});
  scene.relay->link.delay = 60ms;
  ASSERT_TRUE(scene.settle());
  std::vector<const Client*> clients;
  const auto knock = [&] {
    clients.push_back(&scene.open({.service = "udp-echo",
                                   .protocol = Protocol::udp,
                                   .payloads = {clients.size() + 1},
                                   .udp_tries = 1}));
    scene.world.idle(5ms);
  };
  while (!on_direct(scene) && clients.size() < 500) knock();
  ASSERT_TRUE(on_direct(scene));
  for (int i = 0; i < 50; ++i) knock();
  scene.world.idle(1s);
  for (const Client* const client : clients) {
    EXPECT_EQ(client->answered(), 1u) << client->name();
  }
}

// From then on the Agent comes from another port, and its packets count for nothing until a check
// has shown who sends them. The next heartbeat may be 150 ms away; a packet is there at once.
TEST_F(Direct, ANatThatForgetsInMidTrafficIsMadeUpForWithinTwoRoundTrips) {
  NatBehaviour nat;
  nat.ports = PortAllocation::random;
  Scene scene({.direct_paths = true, .agent_nat = nat});
  scene.set_links({.delay = 5ms});
  ASSERT_TRUE(scene.settle());
  const auto knock = [&] {
    const Client& client = scene.open(
        {.service = "udp-echo", .protocol = Protocol::udp, .payloads = {100}, .udp_tries = 1});
    scene.world.idle(5ms);
    return &client;
  };
  Duration longest{};
  for (int i = 0; i < 10; ++i) {
    knock();
    ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 3s));
    for (int n = 0; n < 20 + 3 * i; ++n) knock();
    scene.agent_homes.at(0)->nat().flush();
    const Time flushed = scene.world.now();
    std::vector<const Client*> later;
    const auto heard = [](const Client* client) { return client->answered() > 0; };
    while (std::ranges::none_of(later, heard) && scene.world.now() < flushed + 1s) {
      later.push_back(knock());
    }
    longest = std::max(longest, scene.world.now() - flushed);
  }
  EXPECT_LT(longest, 80ms);
}

// A flow that is open and has nothing to say is no reason to ask often whether the path lives;
// neither is QUIC's keep-alive.
TEST_F(Direct, AnIdleFlowCostsAPacketInFiveSecondsEachWay) {
  Scene scene({.direct_paths = true});
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open({.size = 1000, .write_pause = 1h});
  ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 2s));
  scene.world.idle(5s);
  std::map<const Machine*, int> sent;
  scene.world.filter = [&](const Machine& from, const Machine& to, base::BytesView) {
    if (between_nodes(scene, from, to)) ++sent[&from];
    return true;
  };
  scene.world.idle(100s);
  EXPECT_FALSE(client.over());
  ASSERT_EQ(sent.size(), 2u);
  for (const auto& [from, packets] : sent) EXPECT_LE(packets, 21);
}

// Nobody is told: the direct way swallows everything from one moment to the next.
TEST_F(Direct, ADownloadGoesOnOverTheRelayWhenTheDirectPathDies) {
  Scene scene({.direct_paths = true});
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open(
      {.service = "source", .size = 4'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024});
  ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 2s));
  scene.world.idle(500ms);
  scene.world.filter = [&](const Machine& from, const Machine& to, base::BytesView) {
    return !between_nodes(scene, from, to);
  };
  const Time cut = scene.world.now();
  const auto sessions = scene.agent().engine().node().sessions();
  ASSERT_TRUE(scene.world.run([&] { return sessions.at(0)->path_kind() == PathKind::relay; }, 2s));
  EXPECT_LE(scene.world.now() - cut, 600ms);
  ASSERT_TRUE(scene.finish(client));
  EXPECT_TRUE(client.complete()) << client.text();
  EXPECT_EQ(scene.world.violations(), none);
}

// The relay may go when a direct path is there; nothing notices.
TEST_F(Direct, TrafficGoesOnWithoutTheIntermediate) {
  Scene scene({.direct_paths = true});
  ASSERT_TRUE(scene.settle());
  ASSERT_TRUE(scene.finish(scene.open({.size = 100})));
  ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 5s));
  scene.relay->kill();
  scene.world.idle(100s);
  Client& client = scene.open({.service = "source", .size = 1'000'000});
  ASSERT_TRUE(scene.finish(client));
  EXPECT_TRUE(client.complete()) << client.text();
  EXPECT_TRUE(on_direct(scene));
}

// Nobody is left who could tell it: the Connector's new process answers with a stateless reset.
TEST_F(Direct, WithoutTheIntermediateARestartOfThePeerIsNoticedToo) {
  Scene scene({.direct_paths = true});
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open({.size = 10'000'000, .write_pause = 10ms});
  ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 5s));
  scene.relay->kill();
  scene.world.idle(10s);
  ASSERT_FALSE(client.over());
  scene.connectors[0]->restart_after(100ms);
  ASSERT_TRUE(scene.finish(client, 2s))
      << "the flow hangs on a session that its peer has forgotten";
  EXPECT_EQ(client.ended(), FlowEnd::session_lost);
}

TEST_F(Direct, ItReturnsWhenTheDirectPathDoes) {
  Scene scene({.direct_paths = true});
  ASSERT_TRUE(scene.settle());
  ASSERT_TRUE(scene.finish(scene.open({.size = 100})));
  ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 5s));
  scene.world.filter = [&](const Machine& from, const Machine& to, base::BytesView) {
    return !between_nodes(scene, from, to);
  };
  const auto sessions = scene.agent().engine().node().sessions();
  ASSERT_TRUE(scene.world.run([&] { return sessions.at(0)->path_kind() == PathKind::relay; }, 20s));
  scene.world.idle(100s);
  scene.world.filter = nullptr;
  ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 65s));
}

// However many heartbeats were missed until the session left it: what was lost then says nothing
// about the path that is back.
TEST_F(Direct, ItReturnsAfterABlockThatTookHeartbeatsInMidDownload) {
  for (int step = 0; step < 20; ++step) {
    SCOPED_TRACE(step);
    Scene scene({.direct_paths = true});
    ASSERT_TRUE(scene.settle());
    Client& client = scene.open(
        {.service = "source", .size = 4'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024});
    ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 2s));
    scene.world.idle(500ms + step * 8ms);
    // Everything, or every second time the checks alone: then heartbeats have to tell.
    scene.world.filter = [&](const Machine& from, const Machine& to, base::BytesView packet) {
      return !between_nodes(scene, from, to) || (step % 2 == 0 && !wire::stun::is_stun(packet));
    };
    const auto sessions = scene.agent().engine().node().sessions();
    const auto relayed = [&] { return sessions.at(0)->path_kind() == PathKind::relay; };
    ASSERT_TRUE(scene.world.run(relayed, 5s));
    ASSERT_TRUE(scene.finish(client));
    EXPECT_TRUE(client.complete()) << client.text();
    scene.world.filter = nullptr;
    ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 65s));
  }
}

// What an eavesdropper sends from an address of its own, a copy of anything it saw, moves nothing.
TEST_F(Direct, AReplayFromElsewhereMovesNothing) {
  Scene scene({.direct_paths = true});
  Machine& thief = scene.world.add_machine("thief", base::Address::v4({203, 0, 113, 99}, 4434));
  ASSERT_TRUE(scene.settle());
  std::size_t stolen = 0;
  scene.world.filter = [&](const Machine& from, const Machine& to, base::BytesView packet) {
    if (&from == &thief || &to == &thief || !between_nodes(scene, from, to)) return true;
    ++stolen;
    base::Bytes copy(packet.begin(), packet.end());
    const base::Address victim = to.address();
    scene.world.after(1ms, [&, copy, victim] { scene.world.inject(thief, victim, copy); });
    return true;
  };
  Client& client = scene.open(
      {.service = "source", .size = 1'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024});
  ASSERT_TRUE(scene.finish(client));
  EXPECT_TRUE(client.complete()) << client.text();
  EXPECT_GT(stolen, 100u);
  ASSERT_TRUE(on_direct(scene));
  EXPECT_EQ(scene.agent().engine().node().sessions().at(0)->direct_pair()->remote,
            scene.connectors.at(0)->address());
  EXPECT_EQ(scene.connector().engine().node().sessions().at(0)->direct_pair()->remote,
            scene.agents.at(0)->address());
  for (const auto& pair : scene.connector().engine().node().sessions().at(0)->prober()->pairs()) {
    EXPECT_TRUE(pair.remote != thief.address() || !pair.health.proven());
  }
}

// One packet in nine is lost each way between the two, none by the relay: the game's player would
// notice.
TEST_F(Direct, APathThatLosesFarMoreThanTheRelayIsLeftForIt) {
  Scene scene({.direct_paths = true});
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open(
      {.service = "source", .size = 40'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024});
  ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 2s));
  SeededRandom dice{7};
  scene.world.filter = [&](const Machine& from, const Machine& to, base::BytesView) {
    return !between_nodes(scene, from, to) || dice.u64() % 9 != 0;
  };
  const auto sessions = scene.agent().engine().node().sessions();
  const auto by_loss = [&] {
    return std::ranges::any_of(sessions.at(0)->switches(), [](const session::PathSwitch& change) {
      return change.reason == session::SwitchReason::loss;
    });
  };
  ASSERT_TRUE(scene.world.run(by_loss, 20s));
  EXPECT_EQ(sessions.at(0)->path_kind(), PathKind::relay);
  scene.world.idle(20s);
  EXPECT_EQ(sessions.at(0)->path_kind(), PathKind::relay) << "it came back at once";
  EXPECT_FALSE(client.complete());
  scene.world.filter = nullptr;
  ASSERT_TRUE(scene.finish(client));
  EXPECT_TRUE(client.complete()) << client.text();
  ASSERT_TRUE(scene.world.run([&] { return on_direct(scene); }, 65s));
}

TEST_F(Direct, DirectOnlyNeedsNoRelayForFlowsAndWaitsForAPathThatHiccups) {
  Scene scene({.direct_paths = true, .direct_only = true});
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open(
      {.service = "source", .size = 8'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024});
  ASSERT_TRUE(scene.world.run([&] { return client.received() > 0; }, 5s));
  EXPECT_TRUE(on_direct(scene));
  const auto block = [&](const Machine& from, const Machine& to, base::BytesView) {
    return !between_nodes(scene, from, to);
  };
  scene.world.filter = block;
  scene.world.idle(3s);
  EXPECT_TRUE(on_direct(scene));
  scene.world.filter = nullptr;
  ASSERT_TRUE(scene.finish(client, 60s));
  EXPECT_TRUE(client.complete()) << client.text();
}

TEST_F(Direct, DirectOnlyEndsFlowsWithThePath) {
  Scene scene({.direct_paths = true, .direct_only = true});
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open(
      {.service = "source", .size = 8'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024});
  ASSERT_TRUE(scene.world.run([&] { return client.received() > 0; }, 5s));
  scene.world.filter = [&](const Machine& from, const Machine& to, base::BytesView) {
    return !between_nodes(scene, from, to);
  };
  ASSERT_TRUE(scene.finish(client, 12s));
  EXPECT_FALSE(client.complete());
  // And without any direct path, a flow ends with a reason in ten seconds.
  Client& second = scene.open({.size = 100});
  ASSERT_TRUE(scene.finish(second, 12s));
  EXPECT_FALSE(second.complete());
  EXPECT_NE(second.text().find("--direct-only"), std::string::npos) << second.text();
}

// The relay is nearer than the peer, and forbidden.
TEST_F(Direct, DirectOnlyTakesASlowPathToo) {
  Scene scene({.direct_paths = true, .direct_only = true});
  scene.set_links({.delay = 100ms});
  scene.relay->link.delay = 0ms;
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open({.service = "source", .size = 100'000});
  ASSERT_TRUE(scene.finish(client, 20s));
  EXPECT_TRUE(client.complete()) << client.text();
}

}  // namespace
}  // namespace ztna::sim
