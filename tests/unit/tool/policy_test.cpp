#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "unit/tool/command_fixture.hpp"

namespace ztna::tool {
namespace {

using testing::HasSubstr;

class PolicyCheck : public CommandTest {
 protected:
  void SetUp() override {
    write("policy.toml",
          "[[serve]]\nconnectors = [\"home-*\"]\nservices = [\"web\"]\n"
          "[[allow]]\nagents = [\"alice\"]\nservices = [\"web\", \"quake\"]\n");
  }
  Outcome check(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"policy", "check", "--policy", "@policy.toml"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return ztna(arguments);
  }
};

TEST_F(PolicyCheck, AllowedNamesTheRule) {
  const Outcome outcome = check({"--agent", "alice", "--service", "web"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out,
            "allowed: agent alice may reach web (allow[1] at " + at("policy.toml") + ":4)\n");
}

TEST_F(PolicyCheck, DeniedExitsWithOne) {
  const Outcome outcome = check({"--agent", "bob", "--service", "web"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "denied: agent bob may not reach web (default deny)\n");
}

TEST_F(PolicyCheck, BothEndsMustBeAllowed) {
  EXPECT_EQ(check({"--agent", "alice", "--service", "web", "--connector", "home-1"}).code, 0);
  EXPECT_EQ(check({"--agent", "alice", "--service", "quake", "--connector", "home-1"}).code, 1);
  EXPECT_EQ(check({"--agent", "bob", "--service", "web", "--connector", "home-1"}).code, 1);
  EXPECT_EQ(check({"--service", "web", "--connector", "home-1"}).code, 0);
}

TEST_F(PolicyCheck, JsonForPrograms) {
  const Outcome outcome =
      check({"--agent", "alice", "--service", "quake", "--connector", "home-1", "--json"});
  EXPECT_EQ(outcome.code, 1);
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["allowed"], false);
  EXPECT_EQ(json["agent"]["allowed"], true);
  EXPECT_EQ(json["connector"]["rule"], "default deny");
}

TEST_F(PolicyCheck, WithoutNamesItValidates) {
  const Outcome outcome = ztna({"policy", "check", "@policy.toml"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("valid, [[serve]] 1, [[allow]] 1, [[prove]] 0, [[revoke]] 0"));
  write("empty.toml", "");
  EXPECT_THAT(ztna({"policy", "check", "@empty.toml"}).out, HasSubstr("nobody"));
}

TEST_F(PolicyCheck, WrongInputIsOneLineAndTwo) {
  write("bad.toml", "[[allow]]\nagents = [\"Alice\"]\nservices = [\"web\"]\n");
  const std::vector<std::pair<std::vector<std::string>, std::string>> table = {
      {{"policy", "check"}, "--policy is required"},
      {{"policy", "check", "@none.toml"}, "none.toml: cannot be read"},
      {{"policy", "check", "@"}, "cannot be read"},  // a folder
      {{"policy", "check", "@bad.toml"}, "bad.toml:2:11: \"Alice\" in agents"},
      {{"policy", "check", "@policy.toml", "--agent", "alice"}, "--agent requires --service"},
      {{"policy", "check", "@policy.toml", "--service", "web"}, "--agent or --connector"},
      {{"policy", "check", "@policy.toml", "--agent", "", "--service", "web"},
       "--agent: \"\" is not a name"},
      {{"policy", "check", "@policy.toml", "--agent", "a*", "--service", "web"},
       "--agent: \"a*\" is not a name"},
      {{"policy", "check", "@policy.toml", "--agent", "alice", "--service", "*"},
       "--service: \"*\" is not a name"},
  };
  for (const auto& [arguments, message] : table) {
    const Outcome outcome = ztna(arguments);
    EXPECT_EQ(outcome.code, 2) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
  }
}

}  // namespace
}  // namespace ztna::tool
