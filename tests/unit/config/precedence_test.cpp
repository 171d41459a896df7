// flag > environment > file > default, for every kind of option.
#include <gtest/gtest.h>

#include <ostream>

#include "machine.hpp"

namespace ztna::config {
namespace {

struct Row {
  const char* kind;
  const char* option;
  const char* toml;      // the value in the file
  const char* variable;  // in the environment
  std::vector<std::string> flags;
  const char* by_default;
  const char* by_file;
  const char* by_environment;
  const char* by_flag;
  Machine (*machine)();
  std::string (*observe)(const Machine&);
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.kind; }

template <class Items>
std::string joined(const Items& items) {
  std::string text;
  for (const auto& item : items) text += item.to_string() + ";";
  return text;
}

Machine new_agent() { return agent_machine(); }
Machine new_connector() { return connector_machine(); }
Machine new_intermediate() { return intermediate_machine(); }

template <auto Parse, auto Show>
std::string observe(const Machine& machine) {
  const auto parsed = (machine.*Parse)();
  return parsed ? Show(parsed->options) : parsed.error().message();
}

constexpr auto show_no_p2p = [](const AgentOptions& o) { return std::to_string(o.no_p2p); };
constexpr auto show_max_flows = [](const ConnectorOptions& o) {
  return std::to_string(o.max_flows);
};
constexpr auto show_port = [](const ConnectorOptions& o) {
  return std::to_string(o.p2p_listen_port);
};
constexpr auto show_timeout = [](const ConnectorOptions& o) {
  return std::to_string(o.connect_timeout / std::chrono::milliseconds(1));
};
constexpr auto show_relay = [](const IntermediateOptions& o) { return std::to_string(o.relay); };
constexpr auto show_listen = [](const IntermediateOptions& o) { return joined(o.listen); };
constexpr auto show_forwards = [](const AgentOptions& o) { return joined(o.forwards); };
constexpr auto show_audit = [](const AgentOptions& o) { return o.common.audit_log; };
constexpr auto show_health = [](const AgentOptions& o) {
  return o.common.health ? o.common.health->to_string() : "off";
};

class Precedence : public testing::TestWithParam<Row> {};

TEST_P(Precedence, StrongestSourceGivesTheWholeValue) {
  const Row& row = GetParam();
  Machine machine = row.machine();
  EXPECT_EQ(row.observe(machine), row.by_default);
  machine.environment["ZTNA_CONFIG"] = "/etc/ztna.toml";
  machine.files["/etc/ztna.toml"] = std::string(row.option) + " = " + row.toml + "\n";
  EXPECT_EQ(row.observe(machine), row.by_file);
  std::string name = "ZTNA_";
  for (const char c : std::string(row.option)) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(c));
  }
  machine.environment[name] = row.variable;
  EXPECT_EQ(row.observe(machine), row.by_environment);
  machine.arguments = row.flags;
  EXPECT_EQ(row.observe(machine), row.by_flag);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Precedence,
                         testing::Values(Row{"toggle",
                                             "no-p2p",
                                             "true",
                                             "no",
                                             {"--no-p2p"},
                                             "0",
                                             "1",
                                             "0",
                                             "1",
                                             new_agent,
                                             observe<&Machine::agent, show_no_p2p>},
                                         Row{"toggle_off",
                                             "no-p2p",
                                             "false",
                                             "true",
                                             {"--no-p2p=false"},
                                             "0",
                                             "0",
                                             "1",
                                             "0",
                                             new_agent,
                                             observe<&Machine::agent, show_no_p2p>},
                                         Row{"number",
                                             "max-flows",
                                             "10",
                                             "20",
                                             {"--max-flows", "30"},
                                             "4096",
                                             "10",
                                             "20",
                                             "30",
                                             new_connector,
                                             observe<&Machine::connector, show_max_flows>},
                                         Row{"port",
                                             "p2p-listen-port",
                                             "1",
                                             "0",
                                             {"--p2p-listen-port=65535"},
                                             "4434",
                                             "1",
                                             "0",
                                             "65535",
                                             new_connector,
                                             observe<&Machine::connector, show_port>},
                                         Row{"duration",
                                             "connect-timeout",
                                             "\"2s\"",
                                             "250ms",
                                             {"--connect-timeout", "1m"},
                                             "5000",
                                             "2000",
                                             "250",
                                             "60000",
                                             new_connector,
                                             observe<&Machine::connector, show_timeout>},
                                         Row{"choice",
                                             "relay",
                                             "\"off\"",
                                             "on",
                                             {"--relay", "off"},
                                             "1",
                                             "0",
                                             "1",
                                             "0",
                                             new_intermediate,
                                             observe<&Machine::intermediate, show_relay>},
                                         Row{"list_with_default",
                                             "listen",
                                             "[\"10.0.0.1:1\", \"10.0.0.2:2\"]",
                                             "10.0.0.3:3, 10.0.0.4:4",
                                             {"--listen", "[::1]:5", "--listen", "10.0.0.6:6"},
                                             "[::]:4433;",
                                             "10.0.0.1:1;10.0.0.2:2;",
                                             "10.0.0.3:3;10.0.0.4:4;",
                                             "[::1]:5;10.0.0.6:6;",
                                             new_intermediate,
                                             observe<&Machine::intermediate, show_listen>},
                                         Row{"list",
                                             "forward",
                                             "[\"tcp://127.0.0.1:1=a\"]",
                                             "udp://127.0.0.1:2=b,tcp://127.0.0.1:2=c",
                                             {"--forward=tcp://[::1]:3=d"},
                                             "",
                                             "tcp://127.0.0.1:1=a;",
                                             "udp://127.0.0.1:2=b;tcp://127.0.0.1:2=c;",
                                             "tcp://[::1]:3=d;",
                                             new_agent,
                                             observe<&Machine::agent, show_forwards>},
                                         Row{"path",
                                             "audit-log",
                                             "\"a\"",
                                             "b",
                                             {"--audit-log", "c"},
                                             "",
                                             "/etc/a",
                                             "b",
                                             "c",
                                             new_agent,
                                             observe<&Machine::agent, show_audit>},
                                         Row{"address_or_off",
                                             "health",
                                             "\"0.0.0.0:1\"",
                                             "off",
                                             {"--health", "127.0.0.1:0"},
                                             "127.0.0.1:9092",
                                             "0.0.0.0:1",
                                             "off",
                                             "127.0.0.1:0",
                                             new_agent,
                                             observe<&Machine::agent, show_health>}),
                         [](const auto& row) { return std::string(row.param.kind); });

