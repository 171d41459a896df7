#include "io/loop.hpp"

#include <algorithm>
#include <csignal>
#include <ctime>
#include <memory>
#include <thread>
#include <vector>

#include "io/system_random.hpp"
#include "support.hpp"

namespace ztna::io {
namespace {

using testing::run_until;
using namespace std::chrono_literals;

TEST(Timer, FiresInOrderAndNeverEarly) {
  Loop loop;
  const base::Time start = Loop::now();
  std::vector<int> order;
  base::Time fired_at{};
  Timer third(loop, [&] {
    order.push_back(3);
    fired_at = Loop::now();
  });
  Timer first(loop, [&] { order.push_back(1); });
  Timer second(loop, [&] { order.push_back(2); });
  third.set(start + 3ms);
  first.set(start + 1ms);
  second.set(start + 2ms);
  ASSERT_TRUE(run_until(loop, [&] { return order.size() == 3; }));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  EXPECT_GE(fired_at, start + 3ms);
}

TEST(Timer, ReplacedAndCancelledDeadlinesDoNotFire) {
  Loop loop;
  int replaced = 0, cancelled = 0, last = 0;
  const base::Time start = Loop::now();
  Timer a(loop, [&] { ++replaced; });
  Timer b(loop, [&] { ++cancelled; });
  Timer c(loop, [&] { ++last; });
  a.set(start + 1ms);
  b.set(start + 1ms);
  a.set(start + 2ms);
  b.cancel();
  c.set(start + 3ms);
  EXPECT_EQ(b.deadline(), base::never);
  ASSERT_TRUE(run_until(loop, [&] { return last == 1; }));
  EXPECT_EQ(replaced, 1);
  EXPECT_EQ(cancelled, 0);
  EXPECT_EQ(a.deadline(), base::never);
}

TEST(Timer, PastDeadlineFiresSoonAndDoesNotStarveOthers) {
  Loop loop;
  int spins = 0;
  bool other = false;
  Timer* self = nullptr;
  Timer eager(loop, [&] {
    ++spins;
    self->set(base::Time{});
  });
  self = &eager;
  Timer patient(loop, [&] { other = true; });
  eager.set(base::Time{});
  EXPECT_EQ(spins, 0);
  patient.set(Loop::now() + 1ms);
  ASSERT_TRUE(run_until(loop, [&] { return other; }));
  EXPECT_GT(spins, 0);
}

TEST(Timer, MayBeDestroyedInItsOwnCallback) {
  Loop loop;
  std::unique_ptr<Timer> timer;
  auto token = std::make_shared<int>(7);
  int seen = 0;
  timer = std::make_unique<Timer>(loop, [&timer, &seen, token] {
    timer.reset();
    seen = *token;  // the callback's own captures outlive the timer
  });
  token.reset();
  timer->set(Loop::now());
  ASSERT_TRUE(run_until(loop, [&] { return seen != 0; }));
  EXPECT_EQ(seen, 7);
}

// A thousand timers in a scrambled order, half of them cancelled: the heap against a sorted list.
TEST(Timer, ManyTimersFireInDeadlineOrder) {
  Loop loop;
  const base::Time start = Loop::now();
  std::vector<std::unique_ptr<Timer>> timers;
  std::vector<int> fired;
  for (int i = 0; i < 1000; ++i) {
    timers.push_back(std::make_unique<Timer>(loop, [&fired, i] { fired.push_back(i); }));
    timers.back()->set(start + std::chrono::microseconds((i * 7919) % 1000));
  }
  for (int i = 0; i < 1000; i += 2) timers[static_cast<std::size_t>(i)]->cancel();
  ASSERT_TRUE(run_until(loop, [&] { return fired.size() == 500; }));
  for (std::size_t i = 1; i < fired.size(); ++i)
    EXPECT_LT((fired[i - 1] * 7919) % 1000, (fired[i] * 7919) % 1000);
}

TEST(Loop, PostFromAnotherThreadRunsInTheLoopInOrder) {
  Loop loop;
  std::vector<int> order;
  const auto loop_thread = std::this_thread::get_id();
  std::thread other([&] {
    for (int i = 0; i < 3; ++i)
      loop.post([&, i] {
        EXPECT_EQ(std::this_thread::get_id(), loop_thread);
        order.push_back(i);
        if (i == 2) loop.stop();
      });
  });
  loop.run();
  other.join();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
}

TEST(Loop, SignalsAreDeliveredEachTime) {
  Loop loop;
  int hangups = 0;
  ASSERT_TRUE(loop.on_signal(SIGHUP, [&] { ++hangups; }));
  std::raise(SIGHUP);
  ASSERT_TRUE(run_until(loop, [&] { return hangups == 1; }));
  std::raise(SIGHUP);
  ASSERT_TRUE(run_until(loop, [&] { return hangups == 2; }));
  EXPECT_FALSE(loop.on_signal(SIGKILL, [] {}));
}

TEST(Loop, WallClockIsCivilTime) {
  EXPECT_NEAR(static_cast<double>(Loop::wall_now().seconds),
              static_cast<double>(std::time(nullptr)), 2.0);
}

TEST(SystemRandom, FillsEverything) {
  SystemRandom random;
  base::Bytes octets(100'000);
  random.fill(octets);
  // Each octet is zero with 1/256: far more zeros than that were not filled.
  const auto zeros = std::count(octets.begin(), octets.end(), 0);
  EXPECT_GT(zeros, 200);
  EXPECT_LT(zeros, 700);
  EXPECT_NE(random.u64(), random.u64());
}

}  // namespace
}  // namespace ztna::io
