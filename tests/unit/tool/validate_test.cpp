// What `ztna validate` makes of what it saw. The facts are made up: a deployment where everything
// is as it should be, and in each test something is not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "addresses.hpp"
#include "tool/validate_judge.hpp"
#include "tool/validate_reach.hpp"
#include "tool/validate_view.hpp"

namespace ztna::tool {
namespace {

using base::Address;
using testing::HasSubstr;
using Json = nlohmann::json;

Json agent_status() {
  return {
      {"role", "agent"},
      {"name", "alice"},
      {"uplinks",
       {{{"intermediate", "relay.example.org:4433"},
         {"state", "up"},
         {"observed_address", "203.0.113.5:40000"},
         {"last_error", ""}}}},
      {"services",
       {{{"name", "web"},
         {"protocol", "tcp"},
         {"auto_forward", "127.96.0.2:8080"},
         {"instances",
          {{{"connector", "spiffe://example.org/connector/home"}, {"healthy", true}}}}}}},
      {"forwards", {{{"listen", "udp://127.0.0.1:27960"}, {"service", "quake"}}}},
      {"sessions",
       {{{"with", "spiffe://example.org/connector/home"},
         {"path", "DIRECT"},
         {"peer", "198.51.100.7:4434"},
         {"switches", {{{"to", "DIRECT"}, {"peer", "198.51.100.7:4434"}, {"rtt_ms", 21.0}}}}}}}};
}

nat::SurveyReport behind_a_cone() {
  nat::SurveyReport report;
  report.primary = at("192.0.2.1:4433");
  for (const char* server : {"192.0.2.1:4433", "192.0.2.1:4435", "192.0.2.2:4433"}) {
    report.seen.mappings.push_back({0, at("192.168.1.2:5000"), at(server), at("203.0.113.5:5000")});
  }
  report.seen.filters = {{at("192.0.2.1:4433"), true, true, false},
                         {at("192.0.2.1:4433"), false, true, false}};
  return report;
}

proof::Verdict all_proven() {
  proof::Verdict verdict;
  for (int number = 1; number <= 4; ++number) {
    verdict.tests.push_back({number, "title", true, "evidence " + std::to_string(number)});
  }
  return verdict;
}

ValidateFacts healthy_deployment() {
  ValidateFacts facts;
  facts.service = "web";
  facts.game = "quake";
  facts.doctor = {{"udp", Verdict::ok, "answers", {}}};
  facts.network.emplace();
  facts.network->v4.report = behind_a_cone();
  facts.status = agent_status().dump();
  facts.proof.verdict = all_proven();
  facts.round_trips.direct = {20, 21};
  facts.round_trips.relay = {40, 41, 400};
  facts.http.local = at("127.96.0.2:8080");
  facts.http.http_status = 200;
  facts.http.octets = 1234;
  facts.http.ms = 42;
  facts.game_server.local = at("127.0.0.1:27960");
  facts.game_server.game = "arena, 2 of 8 players";
  facts.quality.emplace();
  facts.quality->service = "quake";
  for (int i = 0; i < 100; ++i) facts.quality->samples.push_back({20.0 * i, true, 21.0});
  return facts;
}

Criterion find(const std::vector<Criterion>& all, std::string_view begin) {
  const auto found = std::ranges::find_if(
      all, [&](const Criterion& each) { return each.text.starts_with(begin); });
  EXPECT_NE(found, all.end()) << begin;
  return found == all.end() ? Criterion{} : *found;
}
Criterion find(const ValidateFacts& facts, std::string_view begin) {
  return find(judge_deployment(facts), begin);
}

void expect_only_not_met(const ValidateFacts& facts, const std::vector<std::string>& begins) {
  std::vector<std::string> texts;
  for (const Criterion& each : judge_deployment(facts)) {
    if (each.standing != Standing::not_met) continue;
    texts.push_back(each.text);
    EXPECT_FALSE(each.todo.empty()) << each.text;
  }
  ASSERT_EQ(texts.size(), begins.size()) << testing::PrintToString(texts);
  for (std::size_t i = 0; i < begins.size(); ++i) EXPECT_THAT(texts[i], HasSubstr(begins[i]));
}

TEST(Validate, AHealthyDeploymentLeavesOpenWhatNobodyCanTellFromHere) {
  std::vector<std::string> open;
  for (const Criterion& each : judge_deployment(healthy_deployment())) {
    EXPECT_NE(each.standing, Standing::not_met) << each.text << ": " << each.evidence;
    EXPECT_EQ(each.standing == Standing::met, each.todo.empty()) << each.text;
    EXPECT_FALSE(each.evidence.empty()) << each.text;
    if (each.standing == Standing::open) open.push_back(each.text);
  }
  EXPECT_EQ(open, (std::vector<std::string>{"Connector runs behind a NAT",
                                            "Browser client connects by WebSocket"}));
}

TEST(Validate, WithoutAnAgentNearlyNothingIsMetButTheTableIsWhole) {
  ValidateFacts facts = healthy_deployment();
  const std::size_t size = judge_deployment(facts).size();
  ValidateFacts bare;
  bare.service = "web";
  bare.doctor = facts.doctor;
  const auto all = judge_deployment(bare);
  EXPECT_EQ(all.size(), size);
  EXPECT_EQ(std::ranges::count(all, Standing::met, &Criterion::standing), 1);  // doctor's
  EXPECT_THAT(find(all, "App Connector").evidence, HasSubstr("no Agent answers"));
}

TEST(Validate, DoctorsFirstProblemIsShownWithWhatToDo) {
  ValidateFacts facts = healthy_deployment();
  facts.doctor.push_back({"clock", Verdict::warning, "unsynchronised", "run NTP"});
  EXPECT_THAT(find(facts, "This machine is").evidence, HasSubstr("has warnings: 1"));
  facts.doctor.push_back({"key", Verdict::problem, "not this certificate's", "copy the right one"});
  const Criterion found = find(facts, "This machine is");
  EXPECT_EQ(found.standing, Standing::not_met);
  EXPECT_EQ(found.evidence, "key: not this certificate's");
  EXPECT_EQ(found.todo, "copy the right one");
}

TEST(Validate, APrivateAddressOfTheIntermediateIsOpen) {
  for (const char* address : {"10.1.2.3:4433", "172.31.0.1:4433", "192.168.0.1:4433",
                              "100.64.0.1:4433", "198.19.0.1:4433", "127.0.0.1:4433"}) {
    ValidateFacts facts = healthy_deployment();
    facts.network->v4.report.primary = at(address);
    EXPECT_EQ(find(facts, "Intermediate runs").standing, Standing::open) << address;
  }
  for (const char* address : {"172.32.0.1:4433", "192.167.0.1:4433", "100.128.0.1:4433"}) {
    ValidateFacts facts = healthy_deployment();
    facts.network->v4.report.primary = at(address);
    EXPECT_EQ(find(facts, "Intermediate runs").standing, Standing::met) << address;
  }
  ValidateFacts facts = healthy_deployment();
  facts.network->v4.report = {};
  EXPECT_EQ(find(facts, "Intermediate runs").evidence, "no Intermediate answers by UDP");
  facts.network.reset();
  EXPECT_EQ(find(facts, "Intermediate runs").evidence, "no Intermediate is named");
}

TEST(Validate, AServiceThatIsNotToBeSeenHasNoSession) {
  ValidateFacts facts = healthy_deployment();
  Json status = agent_status();
  status["services"] = Json::array();
  facts.status = status.dump();
  EXPECT_EQ(find(facts, "Both are").evidence, "no Connector of web is to be seen");
  EXPECT_EQ(find(facts, "Candidates are").evidence, "there is no session with a Connector of web");
}

TEST(Validate, AnAgentWithoutANatIsOpen) {
  ValidateFacts facts = healthy_deployment();
  for (auto& seen : facts.network->v4.report.seen.mappings) seen.local = seen.mapped;
  EXPECT_EQ(find(facts, "Agent, behind a NAT").standing, Standing::open);
}

TEST(Validate, TheAddressesOfQadAndStunMustAgree) {
  ValidateFacts facts = healthy_deployment();
  Json status = agent_status();
  status["uplinks"][0]["observed_address"] = "203.0.113.6:40000";
  facts.status = status.dump();
  expect_only_not_met(facts, {"QAD returns"});
}

TEST(Validate, AnUplinkThatIsDownSaysWhy) {
  ValidateFacts facts = healthy_deployment();
  Json status = agent_status();
  status["uplinks"][0] = {{"state", "waiting"}, {"last_error", "certificate has expired"}};
  facts.status = status.dump();
  EXPECT_THAT(find(facts, "Agent, behind a NAT").evidence, HasSubstr("certificate has expired"));
  expect_only_not_met(facts, {"Agent, behind", "QAD", "Both are"});
}

TEST(Validate, WhatNoHealthyConnectorOffersIsNotMet) {
  ValidateFacts facts = healthy_deployment();
  Json status = agent_status();
  status["services"][0]["instances"][0]["healthy"] = false;
  facts.status = status.dump();
  expect_only_not_met(facts, {"App Connector", "Both are"});
}

TEST(Validate, ATestThatFailedIsNotMetAndARefusalGivesTheReason) {
  ValidateFacts facts = healthy_deployment();
  facts.proof.verdict->tests[1].passed = false;
  expect_only_not_met(facts, {"PROOF: packets go to the peer"});
  facts = healthy_deployment();
  facts.proof.verdict->tests[2].passed = facts.proof.verdict->tests[3].passed = false;
  facts.proof.failures = {"suspending the relay path: no rule allows it"};
  facts.round_trips.relay.clear();
  expect_only_not_met(facts, {"PROOF: with the relay suspended", "PROOF: with direct UDP"});
  EXPECT_THAT(find(facts, "PROOF: with the relay").evidence, HasSubstr("no rule allows it"));
  EXPECT_EQ(find(facts, "DATAGRAM relay").standing, Standing::open);
  EXPECT_EQ(find(facts, "Round trip over the relay").standing, Standing::open);
}

TEST(Validate, ASessionOnTheRelayHasNoDirectPath) {
  ValidateFacts facts = healthy_deployment();
  Json status = agent_status();
  status["sessions"][0]["path"] = "RELAY";
  status["sessions"][0]["switches"] = Json::array();
  facts.status = status.dump();
  for (auto& test : facts.proof.verdict->tests) test.passed = false;
  facts.round_trips.direct.clear();
  expect_only_not_met(facts, {"Candidates are", "selected is DIRECT", "packets go to the peer",
                              "relay suspended", "direct UDP blocked"});
  EXPECT_EQ(find(facts, "DATAGRAM relay").standing, Standing::met);
}

TEST(Validate, ADirectPathToAnotherConnectorShowsNothing) {
  ValidateFacts facts = healthy_deployment();
  Json status = agent_status();
  status["sessions"][0]["with"] = "spiffe://example.org/connector/office";
  facts.status = status.dump();
  expect_only_not_met(facts, {"Candidates are"});
}

TEST(Validate, TheConnectorsNatIsSeenWhenItIsOurs) {
  ValidateFacts facts = healthy_deployment();
  Json status = agent_status();
  status["sessions"][0]["peer"] = "203.0.113.5:4434";
  facts.status = status.dump();
  EXPECT_EQ(find(facts, "Connector runs").standing, Standing::met);
}

TEST(Validate, SlowAndLossyWaysAreNotMet) {
  ValidateFacts facts = healthy_deployment();
  facts.round_trips.relay = {149, 151, 150};
  expect_only_not_met(facts, {"Round trip over the relay"});
  facts = healthy_deployment();
  for (auto& sample : facts.quality->samples) sample.rtt_ms = 151;
  expect_only_not_met(facts, {"Ping is below", "No visible lag"});
  facts = healthy_deployment();
  for (int i = 0; i < 5; ++i) facts.quality->samples[i].rtt_ms.reset();
  expect_only_not_met(facts, {"No visible lag"});
  for (auto& sample : facts.quality->samples) sample.rtt_ms.reset();
  expect_only_not_met(facts, {"Ping is below", "No visible lag"});
}

TEST(Validate, ServicesThatAreSilentOrNowhereSayWhatToDo) {
  ValidateFacts facts = healthy_deployment();
  facts.http.error = base::Error{base::ErrorCode::timed_out, "no answer", {}, {}};
  facts.game_server.error = base::Error{base::ErrorCode::timed_out, "no answer", {}, {}};
  expect_only_not_met(facts, {"HTTP app", "Game server"});
  facts = healthy_deployment();
  facts.http.http_status = 502;
  expect_only_not_met(facts, {"HTTP app"});
  facts = healthy_deployment();
  facts.http = facts.game_server = {};
  EXPECT_THAT(find(facts, "HTTP app").todo, HasSubstr("--forward tcp://127.0.0.1:8080=web"));
  EXPECT_THAT(find(facts, "Game server").todo, HasSubstr("--forward udp://127.0.0.1:27960=quake"));
  facts.game.clear();
  EXPECT_THAT(find(facts, "Game server").todo, HasSubstr("GAME_SERVICE_ID"));
}

TEST(Validate, FindsTheAgentsAddressOfAService) {
  const std::string status = agent_status().dump();
  EXPECT_EQ(local_address_of(status, "web", "tcp"), at("127.96.0.2:8080"));
  EXPECT_EQ(local_address_of(status, "quake", "udp"), at("127.0.0.1:27960"));
  EXPECT_EQ(local_address_of(status, "quake", "tcp"), std::nullopt);
  EXPECT_EQ(local_address_of("nonsense", "web", "tcp"), std::nullopt);
}

TEST(Validate, ReadsAGamesAnswer) {
  const auto read = [](const std::string& info) {
    return read_game_info("\xff\xff\xff\xffinfoResponse\n" + info);
  };
  EXPECT_EQ(read("\\hostname\\my arena\\clients\\2\\sv_maxclients\\8"), "my arena, 2 of 8 players");
  EXPECT_EQ(read("\\clients\\2\\hostname"), "?, 2 of ? players");
  EXPECT_EQ(read("\\"), "?, ? of ? players");
  EXPECT_EQ(read(""), std::nullopt);
  EXPECT_EQ(read_game_info("statusResponse"), std::nullopt);
  EXPECT_EQ(read_game_info(""), std::nullopt);
}

TEST(ValidateView, CountsAndMarks) {
  const std::vector<Criterion> criteria = {
      {"Relay", "a", Standing::met, "seen | so", ""},
      {"Relay", "b", Standing::not_met, "not\nseen", "do this"},
      {"Game", "c", Standing::open, "unknown", "look"}};
  EXPECT_EQ(criteria_text(criteria),
            "Relay\n"
            "  [x] a\n"
            "      seen | so\n"
            "  [ ] b\n"
            "      not\\nseen\n"
            "      -> do this\n"
            "\n"
            "Game\n"
            "  [?] c\n"
            "      unknown\n"
            "      -> look\n"
            "\n"
            "[x] met, [ ] not met, [?] open: 1 met, 1 not met, 1 open\n");
  const Json json = Json::parse(criteria_json(criteria));
  EXPECT_EQ(json["criteria"][1]["standing"], "not met");
  EXPECT_EQ(json["met"], 1);
  const std::string record = criteria_record(criteria, "Home", base::WallTime{1767225600});
  EXPECT_THAT(record, HasSubstr("\n## Home\n\n2026-01-01T00:00:00Z"));
  EXPECT_THAT(record, HasSubstr("| [x] | Relay: a | seen \\| so |\n"));
  EXPECT_THAT(record, HasSubstr("| [ ] | Relay: b | not\\nseen; to do: do this |\n"));
}

}  // namespace
}  // namespace ztna::tool
