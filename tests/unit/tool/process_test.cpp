#include "tool/process.hpp"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "tool/process_memory.hpp"
#include "unit/tool/command_fixture.hpp"

namespace ztna::tool {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr base::Duration long_enough = std::chrono::seconds(30);

class ProcessTest : public testing::Test {
 protected:
  ProcessPlan shell(const std::string& name, const std::string& script) {
    return {name, {"/bin/sh", "-c", script}, (folder_ / (name + ".log")).string()};
  }
  [[nodiscard]] std::string log(const std::string& name) const {
    std::ifstream in(folder_ / (name + ".log"));
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // A script that can be relied on to have run this far: it ends itself by then.
  void wait_for_log(ProcessGroup& group, const std::string& name, const std::string& text) {
    while (log(name).find(text) == std::string::npos) {
      ASSERT_NE(group.wait(std::chrono::milliseconds(2)), ProcessGroup::Wake::interrupted);
    }
  }

  testing_support::ScratchFolder folder_;
};

TEST_F(ProcessTest, TellsOfAChildThatEnds) {
  ProcessGroup group;
  ASSERT_TRUE(group.start(shell("bad", "echo the last words; exit 3")));
  EXPECT_EQ(group.wait(long_enough), ProcessGroup::Wake::child_ended);
  ASSERT_NE(group.ended(), nullptr);
  EXPECT_EQ(group.ended()->name, "bad");
  EXPECT_EQ(describe_end(*group.ended()->ended), "exit code 3");
  EXPECT_EQ(log_tail(group.ended()->log, 1), "    the last words\n");
}

TEST_F(ProcessTest, APlanThatCannotRunIsAnErrorAtOnce) {
  ProcessGroup group;
  const auto started =
      group.start({"none", {(folder_ / "nowhere").string()}, (folder_ / "none.log").string()});
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message(), HasSubstr("cannot be started (No such file"));
}

TEST_F(ProcessTest, StopsTheLastOneFirst) {
  ProcessGroup group;
  const std::string order = (folder_ / "order").string();
  for (const std::string name : {"one", "two"}) {
    ASSERT_TRUE(
        group.start(shell(name, "trap 'echo " + name + " >> " + order +
                                    "; exit 0' TERM; echo up; while :; do sleep 0.01; done")));
    wait_for_log(group, name, "up\n");
  }
  EXPECT_TRUE(group.stop(long_enough).empty());
  std::ifstream in(order);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "two\none\n");
}

TEST_F(ProcessTest, KillsWhatDoesNotEnd) {
  ProcessGroup group;
  ASSERT_TRUE(group.start(shell("deaf", "trap '' TERM; echo up; while :; do sleep 0.01; done")));
  wait_for_log(group, "deaf", "up\n");
  const auto failures = group.stop(std::chrono::milliseconds(50));
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_EQ(describe_end(*failures[0].ended), "signal 9 (Killed)");
}

TEST_F(ProcessTest, ASignalIsAnEventAndTheChildDoesNotGetIt) {
  ProcessGroup group;
  ASSERT_TRUE(
      group.start(shell("child", "trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done")));
  wait_for_log(group, "child", "up\n");
  ASSERT_EQ(kill(getpid(), SIGINT), 0);
  EXPECT_EQ(group.wait(long_enough), ProcessGroup::Wake::interrupted);
  EXPECT_NE(getpgid(group.find("child")->pid), getpgrp());
  EXPECT_TRUE(group.stop(long_enough).empty());
}

// Its parent is killed without a chance to clean up.
TEST_F(ProcessTest, ChildrenDoNotSurviveTheirParent) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);  // inherited by the grandchild: ends when the last holder does
  const pid_t parent = fork();
  if (parent == 0) {
    ProcessGroup group;
    static_cast<void>(group.start(shell("orphan", "echo up; exec sleep 1000")));
    while (log("orphan").find("up\n") == std::string::npos) {
    }
    kill(getpid(), SIGKILL);
  }
  close(ends[1]);
  waitpid(parent, nullptr, 0);
  char nothing = 0;
  EXPECT_EQ(read(ends[0], &nothing, 1), 0);
  close(ends[0]);
}

// The child puts the text together itself: its command line holds only the pieces.
TEST_F(ProcessTest, FindsATextInAnothersMemoryAndOnlyWhereItIs) {
  ProcessGroup group;
  ASSERT_TRUE(
      group.start(shell("holder",
                        "a=f3a9; b=77c1; text=\"needle-$a-$b\"; trap 'exit 0' TERM; echo up; "
                        "while :; do sleep 0.01; done; echo $text")));
  wait_for_log(group, "holder", "up\n");
  const pid_t pid = group.find("holder")->pid;
  const auto held = search_memory(pid, "needle-f3a9-77c1");
  ASSERT_TRUE(held) << held.error().message();
  EXPECT_TRUE(held->found);
  EXPECT_GT(held->octets, 4096U);
  const auto other = search_memory(pid, "needle-77c1-f3a9");
  ASSERT_TRUE(other);
  EXPECT_FALSE(other->found);
  EXPECT_TRUE(group.stop(long_enough).empty());
}

TEST_F(ProcessTest, MemoryThatCannotBeReadIsAnErrorNotAnAbsence) {
  EXPECT_FALSE(search_memory(-1, "needle"));
}

TEST(ChildEnvironment, LeavesOutWhatWouldChangeADaemon) {
  EXPECT_THAT(child_environment({"PATH=/bin", "ZTNA_LISTEN=x", "ZTNA_AEAD=gnutls", "CERT_DIR=/x",
                                 "NOTIFY_SOCKET=/s", "MY_ZTNA_X=1"}),
              ElementsAre("PATH=/bin", "ZTNA_AEAD=gnutls", "MY_ZTNA_X=1"));
}

}  // namespace
}  // namespace ztna::tool
