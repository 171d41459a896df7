#include "tool/quickstart.hpp"

#include <gmock/gmock.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "io/http_server.hpp"
#include "policy/policy.hpp"
#include "tool/quickstart_folder.hpp"
#include "tool/quickstart_page.hpp"
#include "tool/quickstart_report.hpp"
#include "unit/tool/command_fixture.hpp"

namespace ztna::tool {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(QuickstartState, ReadsWhatTheDaemonsSay) {
  EXPECT_EQ(not_ready(R"({"ready":true})"), std::nullopt);
  EXPECT_EQ(not_ready(R"({"ready":false,"not_ready_reason":"no uplink"})"), "no uplink");
  EXPECT_EQ(not_ready("nonsense"), "not ready");
  EXPECT_EQ(listen_address(R"({"listen":["127.0.0.1:5"]})")->to_string(), "127.0.0.1:5");
  EXPECT_FALSE(listen_address(R"({"listen":[]})"));
  EXPECT_EQ(forward_address(R"({"forwards":[{"listen":"tcp://127.0.0.1:1","service":"a"},
                                            {"listen":"tcp://127.0.0.1:2","service":"b"}]})",
                            "b")
                ->to_string(),
            "127.0.0.1:2");
  EXPECT_FALSE(forward_address("{}", "b"));
}

TEST(QuickstartState, AServiceIsSeenWhenAConnectorOfItIsHealthy) {
  const char* const sick = R"({"services":[{"name":"web","instances":[{"healthy":false}]}]})";
  const char* const one =
      R"({"services":[{"name":"web","instances":[{"healthy":false},{"healthy":true}]}]})";
  EXPECT_FALSE(sees_service(sick, "web"));
  EXPECT_TRUE(sees_service(one, "web"));
  EXPECT_FALSE(sees_service(one, "mail"));
  EXPECT_FALSE(sees_service("{}", "web"));
}

TEST(QuickstartState, TheSessionIsTheOneThatIsReady) {
  const auto facts = session_facts(
      R"J({"name":"alice","trust_domain":"q.internal","version":"0.1.0 (AEAD: gnutls)",
          "sessions":[{"id":"aa","state":"handshaking"},
                      {"id":"bb","state":"ready","with":"spiffe://q.internal/connector/home",
                       "path":"RELAY","peer":"127.0.0.1:9","rtt_ms":0.5}]})J");
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->id, "bb");
  EXPECT_EQ(facts->agent, "spiffe://q.internal/agent/alice");
  EXPECT_EQ(facts->aead, "gnutls");
  EXPECT_FALSE(session_facts(R"({"sessions":[{"id":"aa","state":"closed"}]})"));
  const char* const relay = R"({"sessions":[{"id":"aa","packets":1,"bytes":2},
                                            {"id":"bb","packets":30,"bytes":4000}]})";
  EXPECT_EQ(relay_facts(relay, "bb")->octets, 4000U);
  EXPECT_FALSE(relay_facts(relay, "cc"));
}

TEST(QuickstartState, TheLatestFailureCounts) {
  EXPECT_EQ(last_failure(R"({"failures":[{"reason":"denied","ago_s":9},
                                         {"reason":"backend_refused","detail":"no","ago_s":1}]})"),
            "backend_refused (no)");
  EXPECT_EQ(last_failure("{}"), "");
}

class Report : public testing::Test {
 protected:
  Report() {
    report_.session = {"bb",
                       "spiffe://q.internal/agent/alice",
                       "spiffe://q.internal/connector/home",
                       "RELAY",
                       "127.0.0.1:9",
                       0.5,
                       "gnutls"};
    report_.relay = {30, 4000};
    report_.folder = "/tmp/q";
    report_.ztna = "bin/ztna";
    Visit visit;
    visit.service.name = "web";
    visit.local = base::Address::v4({127, 0, 0, 1}, 8080);
    visit.outcome = Visit::Outcome::answered;
    visit.http_status = 200;
    visit.octets = 1234;
    visit.first_ms = 4.26;
    report_.visits.push_back(visit);
  }
  QuickstartReport report_;
};

TEST_F(Report, SaysWhoHowAndWhatTheIntermediateSaw) {
  EXPECT_THAT(
      report_text(report_),
      AllOf(HasSubstr("agent alice  ->  web at connector home"),
            HasSubstr("RELAY via 127.0.0.1:9, round trip 0.50 ms"),
            HasSubstr("web: GET / answered 200, 1,234 octets, in 4.3 ms\n"),
            HasSubstr("AES-128-GCM (by gnutls)"), HasSubstr("relayed 30 packets, 4,000 octets")));
}

TEST_F(Report, ClaimsOnlyWhatWasLookedAt) {
  EXPECT_THAT(report_text(report_), AllOf(Not(HasSubstr("memory")), Not(HasSubstr("exactly"))));
  EXPECT_FALSE(
      nlohmann::json::parse(report_json(report_))["intermediate"].contains("plaintext_found"));
  report_.memory_searched = 5'000'000;
  report_.visits[0].as_served = true;
  EXPECT_THAT(report_text(report_), AllOf(HasSubstr("looked for in its memory (5.0 MB): not there"),
                                          HasSubstr("exactly the octets")));
  EXPECT_EQ(nlohmann::json::parse(report_json(report_))["intermediate"]["plaintext_found"], false);
}

