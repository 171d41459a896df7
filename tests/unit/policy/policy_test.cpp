#include "policy/policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ztna::policy {
namespace {

using identity::Principal;
using identity::Role;
using testing::HasSubstr;
using testing::StartsWith;

Principal agent(const std::string& name) {
  Principal principal;
  principal.role = Role::agent;
  principal.trust_domain = "example.org";
  principal.name = name;
  return principal;
}

Principal connector(const std::string& name, std::vector<std::string> serve) {
  Principal principal = agent(name);
  principal.role = Role::connector;
  principal.serve = std::move(serve);
  return principal;
}

Policy parse(std::string_view text) {
  auto policy = Policy::parse(text, "policy.toml");
  EXPECT_TRUE(policy) << policy.error().message();
  return policy ? std::move(*policy) : Policy();
}

std::string error_of(std::string_view text) {
  const auto policy = Policy::parse(text, "policy.toml");
  return policy ? "accepted" : policy.error().message();
}

constexpr std::string_view example = R"([[serve]]
connectors = ["home-*"]
services   = ["web", "quake"]

[[allow]]
agents     = ["alice", "ci-*"]
services   = ["web"]

[[allow]]
agents     = ["*"]
services   = ["quake"]

[[revoke]]
spki = "00000000000000000000000000000000000000000000000000000000000000Ab"
)";

TEST(ServicesOf, AreThePatternsOfTheBlocksThatNameANode) {
  const Policy policy = parse(example);
  EXPECT_THAT(policy.services_of(agent("alice")), testing::ElementsAre("web", "quake"));
  EXPECT_THAT(policy.services_of(agent("bob")), testing::ElementsAre("quake"));
  EXPECT_THAT(policy.services_of(connector("home-1", {"web"})),
              testing::ElementsAre("web", "quake"));
  EXPECT_THAT(policy.services_of(connector("office", {"web"})), testing::IsEmpty());
  Principal revoked = agent("alice");
  revoked.spki.back() = 0xab;
  EXPECT_THAT(policy.services_of(revoked), testing::IsEmpty());
  Principal relay = agent("home-1");
  relay.role = Role::intermediate;
  EXPECT_THAT(policy.services_of(relay), testing::IsEmpty());
}

TEST(Decide, EmptyDeniesEverything) {
  for (const Policy& policy : {Policy(), parse(""), parse("# nothing\n")}) {
    EXPECT_FALSE(policy.may_reach(agent("alice"), "web").allowed);
    EXPECT_EQ(policy.may_reach(agent("alice"), "web").rule, "default deny");
    EXPECT_FALSE(policy.may_serve(connector("home-1", {"*"}), "web").allowed);
  }
}

TEST(Decide, NamesTheRuleThatAllowed) {
  const Policy policy = parse(example);
  const Decision web = policy.may_reach(agent("alice"), "web");
  EXPECT_TRUE(web.allowed);
  EXPECT_EQ(web.rule, "allow[1] at policy.toml:5");
  const Decision quake = policy.may_reach(agent("bob"), "quake");
  EXPECT_TRUE(quake.allowed);
  EXPECT_EQ(quake.rule, "allow[2] at policy.toml:9");
}

TEST(Decide, WhatNoRuleNamesIsDenied) {
  const Policy policy = parse(example);
  for (const auto& [name, service] : std::vector<std::pair<std::string, std::string>>{
           {"bob", "web"}, {"alice2", "web"}, {"alice", "payroll"}, {"xci-1", "web"}}) {
    const Decision decision = policy.may_reach(agent(name), service);
    EXPECT_FALSE(decision.allowed) << name << " " << service;
    EXPECT_EQ(decision.rule, "default deny");
  }
  EXPECT_TRUE(policy.may_reach(agent("ci-7"), "web").allowed);
}

TEST(Decide, AServiceIsANameNotAPattern) {
  const Policy policy = parse("[[allow]]\nagents = [\"*\"]\nservices = [\"*\"]\n");
  EXPECT_TRUE(policy.may_reach(agent("alice"), "web").allowed);
  EXPECT_FALSE(policy.may_reach(agent("alice"), "*").allowed);
  EXPECT_FALSE(policy.may_reach(agent("alice"), "").allowed);
  EXPECT_FALSE(policy.may_reach(agent("alice"), "web\n").allowed);
}

