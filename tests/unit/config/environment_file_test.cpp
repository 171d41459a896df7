// Files of NAME=VALUE lines, which names the programs read, and configurations that are not
// complete.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "machine.hpp"

namespace ztna::config {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> pairs(const EnvironmentFile& file) {
  std::vector<std::string> all;
  for (const auto& entry : file.entries) {
    all.push_back(std::to_string(entry.line) + " " + entry.name + " " + entry.value);
  }
  return all;
}

std::vector<std::string> slips(std::string_view text) {
  std::vector<std::string> all;
  for (const auto& slip : parse_environment_file(text).slips) {
    all.push_back(std::to_string(slip.line) + " " + slip.what);
  }
  return all;
}

TEST(EnvironmentFile, GivesNamesAndValuesWithTheirLines) {
  const EnvironmentFile file = parse_environment_file(
      "# deploy/env/home.env\n\nINTERMEDIATE_HOST=relay.example.org\n  CERT_DIR='/etc/ztna certs'\n"
      "; also a comment\nEMPTY=\nZTNA_SERVICE=\"web=tcp://127.0.0.1:8080\"\nLAST=1");
  EXPECT_THAT(pairs(file),
              ElementsAre("3 INTERMEDIATE_HOST relay.example.org", "4 CERT_DIR /etc/ztna certs",
                          "6 EMPTY ", "7 ZTNA_SERVICE web=tcp://127.0.0.1:8080", "8 LAST 1"));
  EXPECT_THAT(file.slips, IsEmpty());
}

TEST(EnvironmentFile, WhatReadersTakeDifferentlyIsASlip) {
  EXPECT_THAT(slips("export A=1\n"), ElementsAre("1 \"export A=1\" is not NAME=VALUE, with nothing "
                                                 "around the ="));
  EXPECT_THAT(slips("A = 1\nB\n=2\n1A=2\n"),
              ElementsAre(HasSubstr("1 \"A = 1\""), HasSubstr("2 \"B\""), HasSubstr("3 \"=2\""),
                          HasSubstr("4 \"1A=2\"")));
  EXPECT_THAT(slips("A=1 # one\n"), ElementsAre(HasSubstr("1 A has a blank in its value")));
  EXPECT_THAT(slips("A=\"1\nB='1' 2\nC='\n"),
              ElementsAre(HasSubstr("1 A has a quote that does not end"), HasSubstr("2 B"),
                          HasSubstr("3 C")));
  EXPECT_THAT(slips("A=1\r\n"),
              ElementsAre("1 ends with a carriage return, expected Unix line ends"));
}

TEST(KnownVariables, AreThoseOfAllPrograms) {
  const auto known = known_variables();
  EXPECT_TRUE(std::ranges::is_sorted(known));
  for (const char* const name :
       {"INTERMEDIATE_HOST", "INTERMEDIATE_PORT", "SERVICE_ID", "LOCAL_ADDR", "P2P_PORT",
        "CERT_DIR", "ZTNA_CERT_DIR", "ZTNA_P2P_CERT", "ZTNA_SERVICE", "ZTNA_FORWARD",
        "ZTNA_ALT_LISTEN", "ZTNA_CONFIG", "ZTNA_RUNTIME_DIR", "ZTNA_AEAD"}) {
    EXPECT_THAT(known, Contains(name));
  }
  EXPECT_THAT(known, Not(Contains("ZTNA_HOST")));
}

std::vector<std::string> lines(const std::vector<base::Error>& gaps) {
  std::vector<std::string> all;
  for (const base::Error& gap : gaps) all.push_back(gap.message());
  return all;
}

TEST(Partial, WhatIsMissingIsAGapAndTheRestIsThere) {
  Machine machine;
  machine.environment["INTERMEDIATE_HOST"] = "relay.example";
  machine.environment["SERVICE_ID"] = "web";
  Inputs inputs = machine.inputs();
  inputs.partial = true;
  auto connector = parse_connector(inputs, "v");
  ASSERT_TRUE(connector) << line(connector);
  EXPECT_THAT(lines(connector->gaps),
              ElementsAre(HasSubstr("environment variable SERVICE_ID: needs --local-addr"),
                          HasSubstr("--cert-dir: is missing"), HasSubstr("--service: is missing")));
  EXPECT_EQ(connector->options.intermediates.at(0).to_string(), "relay.example:4433");

  inputs.environment["CERT_DIR"] = "/certs";
  inputs.environment["ZTNA_SERVICE"] = "web=tcp://127.0.0.1:1";
  connector = parse_connector(inputs, "v");
  ASSERT_TRUE(connector) << line(connector);
  EXPECT_THAT(lines(connector->gaps), ElementsAre(HasSubstr("--policy: is missing")));
  EXPECT_EQ(connector->options.common.identity.key, "/certs/key.pem");
  EXPECT_EQ(connector->options.common.control, "/rt/connector.sock");

  inputs.environment["INTERMEDIATE_PORT"] = "high";
  EXPECT_THAT(line(parse_connector(inputs, "v")), HasSubstr("INTERMEDIATE_PORT"));
}

}  // namespace
}  // namespace ztna::config
