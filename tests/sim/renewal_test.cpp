// Certificates that are renewed, and those that are not.
#include <gtest/gtest.h>

#include <algorithm>

#include "sim/scene.hpp"

namespace ztna::sim {
namespace {

std::uint64_t connects(const node::Node& node) {
  std::uint64_t sum = 0;
  for (const auto& uplink : node.uplinks()) sum += uplink->connects();
  return sum;
}

// The Intermediate judges an uplink by the certificate of its handshake: a renewed one must have
// been shown before the old one ends.
TEST(Renewal, UplinksOutliveTheOldCertificates) {
  Scene scene({.intermediates = 2});
  ASSERT_TRUE(scene.settle());
  Client& download = scene.open(
      {.service = "source", .size = 4'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024});
  scene.world.idle(300ms);
  scene.renew_agent();
  scene.renew_connector();
  for (const std::size_t i : {0, 1}) scene.renew_intermediate(i);
  scene.reload_policy(open_policy);
  ASSERT_TRUE(scene.finish(download, 60s));
  EXPECT_TRUE(download.complete()) << "the renewal cut it: " << download.text();
  scene.world.idle(20s);
  const std::uint64_t agent = connects(scene.agent().engine().node());
  const std::uint64_t connector = connects(scene.connector().engine().node());
  scene.turn_calendar(100);
  scene.world.idle(20s);
  EXPECT_EQ(connects(scene.agent().engine().node()), agent);
  EXPECT_EQ(connects(scene.connector().engine().node()), connector);
  EXPECT_LT(scene.until_served({.size = 100}, 5s), 1s);
  EXPECT_EQ(scene.world.violations(), none);
}

// The Connector ends the session by its own calendar, whatever the Intermediate thinks of the day.
TEST(Renewal, ConnectorEndsTheSessionOfAnExpiredAgent) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  scene.open(
      {.service = "source", .size = 40'000'000, .read_pause = 10ms, .read_chunk = 16 * 1024});
  scene.world.idle(300ms);
  ASSERT_EQ(scene.connector().engine().flow_count(), 1u);
  base::WallReference wall = scene.world.wall();
  wall.wall.seconds += std::int64_t{100} * 86400;
  scene.connector().engine().set_wall(wall);
  scene.world.idle(11s);
  EXPECT_EQ(scene.connector().engine().node().sessions().size(), 0u);
  EXPECT_EQ(scene.connector().engine().flow_count(), 0u);
}

}  // namespace
}  // namespace ztna::sim
