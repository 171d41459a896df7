// What follows from other options and from the machine: certificates, policy, control socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "machine.hpp"

namespace ztna::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Identity, FolderGivesAllThree) {
  const auto parsed = agent_machine({"--cert-dir", "/a/"}).agent();
  ASSERT_TRUE(parsed) << line(parsed);
  EXPECT_EQ(parsed->options.common.identity.certificate, "/a/cert.pem");
  EXPECT_EQ(parsed->options.common.identity.key, "/a/key.pem");
  EXPECT_EQ(parsed->options.common.identity.roots, "/a/ca-cert.pem");
}

TEST(Identity, SinglePathsOverrideTheFolder) {
  const auto parsed =
      agent_machine({"--cert-dir", "/a", "--key", "/b/k.pem", "--ca", "roots.pem"}).agent();
  ASSERT_TRUE(parsed) << line(parsed);
  EXPECT_EQ(parsed->options.common.identity.certificate, "/a/cert.pem");
  EXPECT_EQ(parsed->options.common.identity.key, "/b/k.pem");
  EXPECT_EQ(parsed->options.common.identity.roots, "roots.pem");
}

TEST(Identity, MissingPartsAreNamed) {
  Machine machine = agent_machine();
  machine.environment.erase("ZTNA_CERT_DIR");
  EXPECT_EQ(line(machine.agent()),
            "--cert-dir: is missing, expected --cert-dir DIR with cert.pem, key.pem and "
            "ca-cert.pem, or --cert, --key and --ca");
  machine.arguments = {"--p2p-cert", "/x/c.pem"};
  EXPECT_EQ(line(machine.agent()), "--key: is missing, expected --key FILE, since --cert is given");
  machine.arguments = {"--key", "/x/k.pem"};
  EXPECT_EQ(line(machine.agent()),
            "--cert: is missing, expected --cert FILE, since --key is given");
  machine.arguments = {"--p2p-cert", "c.pem", "--p2p-key", "k.pem"};
  EXPECT_EQ(line(machine.agent()),
            "--ca: is missing, expected --ca FILE, or \"./ca-cert.pem\" beside the certificate");
}

TEST(Identity, PathsInAFileStartAtItsFolder) {
  Machine machine = agent_machine();
  machine.environment.erase("ZTNA_CERT_DIR");
  machine.environment["ZTNA_CONFIG"] = "conf/agent.toml";
  machine.files["conf/agent.toml"] =
      "cert-dir = \"certs\"\naudit-log = \"/var/log/a\"\ncontrol = \"off\"\n";
  const auto parsed = machine.agent();
  ASSERT_TRUE(parsed) << line(parsed);
  EXPECT_EQ(parsed->options.common.identity.key, "conf/certs/key.pem");
  EXPECT_EQ(parsed->options.common.audit_log, "/var/log/a");
  EXPECT_EQ(parsed->options.common.control, "");
}

TEST(Policy, IsFoundBesideTheCertificateOrMissed) {
  Machine machine = intermediate_machine();
  machine.environment.erase("ZTNA_POLICY");
  EXPECT_EQ(line(machine.intermediate()),
            "--policy: is missing, expected --policy FILE, or \"/certs/policy.toml\" beside the "
            "certificate");
  machine.files["/certs/policy.toml"] = "";
  const auto parsed = machine.intermediate();
  ASSERT_TRUE(parsed) << line(parsed);
  EXPECT_EQ(parsed->options.policy, "/certs/policy.toml");
}

TEST(Control, TakesTheFirstUsableFolder) {
  Machine machine = agent_machine();
  EXPECT_EQ(machine.agent()->options.common.control, "/rt/agent.sock");
  machine.environment.erase("ZTNA_RUNTIME_DIR");
  machine.environment["XDG_RUNTIME_DIR"] = "/run/user/7";
  machine.folders = {"/run/ztna", "/run/user/7/ztna"};
  EXPECT_EQ(machine.agent()->options.common.control, "/run/ztna/agent.sock");
  machine.folders = {"/run/user/7/ztna"};
  EXPECT_EQ(machine.agent()->options.common.control, "/run/user/7/ztna/agent.sock");
}

TEST(Control, NowhereIsAnError) {
  Machine machine = agent_machine();
  machine.folders = {};
  EXPECT_EQ(line(machine.agent()),
            "--control: cannot put the control socket into \"/rt\", expected --control FILE or "
            "off, or a writable folder in ZTNA_RUNTIME_DIR");
  machine.environment.erase("ZTNA_RUNTIME_DIR");
  machine.environment["XDG_RUNTIME_DIR"] = "/run/user/7";
  EXPECT_EQ(line(machine.agent()),
            "--control: cannot put the control socket into \"/run/ztna\" nor in "
            "\"/run/user/7/ztna\", expected --control FILE or off, or a writable folder in "
            "ZTNA_RUNTIME_DIR");
  machine.arguments = {"--control", "off"};
  EXPECT_EQ(machine.agent()->options.common.control, "");
  machine.arguments = {"--control", "/x/y.sock"};
  EXPECT_EQ(machine.agent()->options.common.control, "/x/y.sock");
}

TEST(Control, CandidatesForTheTool) {
  EXPECT_THAT(control_candidates("agent", {}), ElementsAre("/run/ztna/agent.sock"));
  EXPECT_THAT(control_candidates("connector", {{"XDG_RUNTIME_DIR", "/u"}}),
              ElementsAre("/run/ztna/connector.sock", "/u/ztna/connector.sock"));
  EXPECT_THAT(
      control_candidates("connector", {{"XDG_RUNTIME_DIR", "/u"}, {"ZTNA_RUNTIME_DIR", "/r/"}}),
      ElementsAre("/r/connector.sock"));
}

TEST(Cautions, NonLoopbackListenersOfTheAgent) {
  const auto quiet =
      agent_machine({"--forward", "tcp://127.9.9.9:1=web", "--socks", "[::1]:1080"}).agent();
  ASSERT_TRUE(quiet) << line(quiet);
  EXPECT_THAT(quiet->warnings, IsEmpty());
  const auto open =
      agent_machine({"--forward", "tcp://0.0.0.0:1=web", "--socks", "192.0.2.1:1080"}).agent();
  ASSERT_TRUE(open) << line(open);
  EXPECT_THAT(
      open->warnings,
      ElementsAre("--forward tcp://0.0.0.0:1=web: anybody who reaches this address uses your "
                  "identity",
                  "--socks 192.0.2.1:1080: anybody who reaches this address uses your identity"));
}

}  // namespace
}  // namespace ztna::config
