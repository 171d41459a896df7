// Authority: who may say what to an Intermediate, and what operators change under live flows.
#include <gtest/gtest.h>

#include <algorithm>

#include "sim/scene.hpp"

namespace ztna::sim {
namespace {

namespace proto = node::proto;
using policy::AuditEvent;

std::size_t count(const std::vector<policy::AuditRecord>& audit, AuditEvent event) {
  return static_cast<std::size_t>(std::ranges::count(audit, event, &policy::AuditRecord::event));
}

node::Uplink& uplink(AgentPart& agent) { return *agent.engine().node().uplinks().at(0); }

// agent-1 learns the id of agent-0's session (it should not, but suppose) and tries to end it, then
// to take its relay channel over.
TEST(Control, MessagesAboutSomebodyElsesSessionAreRefused) {
  Scene scene({.agents = 2});
  ASSERT_TRUE(scene.settle());
  Client& victim = scene.open({.service = "source", .size = 3'000'000, .read_pause = 10ms});
  scene.world.idle(300ms);
  const auto sessions = scene.agent(0).engine().node().sessions();
  ASSERT_EQ(sessions.size(), 1u);
  const auto& config = sessions[0]->config();
  proto::Message close;
  close.mutable_close_session()->set_session_id(config.id.octets.data(), 16);
  ASSERT_TRUE(uplink(scene.agent(1)).send(close));
  proto::Message claim;
  auto& body = *claim.mutable_claim_session();
  body.set_session_id(config.id.octets.data(), 16);
  body.set_peer(config.peer_uri);
  body.set_peer_incarnation(config.peer_incarnation.octets.data(), 16);
  ASSERT_TRUE(uplink(scene.agent(1)).send(claim));
  scene.world.idle(200ms);
  EXPECT_EQ(scene.intermediate().broker().counters().not_owner, 2u);
  EXPECT_EQ(count(scene.relay_audit(), AuditEvent::not_owner), 2u);
  EXPECT_EQ(scene.agent(1).engine().node().sessions().size(), 0u);
  ASSERT_TRUE(scene.finish(victim, 60s));
  EXPECT_TRUE(victim.complete()) << victim.text();
}

// After a restart the Intermediate knows no sessions. A stranger's claim of one, naming the same
// Connector, must not meet the Connector's own claim, which names agent-0.
TEST(Control, StrangersClaimNeverMeetsTheOwners) {
  Scene scene({.agents = 2});
  ASSERT_TRUE(scene.settle());
  ASSERT_TRUE(scene.finish(scene.open({.size = 100})));
  const auto config = scene.agent(0).engine().node().sessions().at(0)->config();
  scene.agents[0]->kill();
  scene.relay->restart_after(100ms);
  scene.world.idle(3s);
  proto::Message claim;
  auto& body = *claim.mutable_claim_session();
  body.set_session_id(config.id.octets.data(), 16);
  body.set_peer(config.peer_uri);
  body.set_peer_incarnation(config.peer_incarnation.octets.data(), 16);
  (void)scene.until_served({.size = 10}, 5s, 1);
  ASSERT_TRUE(uplink(scene.agent(1)).send(claim));
  scene.world.idle(1s);
  EXPECT_EQ(scene.intermediate().broker().counters().sessions_reclaimed, 0u);
}

TEST(Control, FloodOfOpenSessionMeetsTheQuota) {
  Scene scene({.connectors = 2, .broker = {.max_sessions_per_agent = 1}});
  ASSERT_TRUE(scene.settle());
  for (std::uint64_t request = 1000; request < 1500; ++request) {
    proto::Message message;
    auto& body = *message.mutable_open_session();
    body.set_request(request);
    body.set_service("echo");
    ASSERT_TRUE(uplink(scene.agent()).send(message));
  }
  scene.world.idle(2s);
  EXPECT_LE(scene.intermediate().broker().session_count(), 1u);
  EXPECT_GT(scene.intermediate().broker().counters().sessions_denied, 0u);
}

TEST(Control, RemovedPolicyCutsTheLiveFlow) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  Client& denied = scene.open({.service = "source", .size = 50'000'000});
  Client& allowed = scene.open({.service = "sink", .size = 2'000'000});
  scene.world.idle(300ms);
  scene.reload_policy(R"(
[[serve]]
connectors = ["*"]
services = ["*"]
[[allow]]
agents = ["*"]
services = ["echo", "sink"]
)");
  ASSERT_TRUE(scene.finish(denied, 1s)) << "the flow outlives its permission";
  EXPECT_FALSE(denied.complete());
  ASSERT_TRUE(scene.finish(allowed, 60s));
  EXPECT_TRUE(allowed.complete()) << "another flow was cut with it: " << allowed.text();
  const auto& audit = scene.connector().audit();
  EXPECT_TRUE(std::ranges::any_of(audit, [](const policy::AuditRecord& r) {
    return r.event == AuditEvent::flow_closed && r.service == "source" &&
           r.reason.starts_with("denied");
  }));
}

// Nothing is allowed any more: the Intermediate ends the session by itself, whatever the Connector
// does.
TEST(Control, IntermediateEndsSessionsThatPolicyNoLongerAllows) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open({.service = "source", .size = 50'000'000});
  scene.world.idle(300ms);
  const auto nothing = std::make_shared<const policy::Policy>();
  scene.intermediate().reload(Certificates::get().intermediate, nothing, scene.world.now());
  ASSERT_TRUE(scene.finish(client, 1s));
  EXPECT_EQ(client.ended(), FlowEnd::session_lost);
  EXPECT_EQ(scene.intermediate().broker().session_count(), 0u);
}

