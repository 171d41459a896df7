#include "base/deadline_queue.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace ztna::base {
namespace {

std::vector<int> due(DeadlineQueue<int>& queue, Time now) {
  std::vector<int> keys;
  for (int key = 0; queue.pop_due(now, key);) keys.push_back(key);
  return keys;
}

TEST(DeadlineQueue, GivesTheEarliestFirstAndOnce) {
  DeadlineQueue<int> queue;
  queue.set(1, Time{30s});
  queue.set(2, Time{10s});
  queue.set(3, Time{20s});
  EXPECT_EQ(queue.next(), Time{10s});
  EXPECT_EQ(due(queue, Time{9s}), std::vector<int>{});
  EXPECT_EQ(due(queue, Time{20s}), (std::vector<int>{2, 3}));
  EXPECT_EQ(queue.next(), Time{30s});
  EXPECT_EQ(due(queue, never - 1s), std::vector<int>{1});
  EXPECT_EQ(queue.next(), never);
}

TEST(DeadlineQueue, MovesDeadlines) {
  DeadlineQueue<int> queue;
  queue.set(1, Time{10s});
  queue.set(2, Time{20s});
  queue.set(1, Time{30s});
  EXPECT_EQ(due(queue, Time{20s}), std::vector<int>{2});
  queue.set(1, Time{5s});
  queue.set(1, Time{5s});
  EXPECT_EQ(due(queue, Time{20s}), std::vector<int>{1});
  EXPECT_EQ(due(queue, never - 1s), std::vector<int>{});
}

TEST(DeadlineQueue, ForgetsWhatIsRemovedOrNever) {
  DeadlineQueue<int> queue;
  queue.set(1, Time{10s});
  queue.set(2, Time{10s});
  queue.set(3, never);
  queue.remove(1);
  queue.set(2, never);
  queue.remove(4);
  EXPECT_EQ(queue.next(), never);
  EXPECT_EQ(due(queue, never - 1s), std::vector<int>{});
}

}  // namespace
}  // namespace ztna::base
