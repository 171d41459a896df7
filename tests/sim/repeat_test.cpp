// One seed, one trace: of every packet's (time, from, to, size), in one process and in two.
#include <gtest/gtest.h>

#include <array>
#include <cinttypes>
#include <cstdio>

#include "sim/storm.hpp"

namespace ztna::sim {
namespace {

TEST(Repeat, OneSeedGivesOneTrace) {
  for (const std::uint64_t seed : {3, 11, 12}) {
    const StormResult first = run_storm(seed, false);
    (void)run_storm(seed + 100, false);  // must not leave anything behind
    const StormResult second = run_storm(seed, false);
    EXPECT_GT(first.packets, 100u);
    EXPECT_EQ(first.digest, second.digest) << "seed " << seed;
    EXPECT_EQ(first.packets, second.packets) << "seed " << seed;
  }
}

TEST(Repeat, AnotherSeedGivesAnotherTrace) {
  EXPECT_NE(run_storm(1, false).digest, run_storm(2, false).digest);
}

TEST(Repeat, AnotherProcessGivesTheSameTrace) {
  std::FILE* const other = popen(SIM_PROGRAM " --seed 5", "r");
  ASSERT_NE(other, nullptr);
  std::array<char, 256> line{};
  ASSERT_NE(std::fgets(line.data(), line.size(), other), nullptr);
  pclose(other);
  std::uint64_t digest = 0;
  ASSERT_EQ(std::sscanf(line.data(), "seed 5: digest %" SCNx64, &digest), 1) << line.data();
  EXPECT_EQ(run_storm(5, false).digest, digest);
}

}  // namespace
}  // namespace ztna::sim