TEST(Precedence, ScalarStringIsAListOfOneInTheFile) {
  Machine machine = intermediate_machine({"--config", "/c.toml"});
  machine.files["/c.toml"] = "listen = \"10.0.0.1:1\"\n";
  const auto parsed = machine.intermediate();
  ASSERT_TRUE(parsed) << line(parsed);
  ASSERT_EQ(parsed->options.listen.size(), 1U);
  EXPECT_EQ(parsed->options.listen[0].to_string(), "10.0.0.1:1");
}

TEST(Precedence, LastOfARepeatedScalarFlagCounts) {
  const auto parsed = connector_machine({"--max-flows", "1", "--max-flows", "2"}).connector();
  ASSERT_TRUE(parsed) << line(parsed);
  EXPECT_EQ(parsed->options.max_flows, 2U);
}

TEST(Precedence, EmptyVariableIsNotSet) {
  Machine machine = connector_machine();
  machine.environment["ZTNA_MAX_FLOWS"] = "";
  machine.environment["ZTNA_P2P_ADVERTISE"] = "";
  machine.environment["ZTNA_CONFIG"] = "";
  const auto parsed = machine.connector();
  ASSERT_TRUE(parsed) << line(parsed);
  EXPECT_EQ(parsed->options.max_flows, 4096U);
  EXPECT_TRUE(parsed->options.p2p_advertise.empty());
}

TEST(Precedence, ConfigFlagWinsOverItsVariable) {
  Machine machine = connector_machine({"--config", "/flag.toml"});
  machine.environment["ZTNA_CONFIG"] = "/variable.toml";
  machine.files["/flag.toml"] = "max-flows = 1\n";
  machine.files["/variable.toml"] = "max-flows = 2\n";
  const auto parsed = machine.connector();
  ASSERT_TRUE(parsed) << line(parsed);
  EXPECT_EQ(parsed->options.max_flows, 1U);
  EXPECT_EQ(parsed->options.common.config_file, "/flag.toml");
}

// A weaker source's bad value is not this run's concern.
TEST(Precedence, OverriddenValuesAreNotRead) {
  Machine machine = connector_machine({"--max-flows", "5"});
  machine.environment["ZTNA_MAX_FLOWS"] = "nonsense";
  EXPECT_EQ(line(machine.connector()), "");
}

TEST(Defaults, AreThoseOfTheDesign) {
  const auto intermediate = intermediate_machine().intermediate();
  ASSERT_TRUE(intermediate) << line(intermediate);
  EXPECT_EQ(intermediate->options.common.health->to_string(), "127.0.0.1:9090");
  EXPECT_EQ(intermediate->options.max_uplinks, 20000U);
  EXPECT_EQ(intermediate->options.retry_threshold, 200U);
  EXPECT_TRUE(intermediate->options.relay);
  const auto connector = connector_machine().connector();
  ASSERT_TRUE(connector) << line(connector);
  EXPECT_EQ(connector->options.common.health->to_string(), "127.0.0.1:9091");
  EXPECT_EQ(connector->options.p2p_listen_port, 4434);
  EXPECT_FALSE(connector->options.p2p_listen_address);
  EXPECT_EQ(connector->options.intermediates[0].to_string(), "relay.example:4433");
  const auto agent = agent_machine().agent();
  ASSERT_TRUE(agent) << line(agent);
  EXPECT_EQ(agent->options.common.health->to_string(), "127.0.0.1:9092");
  EXPECT_EQ(agent->options.p2p_listen_port, 0);
  EXPECT_EQ(agent->options.udp_flow_idle, std::chrono::seconds(60));
  EXPECT_FALSE(agent->options.socks);
}

}  // namespace
}  // namespace ztna::config
