#include <gmock/gmock.h>

#include <cstdlib>
#include <optional>

#include "unit/tool/command_fixture.hpp"

namespace ztna::tool {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class CommandLine : public CommandTest {};

TEST_F(CommandLine, HelpGroupsTheCommandsAndShowsExamples) {
  const Outcome outcome = ztna({"--help"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("Begin:\n  quickstart"), HasSubstr("Running daemons:"),
                                 HasSubstr("Identity and policy:"), HasSubstr("ztna ca init"),
                                 Not(HasSubstr("serve-page"))));
}

TEST_F(CommandLine, VersionNamesTheAead) {
  const Outcome outcome = ztna({"--version"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, AllOf(StartsWith("ztna "), HasSubstr("(AEAD: ")));
}

TEST_F(CommandLine, ASlipIsAnsweredWithWhatWasMeant) {
  const auto refused = [this](const std::vector<std::string>& arguments) {
    const Outcome outcome = ztna(arguments);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
    return outcome.err;
  };
  EXPECT_THAT(refused({"statsu"}), HasSubstr("did you mean \"status\"? (see ztna --help)"));
  EXPECT_THAT(refused({"ca", "isue"}), HasSubstr("ztna ca: \"isue\" is not known here, did you "
                                                 "mean \"issue\"?"));
  EXPECT_THAT(refused({"status", "--watc"}), HasSubstr("did you mean \"--watch\"?"));
  EXPECT_THAT(refused({"banana"}), Not(HasSubstr("did you mean")));
  EXPECT_THAT(refused({}), HasSubstr("(see ztna --help)"));
  EXPECT_THAT(refused({"bad\nline"}), HasSubstr("is not known here"));
}

// The usual sockets, moved into the scratch folder.
class Daemons : public CommandTest {
 protected:
  void SetUp() override { setenv("ZTNA_RUNTIME_DIR", at("run").c_str(), 1); }
  void TearDown() override { unsetenv("ZTNA_RUNTIME_DIR"); }
};

TEST_F(Daemons, NoneThereIsOneLine) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"status"}, {"relay", "show"}}) {
    const Outcome outcome = ztna(arguments);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1);
    EXPECT_THAT(outcome.err, HasSubstr("no intermediate is running here, looked for " +
                                       at("run/intermediate.sock") + ", " +
                                       at("run/intermediate/intermediate.sock")));
  }
}

TEST_F(Daemons, AServiceIsFoundInItsOwnFolder) {
  std::filesystem::create_directories(at("run/agent"));
  write("run/agent/agent.sock", "");
  const Outcome outcome = ztna({"status"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, StartsWith("ztna status: " + at("run/agent/agent.sock") + ": "));
}

TEST_F(Daemons, OneThatWasAskedForAndIsAwayIsNamed) {
  const Outcome outcome = ztna({"status", "--control", "@agent.sock"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err,
              StartsWith("ztna status: " + at("agent.sock") + ": no daemon is running there"));
}

}  // namespace
}  // namespace ztna::tool
