#include "identity/principal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ztna::identity {
namespace {

using testing::HasSubstr;

TEST(Name, TakesLowerCaseDigitsAndInnerHyphens) {
  for (const char* name : {"a", "7", "web", "home-1", "a--b"})
    EXPECT_TRUE(is_valid_name(name)) << name;
  EXPECT_TRUE(is_valid_name(std::string(63, 'a')));
}

TEST(Name, RefusesEverythingElse) {
  for (const char* name :
       {"", "-", "-a", "a-", "Web", "a.b", "a*", "*", "a b", "ä", "a/b", "a_b"}) {
    EXPECT_FALSE(is_valid_name(name)) << name;
  }
  EXPECT_FALSE(is_valid_name(std::string(64, 'a')));
  EXPECT_FALSE(is_valid_name(std::string_view("a\0b", 3)));
}

TEST(TrustDomain, IsDotSeparatedLabels) {
  EXPECT_TRUE(is_valid_trust_domain("example.org"));
  EXPECT_TRUE(is_valid_trust_domain("localhost"));
  for (const char* domain : {"", ".", "a.", ".a", "a..b", "A.b", "a b", "*.org", "a:1"}) {
    EXPECT_FALSE(is_valid_trust_domain(domain)) << domain;
  }
  std::string longest = std::string(63, 'a') + "." + std::string(63, 'b') + "." +
                        std::string(63, 'c') + "." + std::string(63, 'd');
  EXPECT_TRUE(is_valid_trust_domain(longest));
  EXPECT_FALSE(is_valid_trust_domain(longest + ".e"));
}

TEST(SpiffeId, SplitsIntoItsParts) {
  const auto id = parse_spiffe_id("spiffe://example.org/connector/home-1");
  ASSERT_TRUE(id) << id.error().message();
  EXPECT_EQ(id->trust_domain, "example.org");
  EXPECT_EQ(id->role, Role::connector);
  EXPECT_EQ(id->name, "home-1");
}

TEST(SpiffeId, NamesWhatIsWrong) {
  const auto message = [](std::string_view uri) {
    const auto id = parse_spiffe_id(uri);
    return id ? std::string("accepted") : id.error().message();
  };
  EXPECT_THAT(message("https://example.org/agent/a"), HasSubstr("does not begin with spiffe://"));
  EXPECT_THAT(message("SPIFFE://example.org/agent/a"), HasSubstr("does not begin with spiffe://"));
  EXPECT_THAT(message("spiffe://example.org"), HasSubstr("lacks a role or a name"));
  EXPECT_THAT(message("spiffe://example.org/agent"), HasSubstr("lacks a role or a name"));
  EXPECT_THAT(message("spiffe:///agent/a"), HasSubstr("malformed trust domain"));
  EXPECT_THAT(message("spiffe://u@example.org/agent/a"), HasSubstr("malformed trust domain"));
  EXPECT_THAT(message("spiffe://example.org:1/agent/a"), HasSubstr("malformed trust domain"));
  EXPECT_THAT(message("spiffe://example.org/admin/a"), HasSubstr("the role is not"));
  EXPECT_THAT(message("spiffe://example.org/Agent/a"), HasSubstr("the role is not"));
  EXPECT_THAT(message("spiffe://example.org/agent/"), HasSubstr("malformed name"));
  EXPECT_THAT(message("spiffe://example.org/agent/a*"), HasSubstr("malformed name"));
  EXPECT_THAT(message("spiffe://example.org/agent/a/b"), HasSubstr("malformed name"));
  EXPECT_THAT(message("spiffe://example.org/agent/a?x"), HasSubstr("malformed name"));
  EXPECT_THAT(message("spiffe://example.org/agent/%61"), HasSubstr("malformed name"));
  EXPECT_THAT(message("spiffe://example.org/agent/A\n"), HasSubstr("agent/A?\""));
}

TEST(Principal, UriAndParsingAgree) {
  Principal principal;
  principal.role = Role::intermediate;
  principal.trust_domain = "example.org";
  principal.name = "relay-1";
  EXPECT_EQ(principal.uri(), "spiffe://example.org/intermediate/relay-1");
  EXPECT_TRUE(parse_spiffe_id(principal.uri()));
}

TEST(Principal, ServesOnlyWhatItsCertificateNames) {
  Principal connector;
  connector.role = Role::connector;
  connector.serve = {"web", "quake"};
  EXPECT_TRUE(connector.may_serve("web"));
  EXPECT_FALSE(connector.may_serve("payroll"));
  EXPECT_FALSE(connector.may_serve("we"));
  EXPECT_FALSE(connector.may_serve(""));
}

TEST(Principal, StarServesEveryNameButIsNotAName) {
  Principal connector;
  connector.role = Role::connector;
  connector.serve = {"*"};
  EXPECT_TRUE(connector.may_serve("payroll"));
  EXPECT_FALSE(connector.may_serve("*"));
  EXPECT_FALSE(connector.may_serve("Pay Roll"));
}

TEST(Principal, OnlyConnectorsServe) {
  Principal agent;
  agent.role = Role::agent;
  agent.serve = {"web"};
  EXPECT_FALSE(agent.may_serve("web"));
}

TEST(Role, NamesRoundTrip) {
  for (const Role role : {Role::intermediate, Role::connector, Role::agent}) {
    EXPECT_EQ(parse_role(to_string(role)), role);
  }
  EXPECT_FALSE(parse_role("Agent"));
  EXPECT_FALSE(parse_role(""));
}

}  // namespace
}  // namespace ztna::identity
