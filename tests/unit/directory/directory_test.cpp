#include "directory/directory.hpp"

#include <gtest/gtest.h>

namespace ztna::directory {
namespace {

const base::IncarnationId run{{1}};

TEST(Directory, LatestOfferReplacesTheOneBefore) {
  Directory directory;
  directory.offer(1, "home", run, {{"web", false, 80, true}, {"quake", true, 27960, true}});
  directory.offer(1, "home", run, {{"web", false, 8080, false}});
  ASSERT_EQ(directory.instances("web").size(), 1u);
  EXPECT_EQ(directory.instances("web")[0].service.port, 8080);
  EXPECT_FALSE(directory.instances("web")[0].service.healthy);
  EXPECT_TRUE(directory.instances("quake").empty());
  EXPECT_EQ(directory.offered_by(1), std::vector<std::string>{"web"});
}

TEST(Directory, WithdrawalLeavesOthersAlone) {
  Directory directory;
  directory.offer(1, "home", run, {{"web", false, 80, true}});
  directory.offer(2, "office", run, {{"web", false, 81, true}});
  directory.withdraw(1);
  directory.withdraw(7);
  ASSERT_EQ(directory.instances("web").size(), 1u);
  EXPECT_EQ(directory.instances("web")[0].node, 2u);
  directory.withdraw(2);
  EXPECT_TRUE(directory.all().empty());
  EXPECT_TRUE(directory.offered_by(2).empty());
}

TEST(Directory, EmptyOfferWithdraws) {
  Directory directory;
  directory.offer(1, "home", run, {{"web", false, 80, true}});
  directory.offer(1, "home", run, {});
  EXPECT_TRUE(directory.all().empty());
}

}  // namespace
}  // namespace ztna::directory