TEST(Control, RevokedAgentIsCutAndStaysOut) {
  Scene scene({.agents = 2});
  ASSERT_TRUE(scene.settle());
  Client& revoked = scene.open({.service = "source", .size = 50'000'000}, 0);
  Client& other = scene.open({.service = "source", .size = 2'000'000}, 1);
  scene.world.idle(300ms);
  scene.reload_policy(std::string(open_policy) + "[[revoke]]\nspki = \"" +
                      base::to_hex(Certificates::get().agents[0]->self().spki) + "\"\n");
  ASSERT_TRUE(scene.finish(revoked, 1s));
  EXPECT_FALSE(revoked.complete());
  EXPECT_EQ(scene.until_served({.size = 10}, 10s, 0), 10s) << "a revoked Agent was served";
  ASSERT_TRUE(scene.finish(other, 60s));
  EXPECT_TRUE(other.complete()) << other.text();
}

// The Intermediate says that it goes: flows run on during the grace; afterwards nodes look for it
// again, and find its successor.
TEST(Control, DrainedIntermediateHandsOver) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  // More than all the windows on the way hold.
  Client& client = scene.open(
      {.service = "source", .size = 30'000'000, .read_pause = 10ms, .read_chunk = 64 * 1024});
  scene.world.idle(300ms);
  scene.intermediate().drain(3s, scene.world.now());
  scene.world.idle(1500ms);
  const auto& counters = scene.connector().engine().counters();
  const std::uint64_t before = counters.bytes_from_backend;
  scene.world.idle(1s);
  EXPECT_GT(counters.bytes_from_backend, before + 1'000'000);
  scene.intermediate().close(scene.world.now());
  scene.world.idle(100ms);
  scene.relay->restart_after(50ms);
  ASSERT_TRUE(scene.finish(client, 60s));
  EXPECT_TRUE(client.complete()) << client.text();
}

// It said that it would go and hangs instead: nodes do not wait for it longer than it asked for.
TEST(Control, NobodyWaitsForeverForADrainedIntermediate) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  scene.intermediate().drain(3s, scene.world.now());
  const node::Node& node = scene.connector().engine().node();
  scene.world.idle(2s);
  EXPECT_EQ(node.uplinks().at(0)->state(), node::Uplink::State::draining);
  scene.world.idle(3s);
  EXPECT_NE(node.uplinks().at(0)->state(), node::Uplink::State::draining);
}

}  // namespace
}  // namespace ztna::sim
