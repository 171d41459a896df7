#include "daemon/trust.hpp"

#include <gtest/gtest.h>

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

// A certificate of a public CA says no trust domain, which every decision needs.
TEST(LoadTrust, APublicCertificateIsRefused) {
  Workspace workspace;
  const std::string make =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
      "-subj /CN=relay -addext subjectAltName=DNS:relay.example "
      "-addext basicConstraints=CA:FALSE -days 2 -keyout " +
      workspace.path("key.pem") + " -out " + workspace.path("cert.pem") + " 2>/dev/null";
  ASSERT_EQ(std::system(make.c_str()), 0);  // NOLINT(cert-env33-c): a fixed command
  const auto trust =
      load_trust(workspace.options().common.identity, "", Role::intermediate, io::Loop::wall_now());
  ASSERT_FALSE(trust);
  EXPECT_NE(trust.error().message().find("no certificate of the CA in"), std::string::npos)
      << trust.error().message();
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
  EXPECT_EQ(says(), "\"" + workspace.path("policy.toml") + "\": No such file or directory");
  workspace.write("key.pem", "garbage");
  EXPECT_NE(says().find(workspace.path("key.pem")), std::string::npos) << says();
  std::filesystem::remove(workspace.path("cert.pem"));
  EXPECT_EQ(says(), "\"" + workspace.path("cert.pem") + "\": No such file or directory");
}

}  // namespace
}  // namespace ztna::daemon
