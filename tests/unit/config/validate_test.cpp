#include <gtest/gtest.h>

#include "machine.hpp"

namespace ztna::config {
namespace {

TEST(Validate, MissingEssentials) {
  Machine machine = connector_machine();
  machine.environment.erase("ZTNA_INTERMEDIATE");
  EXPECT_EQ(line(machine.connector()),
            "--intermediate: is missing, expected at least one HOST[:PORT]");
  EXPECT_EQ(line(machine.agent()), "--intermediate: is missing, expected at least one HOST[:PORT]");
  machine = connector_machine();
  machine.environment.erase("ZTNA_SERVICE");
  EXPECT_EQ(line(machine.connector()),
            "--service: is missing, expected NAME=tcp|udp://HOST:PORT, or --service-id and "
            "--local-addr");
}

TEST(Validate, TwoForwardsOnOneAddress) {
  EXPECT_EQ(agent_says({"--forward", "tcp://127.0.0.1:1=a", "--forward", "tcp://127.0.0.1:1=b"}),
            "--forward: \"tcp://127.0.0.1:1\" is given twice, expected one service a listener");
  // The IPv4-mapped spelling is the same address.
  EXPECT_NE(
      agent_says({"--forward", "tcp://127.0.0.1:1=a", "--forward", "tcp://[::ffff:127.0.0.1]:1=b"}),
      "");
  EXPECT_EQ(agent_says({"--forward", "tcp://127.0.0.1:1=a", "--forward", "udp://127.0.0.1:1=a"}),
            "");
  EXPECT_EQ(agent_says({"--forward", "tcp://127.0.0.1:0=a", "--forward", "tcp://127.0.0.1:0=b"}),
            "");
}

TEST(Validate, ListenersOfDifferentOptionsCollide) {
  EXPECT_EQ(agent_says({"--forward", "tcp://127.0.0.1:1=a", "--socks", "127.0.0.1:1"}),
            "--socks: \"127.0.0.1:1\" is a --forward already");
  EXPECT_EQ(agent_says({"--forward", "tcp://127.0.0.1:9092=a"}),
            "--health: \"127.0.0.1:9092\" is a --forward or --socks already");
}

TEST(Validate, TwoServicesOfOneName) {
  EXPECT_EQ(
      line(connector_machine({"--service", "a=tcp://x:1", "--service", "a=udp://x:2"}).connector()),
      "--service: \"a\" names two services, expected one backend a name");
  Machine machine = connector_machine();
  machine.environment["ZTNA_SERVICE"] = "a=tcp://x:1,a=tcp://y:1";
  EXPECT_EQ(line(machine.connector()),
            "environment variable ZTNA_SERVICE: \"a\" names two services, expected one backend a "
            "name");
  EXPECT_EQ(line(connector_machine({"--service-id", "web", "--local-addr", "x:1"}).connector()),
            "environment variable ZTNA_SERVICE: \"web\" names two services, expected one backend "
            "a name");
}

TEST(Validate, DuplicateIntermediatesAndListeners) {
  EXPECT_EQ(agent_says({"--intermediate", "a", "--intermediate", "a:4433"}),
            "--intermediate: \"a:4433\" is given twice");
  EXPECT_EQ(line(intermediate_machine({"--alt-listen", "[::]:4433"}).intermediate()),
            "--alt-listen: \"[::]:4433\" is given twice, in --listen or --alt-listen");
}

TEST(Validate, Contradictions) {
  EXPECT_EQ(agent_says({"--no-p2p", "--direct-only"}),
            "--direct-only: contradicts --no-p2p, expected one of them");
  EXPECT_EQ(line(connector_machine({"--no-p2p", "--p2p-advertise", "192.0.2.1:1"}).connector()),
            "--p2p-advertise: contradicts --no-p2p, expected one of them");
}

TEST(Validate, AdvertisedAddressMustBeReachable) {
  for (const char* bad : {"0.0.0.0:1", "[::]:1", "224.0.0.1:1", "255.255.255.255:1"}) {
    EXPECT_NE(line(connector_machine({"--p2p-advertise", bad}).connector()), "") << bad;
  }
}

TEST(Validate, EmptyListInTheFileIsEmpty) {
  Machine machine = intermediate_machine({"--config", "/c.toml"});
  machine.files["/c.toml"] = "listen = []\n";
  EXPECT_EQ(line(machine.intermediate()), "--listen: is empty, expected at least one ADDR:PORT");
}

// Structs made by hand go through the same checks.
TEST(Validate, NamesAndPortsOfHandMadeOptions) {
  AgentOptions agent;
  agent.intermediates = {{"a", 1}};
  agent.forwards = {{Transport::tcp, base::Address::v4({127, 0, 0, 1}, 1), "Bad Name"}};
  EXPECT_FALSE(validate(agent));
  ConnectorOptions connector;
  connector.intermediates = {{"a", 1}};
  connector.services = {{"web", Transport::tcp, {"x", 0}, Service::Health::none}};
  EXPECT_FALSE(validate(connector));
}

}  // namespace
}  // namespace ztna::config
