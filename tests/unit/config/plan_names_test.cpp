// The names of the deployment plan, as it writes them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "machine.hpp"

namespace ztna::config {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST(PlanNames, ManifestOfTheConnectorWorksAsWritten) {
  Machine machine;
  machine.arguments = {"--intermediate",    "relay.example:4433",
                       "--service-id",      "home-test-service",
                       "--local-addr",      "http-app.ztna.svc.cluster.local:8080",
                       "--p2p-cert",        "/certs/connector-cert.pem",
                       "--p2p-key",         "/certs/connector-key.pem",
                       "--p2p-listen-port", "4434"};
  machine.files["/certs/ca-cert.pem"] = "";
  machine.files["/certs/policy.toml"] = "";
  const auto parsed = machine.connector();
  ASSERT_TRUE(parsed) << line(parsed);
  const ConnectorOptions& options = parsed->options;
  EXPECT_EQ(options.intermediates[0], (base::HostPort{"relay.example", 4433}));
  ASSERT_EQ(options.services.size(), 1U);
  EXPECT_EQ(options.services[0].name, "home-test-service");
  EXPECT_EQ(options.services[0].transport, Transport::tcp);
  EXPECT_EQ(options.services[0].backend.to_string(), "http-app.ztna.svc.cluster.local:8080");
  EXPECT_EQ(options.common.identity.certificate, "/certs/connector-cert.pem");
  EXPECT_EQ(options.common.identity.key, "/certs/connector-key.pem");
  EXPECT_EQ(options.common.identity.roots, "/certs/ca-cert.pem");
  EXPECT_EQ(options.policy, "/certs/policy.toml");
}

TEST(PlanNames, EnvironmentFileOfThePlan) {
  Machine machine;
  machine.environment = {{"INTERMEDIATE_HOST", "203.0.113.7"}, {"INTERMEDIATE_PORT", "4444"},
                         {"SERVICE_ID", "cloud-test-service"}, {"CERT_DIR", "/opt/ztna/certs"},
                         {"ZTNA_RUNTIME_DIR", "/rt"},          {"ZTNA_LOCAL_ADDR", "127.0.0.1:80"}};
  machine.files["/opt/ztna/certs/policy.toml"] = "";
  const auto parsed = machine.connector();
  ASSERT_TRUE(parsed) << line(parsed);
  EXPECT_EQ(parsed->options.intermediates[0].to_string(), "203.0.113.7:4444");
  EXPECT_EQ(parsed->options.services[0].to_string(), "cloud-test-service=tcp://127.0.0.1:80");
  EXPECT_EQ(parsed->options.common.identity.key, "/opt/ztna/certs/key.pem");
  EXPECT_THAT(parsed->warnings, IsEmpty());
}

// deploy/env/home.env as it is, in front of a Connector that no script or manifest starts.
TEST(PlanNames, HomeFileOfThePlanIsEnoughForAConnector) {
  Machine machine;
  machine.environment = {{"INTERMEDIATE_HOST", "203.0.113.7"}, {"SERVICE_ID", "home-test-service"},
                         {"LOCAL_ADDR", "10.0.0.7:8080"},      {"P2P_PORT", "4444"},
                         {"CERT_DIR", "/etc/ztna/certs"},      {"ZTNA_RUNTIME_DIR", "/rt"}};
  machine.files["/etc/ztna/certs/policy.toml"] = "";
  const auto parsed = machine.connector();
  ASSERT_TRUE(parsed) << line(parsed);
  ASSERT_EQ(parsed->options.services.size(), 1U);
  EXPECT_EQ(parsed->options.services[0].to_string(), "home-test-service=tcp://10.0.0.7:8080");
  EXPECT_EQ(parsed->options.p2p_listen_port, 4444);
  EXPECT_THAT(parsed->warnings, IsEmpty());

  machine.environment.erase("SERVICE_ID");
  const auto alone = machine.connector();
  ASSERT_FALSE(alone);
  EXPECT_THAT(line(alone), HasSubstr("environment variable LOCAL_ADDR: needs --service-id"));
}

TEST(PlanNames, OwnVariablesWin) {
  Machine machine = connector_machine();
  machine.environment.erase("ZTNA_SERVICE");
  machine.environment["INTERMEDIATE_HOST"] = "other.example";
  machine.environment["CERT_DIR"] = "/other";
  machine.environment["SERVICE_ID"] = "other";
  machine.environment["ZTNA_SERVICE_ID"] = "mine";
  machine.environment["LOCAL_ADDR"] = "127.0.0.1:81";
  machine.environment["ZTNA_LOCAL_ADDR"] = "127.0.0.1:80";
  const auto parsed = machine.connector();
  ASSERT_TRUE(parsed) << line(parsed);
  EXPECT_EQ(parsed->options.intermediates[0].host, "relay.example");
  EXPECT_EQ(parsed->options.common.identity.certificate, "/certs/cert.pem");
  EXPECT_EQ(parsed->options.services[0].name, "mine");
}

TEST(PlanNames, TheyWinOverTheFile) {
  Machine machine = agent_machine();
  machine.environment.erase("ZTNA_INTERMEDIATE");
  machine.environment["INTERMEDIATE_HOST"] = "variable.example";
  machine.environment["ZTNA_CONFIG"] = "/c.toml";
  machine.files["/c.toml"] = "intermediate = [\"file.example\"]\n";
  const auto parsed = machine.agent();
  ASSERT_TRUE(parsed) << line(parsed);
  EXPECT_EQ(parsed->options.intermediates[0].to_string(), "variable.example:4433");
}

TEST(PlanNames, HostMayBeAnIpv6Address) {
  Machine machine = agent_machine();
  machine.environment.erase("ZTNA_INTERMEDIATE");
  machine.environment["INTERMEDIATE_HOST"] = "2001:db8::1";
  const auto parsed = machine.agent();
  ASSERT_TRUE(parsed) << line(parsed);
  EXPECT_EQ(parsed->options.intermediates[0].to_string(), "[2001:db8::1]:4433");
}

TEST(PlanNames, KubernetesServiceLinkIsIgnoredWithAWarning) {
  Machine machine = agent_machine();
  machine.environment.erase("ZTNA_INTERMEDIATE");
  machine.environment["INTERMEDIATE_HOST"] = "relay.example";
  machine.environment["INTERMEDIATE_PORT"] = "udp://10.0.0.1:4499";
  const auto parsed = machine.agent();
  ASSERT_TRUE(parsed) << line(parsed);
  EXPECT_EQ(parsed->options.intermediates[0].to_string(), "relay.example:4433");
  ASSERT_EQ(parsed->warnings.size(), 1U);
  EXPECT_EQ(parsed->warnings[0],
            "environment variable INTERMEDIATE_PORT: \"udp://10.0.0.1:4499\" looks like a "
            "Kubernetes service link, ignored");
}

// A Kubernetes service called "ztna-p2p-listen" would do that to a number of ours.
TEST(PlanNames, ServiceLinkInAnOwnNumberIsIgnoredToo) {
  Machine machine = connector_machine();
  machine.environment["ZTNA_P2P_LISTEN_PORT"] = "tcp://10.0.0.1:80";
  const auto parsed = machine.connector();
  ASSERT_TRUE(parsed) << line(parsed);
  EXPECT_EQ(parsed->options.p2p_listen_port, 4434);
  ASSERT_EQ(parsed->warnings.size(), 1U);
  EXPECT_THAT(parsed->warnings[0], HasSubstr("ZTNA_P2P_LISTEN_PORT"));
}

TEST(PlanNames, PortThatIsNoNumberNamesTheVariable) {
  Machine machine = agent_machine();
  machine.environment.erase("ZTNA_INTERMEDIATE");
  machine.environment["INTERMEDIATE_HOST"] = "relay.example";
  machine.environment["INTERMEDIATE_PORT"] = "quic";
  EXPECT_EQ(line(machine.agent()),
            "environment variable INTERMEDIATE_PORT: \"quic\" is not a number from 1 to 65535");
}

TEST(PlanNames, StraySharedServiceIdOrLocalAddrIsOnlyAWarning) {
  for (const char* const name : {"SERVICE_ID", "LOCAL_ADDR"}) {
    Machine machine = connector_machine();
    machine.environment[name] = "elsewhere";
    const auto parsed = machine.connector();
    ASSERT_TRUE(parsed) << line(parsed);
    EXPECT_EQ(parsed->options.services.size(), 1U);
    ASSERT_EQ(parsed->warnings.size(), 1U);
    EXPECT_THAT(parsed->warnings[0], HasSubstr(name));
  }
}

TEST(PlanNames, AliasAndNameTogetherAreAmbiguous) {
  EXPECT_EQ(line(agent_machine({"--cert", "a", "--p2p-cert", "b"}).agent()),
            "--p2p-cert: is the same option as --cert, give one of them");
  Machine machine = agent_machine();
  machine.environment["ZTNA_CERT"] = "a";
  machine.environment["ZTNA_P2P_CERT"] = "b";
  EXPECT_EQ(line(machine.agent()),
            "environment variable ZTNA_P2P_CERT: is the same option as ZTNA_CERT, set one of them");
}

TEST(PlanNames, TheIntermediateHasNoIntermediate) {
  Machine machine = intermediate_machine();
  machine.environment["INTERMEDIATE_HOST"] = "x";
  machine.environment["INTERMEDIATE_PORT"] = "nonsense";
  EXPECT_EQ(line(machine.intermediate()), "");
}

}  // namespace
}  // namespace ztna::config
