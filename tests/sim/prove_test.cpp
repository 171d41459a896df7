// Paths that are suspended for a proof: what stands still, what goes on, and that it is over by
// itself.
#include <gtest/gtest.h>

#include "sim/scene.hpp"

namespace ztna::sim {
namespace {

using session::PathKind;

constexpr const char* proving = R"(
[[serve]]
connectors = ["*"]
services = ["*"]
[[allow]]
agents = ["*"]
services = ["*"]
[[prove]]
agents = ["*"]
services = ["source"]
)";

class Suspension : public testing::Test {
 protected:
  static session::Session& session(Scene& scene) {
    return *scene.agent().engine().node().sessions().at(0);
  }
  static bool on(Scene& scene, PathKind path) {
    const auto ours = scene.agent().engine().node().sessions();
    const auto theirs = scene.connector().engine().node().sessions();
    return ours.size() == 1 && theirs.size() == 1 && ours[0]->path_kind() == path &&
           theirs[0]->path_kind() == path;
  }
  static void suspend(Scene& scene, PathKind path, Duration time) {
    const auto asked = scene.agent().engine().ask_suspension(session(scene).config().id, path,
                                                             "source", time, scene.world.now());
    ASSERT_TRUE(asked) << asked.error().message();
  }
};

// QUIC packets of the session wait; its checks are answered, so the relay counts as alive.
TEST_F(Suspension, OfTheRelayHoldsTheFlowsOfThisSessionUntilItIsOver) {
  Scene scene({.agents = 2, .policy = proving});
  ASSERT_TRUE(scene.settle());
  ASSERT_TRUE(scene.finish(scene.open({.service = "source", .size = 100})));
  ASSERT_TRUE(scene.finish(scene.open({.service = "source", .size = 100}, 1)));
  suspend(scene, PathKind::relay, 5s);
  scene.world.idle(100ms);
  const Time began = scene.world.now();
  Client& held = scene.open({.service = "source", .size = 100});
  ASSERT_TRUE(scene.finish(scene.open({.service = "source", .size = 100}, 1), 2s))
      << "another Agent's session was held too";
  scene.world.idle(2s);
  EXPECT_EQ(held.received(), 0u);
  EXPECT_GT(scene.intermediate().broker().counters().dropped_suspended, 0u);
  ASSERT_TRUE(scene.finish(held, 20s));
  EXPECT_TRUE(held.complete()) << held.text();
  EXPECT_GT(scene.world.now() - began, 4s);
  EXPECT_EQ(scene.world.violations(), none);
}

TEST_F(Suspension, OfTheDirectPathIsAFallbackAndAReturn) {
  Scene scene({.direct_paths = true, .policy = proving});
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open(
      {.service = "source", .size = 8'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024});
  ASSERT_TRUE(scene.world.run([&] { return on(scene, PathKind::direct); }, 2s));
  scene.world.idle(500ms);
  suspend(scene, PathKind::direct, 3s);
  const Time asked = scene.world.now();
  ASSERT_TRUE(scene.world.run([&] { return on(scene, PathKind::relay); }, 2s));
  const std::uint64_t sent = session(scene).counters().direct_packets_sent;
  // It is the Connector that has something to send.
  const auto theirs = scene.connector().engine().node().sessions();
  EXPECT_GT(theirs.at(0)->counters().direct_suspended, 0u);
  scene.world.run([&] { return scene.world.now() - asked > 2900ms; }, 3s);
  EXPECT_TRUE(on(scene, PathKind::relay));
  EXPECT_EQ(session(scene).counters().direct_packets_sent, sent);
  // At once, not when the next round of checks would have been due.
  ASSERT_TRUE(scene.world.run([&] { return on(scene, PathKind::direct); }, 2s));
  ASSERT_TRUE(scene.finish(client));
  EXPECT_TRUE(client.complete()) << client.text();
  EXPECT_EQ(scene.world.violations(), none);
}

TEST_F(Suspension, IsForTheServicesThatTheRuleNames) {
  Scene scene({.direct_paths = true, .policy = proving});
  ASSERT_TRUE(scene.settle());
  ASSERT_TRUE(scene.finish(scene.open({.size = 100})));
  ASSERT_TRUE(scene.world.run([&] { return on(scene, PathKind::direct); }, 5s));
  const auto asked = scene.agent().engine().ask_suspension(
      session(scene).config().id, PathKind::direct, "echo", 3s, scene.world.now());
  ASSERT_TRUE(asked);
  scene.world.idle(1s);
  EXPECT_FALSE(session(scene).direct_suspended(scene.world.now()));
  EXPECT_TRUE(on(scene, PathKind::direct));
}

}  // namespace
}  // namespace ztna::sim