TEST(Decide, ServingNeedsCertificateAndRule) {
  const Policy policy = parse(example);
  EXPECT_TRUE(policy.may_serve(connector("home-1", {"web"}), "web").allowed);
  EXPECT_EQ(policy.may_serve(connector("home-1", {"web"}), "web").rule,
            "serve[1] at policy.toml:1");
  EXPECT_TRUE(policy.may_serve(connector("home-1", {"*"}), "quake").allowed);
  const Decision unnamed = policy.may_serve(connector("home-1", {"web"}), "quake");
  EXPECT_FALSE(unnamed.allowed);
  EXPECT_EQ(unnamed.rule, "certificate does not name quake");
  const Decision ruleless = policy.may_serve(connector("office", {"web"}), "web");
  EXPECT_FALSE(ruleless.allowed);
  EXPECT_EQ(ruleless.rule, "default deny");
}

TEST(Decide, RolesAreNotInterchangeable) {
  const Policy policy = parse(
      "[[allow]]\nagents = [\"*\"]\nservices = [\"*\"]\n"
      "[[serve]]\nconnectors = [\"*\"]\nservices = [\"*\"]\n");
  EXPECT_FALSE(policy.may_reach(connector("home", {"*"}), "web").allowed);
  Principal disguised = agent("alice");
  disguised.serve = {"*"};
  EXPECT_FALSE(policy.may_serve(disguised, "web").allowed);
}

TEST(Revoke, EndsBothRolesByKey) {
  const Policy policy =
      parse(std::string(example) + "[[allow]]\nagents = [\"*\"]\nservices = [\"*\"]\n");
  Principal alice = agent("alice");
  EXPECT_FALSE(policy.is_revoked(alice.spki));
  EXPECT_TRUE(policy.may_reach(alice, "web").allowed);
  alice.spki[31] = 0xab;
  EXPECT_TRUE(policy.is_revoked(alice.spki));
  EXPECT_FALSE(policy.may_reach(alice, "web").allowed);
  EXPECT_EQ(policy.may_reach(alice, "web").rule, "revoke[1] at policy.toml:13");
  Principal home = connector("home-1", {"web"});
  home.spki = alice.spki;
  EXPECT_FALSE(policy.may_serve(home, "web").allowed);
}

TEST(Parse, CountsBlocks) {
  const Policy::Counts counts = parse(example).counts();
  EXPECT_EQ(counts.serve, 1U);
  EXPECT_EQ(counts.allow, 2U);
  EXPECT_EQ(counts.revoke, 1U);
}

// Each: what stands in the file, and how the error must begin.
struct Wrong {
  const char* name;
  const char* text;
  const char* message;
};
void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }
class Malformed : public testing::TestWithParam<Wrong> {};

