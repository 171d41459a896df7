// Each error is one line: the thing, where it stands, what is expected.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "machine.hpp"

namespace ztna::config {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string connector_says(std::vector<std::string> arguments) {
  return line(connector_machine(std::move(arguments)).connector());
}
std::string intermediate_says(std::vector<std::string> arguments) {
  return line(intermediate_machine(std::move(arguments)).intermediate());
}
std::string connector_file_says(const std::string& text) {
  Machine machine = connector_machine({"--config", "c.toml"});
  machine.files["c.toml"] = text;
  return line(machine.connector());
}

TEST(FlagErrors, Unknown) {
  EXPECT_EQ(agent_says({"--forwrd", "x"}),
            "unknown flag \"--forwrd\", did you mean \"--forward\"? (see --help)");
  EXPECT_EQ(agent_says({"--sock=1"}),
            "unknown flag \"--sock\", did you mean \"--socks\"? (see --help)");
  EXPECT_EQ(intermediate_says({"-listen", "x"}),
            "unknown flag \"-listen\", did you mean \"--listen\"? (see --help)");
  EXPECT_EQ(agent_says({"--xyzzy"}), "unknown flag \"--xyzzy\" (see --help)");
  EXPECT_EQ(agent_says({"serve"}), "\"serve\" is not expected here, every option starts with --");
}

TEST(FlagErrors, MissingValue) {
  EXPECT_EQ(agent_says({"--forward"}),
            "--forward: needs a value, expected tcp|udp://ADDR:PORT=NAME");
  EXPECT_EQ(agent_says({"--cert-dir", "--no-p2p"}), "--cert-dir: needs a value, expected DIR");
  EXPECT_EQ(agent_says({"--config"}), "--config: needs a value, expected FILE");
  EXPECT_EQ(agent_says({"--cert-dir="}), "--cert-dir: is empty, expected DIR");
  EXPECT_EQ(agent_says({"--no-p2p="}), "--no-p2p: is empty, expected true or false");
  EXPECT_EQ(agent_says({"--audit-log", ""}), "--audit-log: is empty, expected FILE");
}

TEST(FlagErrors, BadValues) {
  EXPECT_EQ(connector_says({"--max-flows", "many"}),
            "--max-flows: \"many\" is not a number from 1 to 1000000");
  EXPECT_EQ(connector_says({"--max-flows", "0"}),
            "--max-flows: \"0\" is not a number from 1 to 1000000");
  EXPECT_EQ(connector_says({"--p2p-listen-port", "65536"}),
            "--p2p-listen-port: \"65536\" is not a number from 0 to 65535");
  EXPECT_EQ(connector_says({"--p2p-listen-port", "-1"}),
            "--p2p-listen-port: \"-1\" is not a number from 0 to 65535");
  EXPECT_EQ(intermediate_says({"--relay", "maybe"}),
            "--relay: \"maybe\" is not known, expected on|off");
  EXPECT_EQ(agent_says({"--no-p2p=maybe"}), "--no-p2p: \"maybe\" is neither true nor false");
  EXPECT_EQ(connector_says({"--connect-timeout", "5"}),
            "--connect-timeout: \"5\" is not a duration from 100ms to 2m, expected a number with "
            "ms, s, m or h, such as 5s");
  EXPECT_EQ(agent_says({"--log-level", "verbose"}),
            "--log-level: \"verbose\" is not known, expected error|warn|info|debug");
}

TEST(FlagErrors, BadAddresses) {
  EXPECT_EQ(intermediate_says({"--listen", "4433"}),
            "--listen: \"4433\": missing port, expected HOST:PORT");
  EXPECT_EQ(intermediate_says({"--listen", "localhost:4433"}),
            "--listen: \"localhost\" is not an IP address, expected ADDR:PORT such as "
            "127.0.0.1:8080");
  EXPECT_EQ(intermediate_says({"--listen", "[::]"}),
            "--listen: \"[::]\": missing port, expected HOST:PORT");
  EXPECT_EQ(agent_says({"--socks", "x"}),
            "--socks: \"x\": missing port, expected HOST:PORT, or off");
  EXPECT_EQ(agent_says({"--intermediate", "udp://10.0.0.1:4433"}),
            "--intermediate: \"udp://10.0.0.1:4433\" is a URL, expected HOST:PORT");
  EXPECT_EQ(agent_says({"--intermediate", "a:0"}),
            "--intermediate: \"a:0\" has port 0, expected 1 to 65535");
  EXPECT_EQ(agent_says({"--intermediate", "a:70000"}),
            "--intermediate: a:70000: \"70000\" is not a port, expected 0 to 65535");
  EXPECT_EQ(connector_says({"--p2p-advertise", "192.0.2.1:0"}),
            "--p2p-advertise: \"192.0.2.1:0\" has port 0, expected 1 to 65535");
  EXPECT_EQ(connector_says({"--p2p-listen-address", "127.0.0.1:4434"}),
            "--p2p-listen-address: \"127.0.0.1:4434\" is not an IP address without port, expected "
            "ADDR or any");
}

TEST(FlagErrors, BadServices) {
  const std::string form =
      ", expected NAME=tcp://HOST:PORT or NAME=udp://HOST:PORT such as web=tcp://127.0.0.1:8080";
  EXPECT_EQ(connector_says({"--service", "tcp://127.0.0.1:8080"}),
            "--service: \"tcp://127.0.0.1:8080\" has no NAME=" + form);
  EXPECT_EQ(connector_says({"--service", "web=127.0.0.1:8080"}),
            "--service: \"web=127.0.0.1:8080\" has neither tcp:// nor udp://" + form);
  EXPECT_EQ(connector_says({"--service", "We_b=tcp://a:1"}),
            "--service: \"We_b\" is not a service name, expected 1 to 63 of a-z, 0-9 and inner "
            "\"-\"");
  EXPECT_EQ(connector_says({"--service", "web=tcp://a"}),
            "--service: \"a\": missing port, expected HOST:PORT");
  EXPECT_EQ(connector_says({"--service", "web=tcp://a:1?health=icmp"}),
            "--service: \"health=icmp\" is not known after \"?\", expected health=tcp or "
            "health=none");
  EXPECT_EQ(connector_says({"--service", "q=udp://a:1?health=tcp"}),
            "--service: health=tcp cannot check a udp service, expected health=none");
  EXPECT_EQ(connector_says({"--service-id", "x"}),
            "--service-id: needs --local-addr as well, expected both or --service");
  EXPECT_EQ(connector_says({"--local-addr", "x:1"}),
            "--local-addr: needs --service-id as well, expected both or --service");
  EXPECT_EQ(connector_says({"--service-id", "x y", "--local-addr", "x:1"}),
            "--service-id: \"x y\" is not a service name, expected 1 to 63 of a-z, 0-9 and inner "
            "\"-\"");
  EXPECT_EQ(connector_says({"--service-id", "x", "--local-addr", "y"}),
            "--local-addr: \"y\": missing port, expected HOST:PORT");
}

TEST(FlagErrors, BadForwards) {
  EXPECT_THAT(agent_says({"--forward", "127.0.0.1:1=web"}),
              StartsWith("--forward: \"127.0.0.1:1=web\" has neither tcp:// nor udp://, expected"));
  EXPECT_THAT(agent_says({"--forward", "tcp://127.0.0.1:1"}),
              StartsWith("--forward: \"tcp://127.0.0.1:1\" has no =NAME, expected tcp://"));
  EXPECT_THAT(agent_says({"--forward", "tcp://localhost:1=web"}),
              HasSubstr("\"localhost\" is not an IP address, expected ADDR:PORT"));
  EXPECT_THAT(agent_says({"--forward", "tcp://127.0.0.1:1=*"}),
              HasSubstr("\"*\" is not a service name"));
}

TEST(VariableErrors, NameTheVariable) {
  Machine machine = connector_machine();
  machine.environment["ZTNA_MAX_FLOWS"] = "x";
  EXPECT_EQ(line(machine.connector()),
            "environment variable ZTNA_MAX_FLOWS: \"x\" is not a number from 1 to 1000000");
  machine = connector_machine();
  machine.environment["ZTNA_SERVICE"] = "web=tcp://a:1,";
  EXPECT_THAT(line(machine.connector()),
              StartsWith("environment variable ZTNA_SERVICE: \"\" has no NAME="));
  machine = connector_machine();
  machine.environment["ZTNA_NO_P2P"] = "perhaps";
  EXPECT_EQ(line(machine.connector()),
            "environment variable ZTNA_NO_P2P: \"perhaps\" is neither true nor false");
}

TEST(VariableErrors, LikelySlipIsAWarning) {
  Machine machine = connector_machine();
  machine.environment["ZTNA_MAX_FLOW"] = "1";
  machine.environment["ZTNA_SOMETHING_ELSE"] = "1";
  const auto parsed = machine.connector();
  ASSERT_TRUE(parsed) << line(parsed);
  ASSERT_EQ(parsed->warnings.size(), 1U);
  EXPECT_EQ(parsed->warnings[0],
            "environment variable ZTNA_MAX_FLOW: is not read by this program, did you mean "
            "ZTNA_MAX_FLOWS?");
}

TEST(FileErrors, NameFileLineAndColumn) {
  EXPECT_EQ(connector_file_says("\n  max-flow = 3\n"),
            "c.toml:2:3: unknown key \"max-flow\", did you mean \"max-flows\"?");
  EXPECT_EQ(connector_file_says("[limits]\nmax-flows = 3\n"), "c.toml:1:2: unknown key \"limits\"");
  EXPECT_EQ(connector_file_says("max-flows = 0\n"),
            "c.toml:1:13: max-flows: \"0\" is not a number from 1 to 1000000");
  EXPECT_EQ(connector_file_says("p2p-advertise = [\n  \"192.0.2.1:1\",\n  \"nowhere\",\n]\n"),
            "c.toml:3:3: p2p-advertise: \"nowhere\": missing port, expected HOST:PORT");
  EXPECT_EQ(connector_file_says("cert = \"a\"\np2p-cert = \"b\"\n"),
            "c.toml:2:1: \"p2p-cert\" is the same key as \"cert\" or another spelling of it, give "
            "one of them");
}

TEST(FileErrors, WrongTypes) {
  EXPECT_EQ(connector_file_says("max-flows = \"3\"\n"),
            "c.toml:1:13: max-flows: is a string, expected an integer");
  EXPECT_EQ(connector_file_says("max-flows = 3.5\n"),
            "c.toml:1:13: max-flows: is a floating-point number, expected an integer");
  EXPECT_EQ(connector_file_says("no-p2p = 1\n"),
            "c.toml:1:10: no-p2p: is an integer, expected true or false");
  EXPECT_EQ(connector_file_says("health = false\n"),
            "c.toml:1:10: health: is a boolean, expected a string (ADDR:PORT|off)");
  EXPECT_EQ(connector_file_says("p2p-advertise = [1]\n"),
            "c.toml:1:18: p2p-advertise: is an integer, expected an array of strings (ADDR:PORT)");
  EXPECT_EQ(connector_file_says("cert-dir = [\"a\"]\n"),
            "c.toml:1:12: cert-dir: is an array, expected a string (DIR)");
  EXPECT_EQ(connector_file_says("connect-timeout = 5\n"),
            "c.toml:1:19: connect-timeout: is an integer, expected a string (TIME)");
  EXPECT_EQ(connector_file_says("max-flows = { a = 1 }\n"),
            "c.toml:1:13: max-flows: is a table, expected an integer");
}

TEST(FileErrors, NotToml) {
  EXPECT_THAT(connector_file_says("max-flows = \n"), StartsWith("c.toml:1:13: not TOML: "));
  EXPECT_THAT(connector_file_says("a = 1\na = 2\n"), StartsWith("c.toml:2:"));
  EXPECT_THAT(connector_file_says(std::string("\xff\xfe")), StartsWith("c.toml:1:1: not TOML: "));
}

// toml++ 3.3 aborts on these.
TEST(FileErrors, ControlCharacters) {
  EXPECT_EQ(connector_file_says(std::string("# a\nb\0c = 1", 11)),
            "c.toml:2:2: not TOML: a control character, expected a key or a value");
  EXPECT_THAT(connector_file_says(std::string("\0a = 1", 6)), StartsWith("c.toml:1:1: "));
}

TEST(FileErrors, OtherScriptsOnlyInStringsAndComments) {
  EXPECT_EQ(
      connector_file_says("# Gr\u00fc\u00dfe \"\naudit-log = \"/tmp/\\\"gr\u00fcn\" # \u65e5\n"
                          "policy = '/tmp/\u65e5'"),
      "");
  EXPECT_EQ(connector_file_says("policy = \"a\" \u00fc\n"),
            "c.toml:1:14: not TOML: a character beyond ASCII, expected a key or a value");
}

TEST(FileErrors, MissingFile) {
  EXPECT_EQ(connector_says({"--config", "/nope"}),
            "--config: \"/nope\": No such file or directory");
  Machine machine = connector_machine();
  machine.environment["ZTNA_CONFIG"] = "/nope";
  EXPECT_EQ(line(machine.connector()),
            "environment variable ZTNA_CONFIG: \"/nope\": No such file or directory");
}

TEST(Errors, AreAlwaysOneLine) {
  const std::string nasty = "a\nb\x1b[2J";
  for (const std::string& said :
       {agent_says({"--forward", nasty}), agent_says({"--" + nasty}), agent_says({nasty}),
        agent_says({"--config", nasty}), connector_says({"--service", nasty + "=tcp://a:1"}),
        connector_file_says("\"x\\ny\" = 1"), connector_file_says("max-flows = " + nasty)}) {
    EXPECT_FALSE(said.empty());
    EXPECT_EQ(said.find_first_of("\n\x1b"), std::string::npos) << said;
  }
}

TEST(Errors, HaveCodeInvalidArgument) {
  const auto parsed = agent_machine({"--nope"}).agent();
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, base::ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace ztna::config