TEST_F(Report, ALinkIsHttpOnlyWhereHttpWasSpoken) {
  EXPECT_EQ(local_url(report_.visits[0]), "http://127.0.0.1:8080/");
  report_.visits[0].outcome = Visit::Outcome::not_http;
  EXPECT_EQ(local_url(report_.visits[0]), "tcp://127.0.0.1:8080");
  EXPECT_THAT(report_hints(report_), HasSubstr("connect to   tcp://127.0.0.1:8080\n"));
}

TEST(QuickstartPage, HoldsTheMarkerOnce) {
  const std::string page = quickstart_page("0123456789abcdef");
  EXPECT_NE(page.find("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(page.find("0123456789abcdef"), page.rfind("0123456789abcdef"));
}

class QuickstartTest : public CommandTest {
 protected:
  // With programs in @bin, which need not be the real ones.
  Outcome quickstart(const std::string& dir) {
    std::ostringstream out, err;
    Context context{out, err, random_, now_};
    QuickstartOptions options;
    options.once = true;
    options.dir = dir;
    options.programs = at("bin");
    options.self = "/bin/true";
    config::Service service;  // UDP backends are not looked for beforehand
    service.name = "game";
    service.transport = config::Transport::udp;
    service.backend = {"127.0.0.1", 9};
    options.expose = {service};
    const int code = run_quickstart(options, context);
    return {code, out.str(), err.str()};
  }
};

TEST_F(QuickstartTest, TheFolderIsPrivateAndItsPolicyAllowsWhatIsShown) {
  Context context{std::cout, std::cerr, random_, now_};
  QuickstartFolder folder;
  ASSERT_TRUE(folder.create(at("q")));
  ASSERT_TRUE(folder.fill({"web", "game"}, context));
  EXPECT_EQ(mode("q"), 0700U);
  EXPECT_EQ(mode("q/agent/key.pem"), 0600U);
  const auto policy = policy::Policy::parse(read("q/policy.toml"), "policy.toml");
  ASSERT_TRUE(policy) << policy.error().message();
  identity::Principal alice;
  alice.role = identity::Role::agent;
  alice.name = quickstart_agent;
  EXPECT_TRUE(policy->may_reach(alice, "game").allowed);
  EXPECT_FALSE(policy->may_reach(alice, "mail").allowed);
}

TEST_F(QuickstartTest, ATemporaryFolderGoesAndANamedOneStays) {
  std::string temporary;
  {
    QuickstartFolder folder, named;
    ASSERT_TRUE(folder.create(""));
    temporary = folder.path();
    EXPECT_TRUE(std::filesystem::exists(temporary));
    ASSERT_TRUE(named.create(at("named")));
  }
  EXPECT_FALSE(std::filesystem::exists(temporary));
  EXPECT_TRUE(has("named"));
}

TEST_F(QuickstartTest, AFolderWithSomethingInItIsLeftAlone) {
  write("file", "mine");
  const std::string before = snapshot();
  const Outcome outcome = quickstart(at(""));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("is not empty, expected a new or empty folder"));
  EXPECT_EQ(snapshot(), before);
}

TEST_F(QuickstartTest, APathTooLongForSocketsMakesNoFolder) {
  const std::string before = snapshot();
  const Outcome outcome = quickstart(at(std::string(100, 'a')));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("is too long for the sockets in it"));
  EXPECT_EQ(snapshot(), before);
}

TEST_F(QuickstartTest, ADaemonThatDiesEarlyIsShownWithItsLastWords) {
  std::filesystem::create_directory(at("bin"));
  write("bin/intermediate-server", "#!/bin/sh\necho the sky is falling >&2\nexit 2\n");
  std::filesystem::permissions(at("bin/intermediate-server"), std::filesystem::perms::owner_all);
  const Outcome outcome = quickstart(at("q"));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("intermediate: ended by itself: exit code 2"),
                    HasSubstr(at("q/intermediate.log")), HasSubstr("    the sky is falling\n")));
}

TEST_F(QuickstartTest, AMissingProgramIsNamed) {
  const Outcome outcome = quickstart(at("q"));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr(at("bin/intermediate-server") + ": cannot be started"));
}

TEST_F(QuickstartTest, WrongArgumentsAreOneLineAndStartNothing) {
  const std::string before = snapshot();
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{
           {"--expose", "web"},
           {"--expose", "web=http://127.0.0.1:80"},
           {"--expose", "Web=tcp://127.0.0.1:80"},
           {"--expose", "web=tcp://127.0.0.1:0"},
           {"--expose", "a=tcp://127.0.0.1:1", "--expose", "a=tcp://127.0.0.1:2"},
           {"--expose"},
           {"--onec"},
           {"extra"}}) {
    std::vector<std::string> arguments = {"quickstart", "--once", "--dir", "@q"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = ztna(arguments);
    EXPECT_EQ(outcome.code, 2) << testing::PrintToString(more);
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
    EXPECT_EQ(outcome.out, "");
  }
  EXPECT_EQ(snapshot(), before);
}

TEST_F(QuickstartTest, NobodyListeningIsSaidBeforeAnythingStarts) {
  const base::Address nobody = [] {  // a port that was free a moment ago
    io::Loop loop;
    io::HttpServer server(loop, {});
    return server.listen(base::Address::v4({127, 0, 0, 1}, 0)).value();
  }();
  const std::string before = snapshot();
  const Outcome outcome =
      ztna({"quickstart", "--once", "--dir", "@q", "--expose", "web=tcp://" + nobody.to_string()});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("--expose web=tcp://" + nobody.to_string()),
                                 HasSubstr("nobody is listening there; start your service first")));
  EXPECT_EQ(snapshot(), before);
}

}  // namespace
}  // namespace ztna::tool