TEST_P(Malformed, IsNamedWithPlaceAndExpectation) {
  EXPECT_THAT(error_of(GetParam().text), StartsWith(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Policy, Malformed,
    testing::Values(
        Wrong{"syntax", "[[allow]]\nagents = [\n", "policy.toml:"},
        Wrong{"section", "\n[[alow]]\nagents = [\"a\"]\n",
              "policy.toml:2:3: unknown key \"alow\", expected [[serve]], [[allow]], [[prove]] or "
              "[[revoke]]"},
        Wrong{"toplevel", "agents = [\"a\"]\n", "policy.toml:1:1: unknown key \"agents\""},
        Wrong{"single", "[allow]\nagents = [\"a\"]\nservices = [\"b\"]\n",
              "policy.toml:1:2: allow is not a list of blocks, expected [[allow]]"},
        Wrong{"list", "allow = [1]\n", "policy.toml:1:10: allow holds something else than blocks"},
        Wrong{"key", "[[allow]]\nagents = [\"a\"]\nservices = [\"b\"]\nservice = \"c\"\n",
              "policy.toml:4:1: unknown key \"service\" in [[allow]], expected agents or services"},
        Wrong{"mixed", "[[allow]]\nconnectors = [\"a\"]\nservices = [\"b\"]\n",
              "policy.toml:2:1: unknown key \"connectors\" in [[allow]], expected agents or"},
        Wrong{"missing", "[[serve]]\nconnectors = [\"a\"]\n",
              "policy.toml:1:1: [[serve]] lacks the key \"services\", expected a list"},
        Wrong{"text", "[[serve]]\nconnectors = \"a\"\nservices = [\"b\"]\n",
              "policy.toml:2:14: connectors in [[serve]] is not a list, expected a list"},
        Wrong{"empty", "[[serve]]\nconnectors = []\nservices = [\"b\"]\n",
              "policy.toml:2:14: connectors in [[serve]] is empty, expected a list"},
        Wrong{"number", "[[serve]]\nconnectors = [\"a\", 7]\nservices = [\"b\"]\n",
              "policy.toml:2:20: connectors in [[serve]] holds something else than text"},
        Wrong{"glob", "[[serve]]\nconnectors = [\"a?\"]\nservices = [\"b\"]\n",
              "policy.toml:2:15: \"a?\" in connectors in [[serve]] is no name or pattern"},
        Wrong{"capital", "[[allow]]\nagents = [\"Alice\"]\nservices = [\"b\"]\n",
              "policy.toml:2:11: \"Alice\" in agents in [[allow]] is no name or pattern"},
        Wrong{"spki", "[[revoke]]\nspki = \"abc\"\n",
              "policy.toml:2:8: spki in [[revoke]] is malformed, expected 64 hexadecimal"},
        Wrong{"spkitype", "[[revoke]]\nspki = 7\n", "policy.toml:2:8: spki in [[revoke]] is"},
        Wrong{"spkiless", "[[revoke]]\n",
              "policy.toml:1:1: [[revoke]] lacks the key \"spki\", expected 64"},
        Wrong{"fingerprint", "[[revoke]]\nfingerprint = \"aa\"\n",
              "policy.toml:2:1: unknown key \"fingerprint\" in [[revoke]], expected spki"},
        Wrong{"nested", "[[allow]]\nagents = [[\"a\"]]\nservices = [\"b\"]\n",
              "policy.toml:2:11: agents in [[allow]] holds something else than text"}),
    [](const testing::TestParamInfo<Wrong>& test) { return std::string(test.param.name); });

TEST(Parse, CommentsMayBeInAnyScript) {
  EXPECT_EQ(parse("# für Zoë \xf0\x9f\x94\x91\n[[allow]] # é\nagents = [\"a\"] # ü\n"
                  "services = [\"b\"]\n")
                .counts()
                .allow,
            1U);
}

TEST(Parse, NamesAreAscii) {
  EXPECT_THAT(error_of("[[allow]]\nagents = [\"zo\xc3\xab\"]\n"),
              StartsWith("policy.toml:2:14: a character beyond ASCII stands here"));
  EXPECT_THAT(error_of("[[allow]]\nagents = [\"a#\xc3\xab\"]\nservices = [\"b\"]\n"),
              StartsWith("policy.toml:2:11: \"a#??\" in agents in [[allow]] is no name"));
  EXPECT_THAT(error_of("seabcdef\xc9\xbe"), StartsWith("policy.toml:1:9: "));
}

// Headers that toml++ 3.3 asserts away before it looks at them.
TEST(Parse, RefusesHeadersWithoutAKey) {
  EXPECT_THAT(error_of("\n[[@allow]]\n"), StartsWith("policy.toml:2:"));
  EXPECT_THAT(error_of("[@]"), StartsWith("policy.toml:1:"));
  EXPECT_THAT(error_of(std::string_view("\n[\0=allow]]", 11)), StartsWith("policy.toml:2:"));
}

TEST(Parse, HidesControlCharactersOfHostileKeys) {
  EXPECT_THAT(error_of("\"a\\u001b[31m\" = 1\n"), HasSubstr("unknown key \"a?[31m\""));
}

}  // namespace
}  // namespace ztna::policy
