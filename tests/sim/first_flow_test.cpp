// A flow from a local program to a private backend and back, on a network without faults.
#include <gtest/gtest.h>

#include "sim/scene.hpp"

namespace ztna::sim {

TEST(FirstFlow, OctetsComeBackExactly) {
  Scene scene;
  if (std::getenv("SIM_TRACE")) scene.world.print_trace(true);
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open({.size = 100'000});
  ASSERT_TRUE(scene.finish(client));
  EXPECT_TRUE(client.complete()) << to_string(*client.ended()) << " " << client.text();
  EXPECT_EQ(scene.world.violations(), std::vector<std::string>{});
}

}  // namespace ztna::sim
