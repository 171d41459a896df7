// --help, --version, --print-config.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "machine.hpp"

namespace ztna::config {
namespace {

using testing::HasSubstr;

TEST(Help, NeedsNothingElse) {
  Machine machine;
  for (const char* flag : {"--help", "-h"}) {
    machine.arguments = {flag};
    for (const auto& print :
         {machine.intermediate()->print, machine.connector()->print, machine.agent()->print}) {
      ASSERT_TRUE(print);
      EXPECT_THAT(*print, HasSubstr("Usage: "));
      EXPECT_THAT(*print, HasSubstr("\nExamples:\n"));
    }
  }
}

TEST(Help, ShowsVariablesAndDefaults) {
  Machine machine;
  machine.arguments = {"--help"};
  const std::string text = *machine.connector()->print;
  EXPECT_THAT(text, HasSubstr("--max-flows N\n"));
  EXPECT_THAT(text, HasSubstr("[ZTNA_MAX_FLOWS; default 4096]"));
  EXPECT_THAT(text, HasSubstr("[ZTNA_CERT_DIR or CERT_DIR]"));
  EXPECT_THAT(text, HasSubstr("--cert, --p2p-cert FILE"));
  EXPECT_THAT(text, HasSubstr("[ZTNA_CONNECT_TIMEOUT; default 5s]"));
  EXPECT_THAT(*machine.intermediate()->print, HasSubstr("[ZTNA_LISTEN; default [::]:4433]"));
}

TEST(Version, IsWhatTheProgramPassesIn) {
  Machine machine;
  machine.arguments = {"--version"};
  EXPECT_EQ(machine.agent()->print, "v\n");
}

TEST(PrintConfig, ShowsValuesWithTheirSource) {
  Machine machine = connector_machine({"--print-config", "--max-flows", "5"});
  machine.environment["ZTNA_CONFIG"] = "/c.toml";
  machine.files["/c.toml"] = "no-p2p = true\n";
  const auto parsed = machine.connector();
  ASSERT_TRUE(parsed) << line(parsed);
  ASSERT_TRUE(parsed->print);
  EXPECT_THAT(*parsed->print, HasSubstr("max-flows = 5  # --max-flows\n"));
  EXPECT_THAT(*parsed->print, HasSubstr("no-p2p = true  # /c.toml:1:10: no-p2p\n"));
  EXPECT_THAT(*parsed->print, HasSubstr("service = [\"web=tcp://127.0.0.1:8080\"]  # environment "
                                        "variable ZTNA_SERVICE\n"));
  EXPECT_THAT(*parsed->print, HasSubstr("cert = \"/certs/cert.pem\"  # default\n"));
  EXPECT_THAT(*parsed->print, HasSubstr("control = \"/rt/connector.sock\"  # default\n"));
  EXPECT_THAT(*parsed->print, HasSubstr("# audit-log is not set\n"));
}

// The output is a file for --config, and means the same there.
TEST(PrintConfig, CanBeReadBack) {
  const Machine first = connector_machine(
      {"--print-config", "--service", "a=tcp://x:1", "--service", "b=udp://y:2", "--no-p2p",
       "--connect-timeout", "7s", "--log-format", "json", "--audit-log", "/a \"b\"\\c"});
  const std::string text = *first.connector()->print;
  Machine second;
  second.arguments = {"--config", "/saved.toml"};
  second.files["/saved.toml"] = text;
  const auto parsed = second.connector();
  ASSERT_TRUE(parsed) << line(parsed);
  EXPECT_EQ(parsed->options.services, first.connector()->options.services);
  EXPECT_TRUE(parsed->options.no_p2p);
  EXPECT_EQ(parsed->options.connect_timeout, std::chrono::seconds(7));
  EXPECT_EQ(parsed->options.common.audit_log, "/a \"b\"\\c");
  EXPECT_EQ(parsed->options.common.log_format, logging::Format::json);
}

TEST(PrintConfig, AsJson) {
  const auto parsed = agent_machine({"--print-config", "--json", "--auto-forward"}).agent();
  ASSERT_TRUE(parsed) << line(parsed);
  const auto json = nlohmann::json::parse(*parsed->print);
  EXPECT_EQ(json["auto-forward"]["value"], true);
  EXPECT_EQ(json["auto-forward"]["source"], "flag");
  EXPECT_EQ(json["cert-dir"]["value"], "/certs");
  EXPECT_EQ(json["cert-dir"]["source"], "environment");
  EXPECT_EQ(json["p2p-listen-port"]["value"], 0);
  EXPECT_EQ(json["p2p-listen-port"]["source"], "default");
  EXPECT_EQ(json["audit-log"]["value"], nullptr);
}

TEST(PrintConfig, JsonAloneIsAnError) {
  EXPECT_EQ(line(agent_machine({"--json"}).agent()), "--json: only goes with --print-config");
}

}  // namespace
}  // namespace ztna::config
