#include "daemon/trust.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "workspace.hpp"

namespace ztna::daemon {
namespace {

using identity::Role;

TEST(DaysLeft, RoundsDown) {
  constexpr std::int64_t day = 86400;
  EXPECT_EQ(days_left({10 * day}, {0}), 10);
  EXPECT_EQ(days_left({10 * day - 1}, {0}), 9);
  EXPECT_EQ(days_left({0}, {0}), 0);
  EXPECT_EQ(days_left({-1}, {0}), -1);
  EXPECT_EQ(days_left({-day}, {0}), -1);
  EXPECT_EQ(days_left({-day - 1}, {0}), -2);
}

TEST(LoadTrust, ReadsAllFour) {
  Workspace workspace;
  workspace.issue(Role::connector, "home-1", 90);
  const FrameOptions options = workspace.options();
  const auto trust = load_trust(options.common.identity, options.policy_file, Role::connector,
                                io::Loop::wall_now());
  ASSERT_TRUE(trust) << trust.error().message();
  EXPECT_EQ(trust->credentials->self().uri(), "spiffe://example.org/connector/home-1");
  EXPECT_EQ(trust->policy->counts().allow, 1U);
}

TEST(LoadTrust, WithoutPolicyForAgents) {
  Workspace workspace;
  workspace.issue(Role::agent, "alice", 90);
  const auto trust =
      load_trust(workspace.options().common.identity, "", Role::agent, io::Loop::wall_now());
  ASSERT_TRUE(trust) << trust.error().message();
  EXPECT_EQ(trust->policy, nullptr);
}

TEST(LoadTrust, WarnsOfAKeyThatOthersReadAndOfAPolicyThatAllowsNothing) {
  Workspace workspace;
  workspace.issue(Role::connector, "home-1", 90);
  const std::string serve = "[[serve]]\nconnectors = [\"*\"]\nservices = [\"*\"]\n";
  workspace.write("policy.toml", workspace.read("policy.toml") + serve);
  const FrameOptions options = workspace.options();
  const auto warnings = [&] {
    const auto trust = load_trust(options.common.identity, options.policy_file, Role::connector,
                                  io::Loop::wall_now());
    return trust ? trust->warnings : std::vector<std::string>{trust.error().message()};
  };
  const std::string& key = options.common.identity.key;
  ASSERT_EQ(::chmod(key.c_str(), 0640), 0);  // as a service manager hands it over
  EXPECT_EQ(warnings(), std::vector<std::string>{});
  ASSERT_EQ(::chmod(key.c_str(), 0644), 0);
  EXPECT_EQ(warnings(),
            std::vector<std::string>{"Others may use this identity, chmod g-w,o= " + key});
  ASSERT_EQ(::chmod(key.c_str(), 0600), 0);
  workspace.write("policy.toml", serve);
  EXPECT_EQ(warnings(), std::vector<std::string>{
                            options.policy_file +
                            " lets nobody reach anything, add [[serve]] and [[allow]] blocks"});
}

TEST(LoadTrust, WrongRoleIsRefused) {
  Workspace workspace;
  workspace.issue(Role::agent, "alice", 90);
  const auto trust =
      load_trust(workspace.options().common.identity, "", Role::connector, io::Loop::wall_now());
  ASSERT_FALSE(trust);
  EXPECT_EQ(trust.error().message(), workspace.path("cert.pem") +
                                         ": is the certificate of role agent, expected role "
                                         "connector");
}

void make_by_openssl(const Workspace& workspace, const std::string& name, const std::string& key,
                     const std::string& extensions) {
  const std::string make =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=relay " +
      extensions + " -days 2 -keyout " + workspace.path(key) + " -out " + workspace.path(name) +
      " 2>/dev/null";
  ASSERT_EQ(std::system(make.c_str()), 0);  // NOLINT(cert-env33-c): a fixed command
}

// A public CA's certificate says no trust domain, which every decision needs: the roots say it.
TEST(LoadTrust, APublicCertificateIsAnIntermediatesWhereTheRootsSayTheTrustDomain) {
  Workspace workspace;
  make_by_openssl(workspace, "cert.pem", "key.pem",
                  "-addext subjectAltName=DNS:relay.example -addext basicConstraints=CA:FALSE");
  const auto load = [&](Role role) {
    return load_trust(workspace.options().common.identity, "", role, io::Loop::wall_now());
  };
  const auto trust = load(Role::intermediate);
  ASSERT_TRUE(trust) << trust.error().message();
  EXPECT_EQ(trust->credentials->self().name, "relay.example");
  EXPECT_EQ(trust->credentials->self().trust_domain, "example.org");
  const auto as_agent = load(Role::agent);
  ASSERT_FALSE(as_agent);
  EXPECT_NE(as_agent.error().message().find("role intermediate, expected role agent"),
            std::string::npos);
  make_by_openssl(workspace, "ca-cert.pem", "ca-key.pem", "");
  const auto refused = load(Role::intermediate);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("made by ztna ca init"), std::string::npos)
      << refused.error().message();
}

TEST(LoadTrust, PublicRootsAreReadWhenAskedFor) {
  Workspace workspace;
  workspace.issue(Role::agent, "alice", 90);
  FrameOptions options = workspace.options();
  options.common.identity.public_roots = workspace.path("public.pem");
  const auto says = [&] {
    const auto trust = load_trust(options.common.identity, "", Role::agent, io::Loop::wall_now());
    return trust ? std::string() : trust.error().message();
  };
  EXPECT_EQ(says(), "\"" + workspace.path("public.pem") +
                        "\": No such file or directory, expected the file of --public-roots");
  workspace.write("public.pem", "garbage");
  EXPECT_NE(says().find(workspace.path("public.pem")), std::string::npos) << says();
  make_by_openssl(workspace, "public.pem", "public-key.pem", "");
  EXPECT_EQ(says(), "");
}

TEST(LoadTrust, ErrorsNameTheFile) {
  Workspace workspace;
  workspace.issue(Role::intermediate, "relay", 90);
  const FrameOptions options = workspace.options();
  const auto says = [&] {
    const auto trust = load_trust(options.common.identity, options.policy_file, Role::intermediate,
                                  io::Loop::wall_now());
    return trust ? std::string() : trust.error().message();
  };
  EXPECT_EQ(says(), "");
  workspace.write("policy.toml", "[[alow]]\n");
  EXPECT_NE(says().find(workspace.path("policy.toml") + ":1"), std::string::npos) << says();
  std::filesystem::remove(workspace.path("policy.toml"));
  EXPECT_EQ(says(), "\"" + workspace.path("policy.toml") +
                        "\": No such file or directory, expected the file of --policy");
  workspace.write("key.pem", "garbage");
  EXPECT_NE(says().find(workspace.path("key.pem")), std::string::npos) << says();
  std::filesystem::remove(workspace.path("cert.pem"));
  EXPECT_EQ(says(), "\"" + workspace.path("cert.pem") +
                        "\": No such file or directory, expected the file of --cert or --cert-dir");
}

}  // namespace
}  // namespace ztna::daemon
