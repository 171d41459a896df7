#include "quic/stall.hpp"

#include <gtest/gtest.h>

namespace ztna::quic {
namespace {

constexpr base::Time start{std::chrono::seconds(1000)};
using namespace std::chrono_literals;

Stall full_since_start() {
  Stall stall;
  stall.window(true, 2400, start);
  return stall;
}

TEST(Stall, AFullWindowIsOneWhenThePeerIsHeardAndNothingChanges) {
  Stall stall = full_since_start();
  EXPECT_EQ(stall.deadline(start), start + Stall::patience);
  for (int i = 0; i < 3; ++i) stall.heard();
  stall.window(true, 2400, start + 1s);
  EXPECT_FALSE(stall.stalled(start + 1s));
  EXPECT_TRUE(stall.stalled(start + Stall::patience));
  EXPECT_EQ(stall.deadline(start + Stall::patience), base::never) << "no deadline may lie behind";
}

TEST(Stall, SilenceOfThePeerIsNone) {
  const Stall stall = full_since_start();
  EXPECT_FALSE(stall.stalled(start + 60s));
}

// A probe was sent, or something was acknowledged.
TEST(Stall, AnyChangeBeginsAnew) {
  for (const std::uint64_t in_flight : {3600, 1200}) {
    Stall stall = full_since_start();
    for (int i = 0; i < 3; ++i) stall.heard();
    stall.window(true, in_flight, start + 1s);
    EXPECT_FALSE(stall.stalled(start + 2s));
  }
  Stall stall = full_since_start();
  for (int i = 0; i < 3; ++i) stall.heard();
  stall.window(false, 2400, start + 1s);
  EXPECT_FALSE(stall.stalled(start + 60s));
}

}  // namespace
}  // namespace ztna::quic
