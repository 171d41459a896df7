// What `ztna doctor` makes of what it found. The facts are made up: one healthy Agent and
// Connector, and in each test something is broken.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "addresses.hpp"
#include "tool/doctor_judge.hpp"
#include "tool/doctor_view.hpp"

namespace ztna::tool {
namespace {

using namespace std::chrono_literals;
using base::Address;
using base::ErrorCode;
using identity::Role;
using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Json = nlohmann::json;

constexpr base::WallTime now{1767225600};  // 2026-01-01T00:00:00Z
constexpr std::int64_t day = 24 * 60 * 60;

Json status_of(const std::string& role, const std::string& name) {
  Json status = {{"role", role},      {"name", name},        {"version", "0.1.0 (AEAD: gnutls)"},
                 {"pid", 17},         {"uptime_seconds", 3}, {"ready", true},
                 {"phase", "running"}};
  status["certificate"] = {{"file", "/certs/cert.pem"}, {"not_after", "2026-04-01T00:00:00Z"}};
  status["uplinks"] = Json::array({{{"intermediate", "relay.example.org:4433"},
                                    {"state", "up"},
                                    {"rtt_ms", 12.0},
                                    {"observed_address", "203.0.113.5:5000"},
                                    {"last_error", ""}}});
  return status;
}

constexpr const char* policy_text =
    "[[serve]]\nconnectors = [\"home\"]\nservices = [\"web\"]\n"
    "[[allow]]\nagents = [\"alice\"]\nservices = [\"web\"]\n";

DoctorFacts healthy_machine(Role role = Role::agent) {
  const bool serves = role == Role::connector;
  DoctorFacts facts;
  facts.role = role;
  facts.role_told_by = "as --role says";
  facts.version = "0.1.0";
  facts.now = now;
  const base::HostPort relay{"relay.example.org", 4433};
  facts.config.intermediates = {relay};
  facts.config.identity = {"/certs/cert.pem", "/certs/key.pem", "/certs/ca-cert.pem"};
  facts.config.services = {"web"};
  facts.names = {{relay, false, {at("192.0.2.1:4433")}, true}};
  for (const bool second : {false, true}) {
    facts.asked.push_back({relay,
                           at("192.0.2.1:4433").with_port(second ? 4435 : 4433),
                           second,
                           at("203.0.113.5:5000"),
                           at("192.168.7.2:5000"),
                           12ms,
                           {}});
  }
  facts.clock = {true, true, 10ms};
  IdentityFacts id;
  id.certificate.path = "/certs/cert.pem";
  id.in_use = true;
  id.key.path = "/certs/key.pem";
  id.key.mode = 0600;
  id.roots.path = "/certs/ca-cert.pem";
  identity::Principal self;
  self.role = role;
  self.trust_domain = "example.org";
  self.name = serves ? "home" : "alice";
  self.not_after = {now.seconds + 90 * day};
  if (serves) self.serve = {"web"};
  id.inspection.leaf = self;
  id.inspection.validity = identity::Period{{now.seconds - day}, self.not_after};
  id.inspection.root_validity = {{{now.seconds - day}, {now.seconds + 3650 * day}}};
  facts.identity = id;
  facts.policy = FileFacts{"/certs/policy.toml", std::nullopt, false, policy_text, 0644};
  facts.daemon.socket = "/run/ztna/daemon.sock";
  Json status = status_of(serves ? "connector" : "agent", self.name);
  if (serves) {
    facts.ports = {{"--p2p-listen-port", at("0.0.0.0:4434"),
                    base::Error{ErrorCode::already_exists, "taken", {}, {}}}};
    status["listen"] = {"0.0.0.0:4434", "[::]:4434"};
    status["services"] = Json::array(
        {{{"name", "web"}, {"backend", "127.0.0.1:8080"}, {"healthy", true}, {"refused", ""}}});
  } else {
    status["services"] =
        Json::array({{{"name", "web"},
                      {"instances", Json::array({{{"connector", "home"}, {"healthy", true}}})}}});
  }
  facts.daemon.document = status.dump();
  return facts;
}

// "PROBLEM check: text -> todo"
std::vector<std::string> lines(const DoctorFacts& facts, const std::string& check = {}) {
  std::vector<std::string> all;
  for (const Finding& finding : judge(facts)) {
    if (!check.empty() && finding.check != check) continue;
    all.push_back(std::string(to_string(finding.verdict)) + " " + finding.check + ": " +
                  finding.text + (finding.todo.empty() ? "" : " -> " + finding.todo));
  }
  return all;
}

std::string line(const DoctorFacts& facts, const std::string& check) {
  const auto all = lines(facts, check);
  return all.empty() ? "" : all.front();
}

void change_status(DoctorFacts& facts, const std::function<void(Json&)>& change) {
  Json status = Json::parse(*facts.daemon.document);
  change(status);
  facts.daemon.document = status.dump();
}

EnvFacts env(std::string_view text) { return {"home.env", config::parse_environment_file(text)}; }

TEST(Doctor, FindsNothingWrongWithTheHealthy) {
  for (const Role role : {Role::agent, Role::connector}) {
    EXPECT_THAT(
        lines(healthy_machine(role)),
        Each(testing::AnyOf(testing::StartsWith("ok "), testing::StartsWith("skipped env"))));
  }
  EXPECT_THAT(lines(healthy_machine(), "udp"),
              testing::ElementsAre("ok udp: 192.0.2.1:4433 answers in 12 ms, this machine "
                                   "(192.168.7.2) is behind a NAT, seen as 203.0.113.5:5000"));
  EXPECT_THAT(line(healthy_machine(Role::connector), "p2p-port"),
              HasSubstr("UDP 0.0.0.0:4434 is held by the running connector home"));
}

TEST(DoctorEnv, TellsPlaceholdersAndNamesThatNobodyReads) {
  DoctorFacts facts = healthy_machine();
  facts.env =
      env("INTERMEDIATE_HOST=<cloud-ip>\nINTERMEDIAT_PORT=4433\nZTNA_NOISE=1\nREGION=x\n"
          "CERT_DIR=$HOME/certs\nCERT_DIR=/certs\nno line\n");
  EXPECT_THAT(
      lines(facts, "env"),
      testing::UnorderedElementsAre(
          "problem env: home.env:1: INTERMEDIATE_HOST is still the placeholder \"<cloud-ip>\" -> "
          "put the real value there",
          "warning env: home.env:2: INTERMEDIAT_PORT is read by no daemon -> did you mean "
          "INTERMEDIATE_PORT? Else remove it",
          HasSubstr("warning env: home.env:3: ZTNA_NOISE is read by no daemon"),
          HasSubstr("warning env: home.env:5: CERT_DIR is \"$HOME/certs\""),
          HasSubstr("warning env: home.env:6: CERT_DIR is set twice"),
          HasSubstr("problem env: home.env:7: \"no line\" is not NAME=VALUE")));
  facts.env = env("INTERMEDIATE_HOST=relay\nREGION=x\n");
  EXPECT_EQ(line(facts, "env"), "ok env: home.env: 2 names, of which no daemon reads REGION");
  // What deploy/ reads is no slip.
  facts.env = env("HTTP_PORT=8080\nZTNA_AWS_NAME=ztna\n");
  EXPECT_EQ(line(facts, "env"),
            "ok env: home.env: 2 names, of which no daemon reads HTTP_PORT, ZTNA_AWS_NAME");
}

TEST(DoctorConfig, TellsWhatOfTheDaemonTookTheSettingsPlace) {
  DoctorFacts facts = healthy_machine();
  facts.config.from_daemon = true;
  facts.config.not_here = "/elsewhere/cert.pem";
  EXPECT_THAT(line(facts, "config"),
              HasSubstr("warning config: /elsewhere/cert.pem is not on this "
                        "machine; what the running daemon has is looked at"));
}

TEST(DoctorConfig, TellsWhatIsMissingOnce) {
  DoctorFacts facts = healthy_machine(Role::connector);
  facts.config.errors = {{ErrorCode::invalid_argument,
                          "\"x\" is no number",
                          "environment variable INTERMEDIATE_PORT",
                          {}}};
  facts.config.gaps = {
      {ErrorCode::invalid_argument,
       "needs --local-addr as well",
       "environment variable SERVICE_ID",
       {}},
      {ErrorCode::invalid_argument, "is missing, expected --cert-dir", "--cert-dir", {}},
      {ErrorCode::invalid_argument, "is missing", "--service", {}},
      {ErrorCode::invalid_argument, "is missing", "--control", {}}};
  EXPECT_THAT(
      lines(facts, "config"),
      testing::ElementsAre(HasSubstr("problem config: environment variable INTERMEDIATE_PORT"),
                           HasSubstr("set CERT_DIR in the env file")))
      << "the running Connector has its services";
  facts.daemon.document.reset();
  EXPECT_THAT(lines(facts, "config"),
              Contains(HasSubstr("warning config: no service with its backend is named")).Times(1));
}

TEST(DoctorNetwork, TellsANameThatIsNotKnownFromAResolverThatIsSilent) {
  DoctorFacts facts = healthy_machine();
  facts.names[0].addresses.clear();
  EXPECT_THAT(line(facts, "dns"),
              HasSubstr("problem dns: no address is known for relay.example.org"));
  EXPECT_THAT(line(facts, "udp"), HasSubstr("skipped udp"));
  facts.names[0].in_time = false;
  EXPECT_THAT(line(facts, "dns"), HasSubstr("relay.example.org: no answer in 2.0 s"));
  facts.config.intermediates.clear();
  EXPECT_THAT(line(facts, "dns"), HasSubstr("skipped dns"));
}

TEST(DoctorNetwork, TheFirstPortIsNeededAndTheSecondIsNot) {
  DoctorFacts facts = healthy_machine();
  facts.asked[1].mapped.reset();
  EXPECT_THAT(line(facts, "udp-alt"),
              AllOf(HasSubstr("warning udp-alt: 192.0.2.1:4435: no answer in 2.0 s"),
                    HasSubstr("--alt-listen ADDR:4435")));
  facts.asked[0].mapped.reset();
  EXPECT_THAT(line(facts, "udp"),
              AllOf(HasSubstr("problem udp: 192.0.2.1:4433: no answer in 2.0 s"),
                    HasSubstr("lets UDP 4433 in")));
  EXPECT_THAT(line(facts, "udp-alt"), HasSubstr("skipped"));
  facts.asked[0].not_sent = "unreachable";
  EXPECT_THAT(line(facts, "udp"),
              HasSubstr("nothing can be sent: unreachable -> check this machine"));
}

TEST(DoctorNetwork, OneAddressThatAnswersIsEnough) {
  DoctorFacts facts = healthy_machine();
  const Address v6 = at("[2001:db8::1]:4433");
  facts.names[0].addresses.push_back(v6);
  facts.asked.push_back({facts.names[0].host, v6, false, std::nullopt, {}, {}, {}});
  EXPECT_THAT(lines(facts, "udp"),
              testing::ElementsAre(HasSubstr("ok udp"),
                                   HasSubstr("warning udp: [2001:db8::1]:4433: no answer")));
  facts.asked.back().not_sent = "unreachable";
  EXPECT_THAT(lines(facts, "udp"), testing::ElementsAre(HasSubstr("ok udp")));
}

TEST(DoctorNetwork, TellsNoNat) {
  DoctorFacts facts = healthy_machine();
  facts.asked[0].mapped = facts.asked[0].local;
  EXPECT_THAT(line(facts, "udp"), HasSubstr("no NAT between (192.168.7.2)"));
}

TEST(DoctorClock, IsLateWhenTheCertificatesHaveNotBegun) {
  DoctorFacts facts = healthy_machine();
  facts.clock.synchronised = false;
  EXPECT_THAT(line(facts, "clock"),
              HasSubstr("warning clock: 2026-01-01T00:00:00Z, and NTP does not"));
  facts.clock.known = false;
  EXPECT_THAT(line(facts, "clock"), HasSubstr("the system does not tell"));
  facts.now.seconds -= 2 * day;
  EXPECT_THAT(line(facts, "clock"), HasSubstr("problem clock: 2025-12-30T00:00:00Z is before"));
}

TEST(DoctorIdentity, WarnsFromTheDayOnAsTheDaemonsDo) {
  DoctorFacts facts = healthy_machine();
  const auto ending_in = [&](std::int64_t seconds) {
    facts.identity->inspection.validity->until = {now.seconds + seconds};
    return line(facts, "certificate");
  };
  EXPECT_THAT(ending_in(15 * day), HasSubstr("ok certificate"));
  EXPECT_THAT(ending_in(15 * day - 1),
              AllOf(HasSubstr("warning certificate"), HasSubstr("in 14 days"),
                    HasSubstr("ztna ca renew --role agent --name alice")));
  EXPECT_THAT(ending_in(-1),
              HasSubstr("problem certificate: /certs/cert.pem expired at 2025-12-31T23:59:59Z"));
}

TEST(DoctorIdentity, EachFileHasItsLine) {
  DoctorFacts facts = healthy_machine();
  IdentityFacts& id = *facts.identity;
  id.key.error = base::Error{ErrorCode::not_found, "Permission denied", "\"/certs/key.pem\"", {}};
  EXPECT_THAT(line(facts, "key"),
              HasSubstr("\"/certs/key.pem\": Permission denied -> let the user"));
  id.key.missing = true;
  EXPECT_THAT(line(facts, "key"), HasSubstr("put it there"));
  id.key.error.reset();
  id.inspection.key = base::fail(ErrorCode::invalid_argument, "does not belong");
  EXPECT_THAT(line(facts, "key"), HasSubstr("problem key: does not belong"));
  id.inspection.key = {};
  id.key.mode = 0644;
  EXPECT_THAT(line(facts, "key"), AllOf(HasSubstr("warning key"), HasSubstr("mode 0644"),
                                        HasSubstr("chmod g-w,o= /certs/key.pem")));
  id.inspection.issued = base::fail(ErrorCode::unauthenticated, "is not issued by a CA");
  EXPECT_THAT(line(facts, "trust"), HasSubstr("problem trust: is not issued by a CA"));
  id.inspection.root_validity[0].until = {now.seconds - 1};
  EXPECT_THAT(lines(facts, "trust"), testing::ElementsAre(HasSubstr("a CA certificate in")));
  id.inspection.leaf = base::fail(ErrorCode::invalid_argument, "cannot read");
  EXPECT_THAT(line(facts, "certificate"), HasSubstr("problem certificate: cannot read"));
  facts.identity.reset();
  EXPECT_THAT(line(facts, "certificate"), HasSubstr("skipped"));
}

TEST(DoctorIdentity, WhatTheDaemonRefusesBesidesIsTold) {
  DoctorFacts facts = healthy_machine();
  facts.identity->accepted = base::fail(ErrorCode::unauthenticated, "lacks clientAuth");
  EXPECT_THAT(lines(facts, "certificate"),
              Contains(HasSubstr("problem certificate: lacks clientAuth")));
  facts.role = Role::connector;
  EXPECT_THAT(
      lines(facts, "certificate"),
      testing::ElementsAre(HasSubstr("is the certificate of role agent, expected role connector")))
      << "once is enough";
}

TEST(DoctorIdentity, AConnectorsCertificateHasToNameItsServices) {
  DoctorFacts facts = healthy_machine(Role::connector);
  facts.config.services = {"web", "quake"};
  EXPECT_THAT(line(facts, "names"),
              AllOf(HasSubstr("the services web, and not quake"), HasSubstr("--serve web quake")));
  facts.identity->inspection.leaf->serve = {"*"};
  EXPECT_THAT(line(facts, "names"), HasSubstr("ok names"));
  facts.identity->inspection.leaf->serve.clear();
  EXPECT_THAT(line(facts, "names"), HasSubstr("names no service"));
}

TEST(DoctorPolicy, SaysWhatThisNodeMay) {
  DoctorFacts facts = healthy_machine();
  EXPECT_EQ(line(facts, "policy"), "ok policy: agent alice may reach web");
  facts.config.services = {"quake"};
  EXPECT_THAT(line(facts, "policy"), HasSubstr("agent alice may not reach quake (default deny)"));
  facts.identity->inspection.leaf->name = "bob";
  EXPECT_THAT(line(facts, "policy"), HasSubstr("/certs/policy.toml lets agent bob reach nothing"));
  facts.policy->text = "[[revoke]]\nspki = \"" + std::string(64, '0') + "\"\n";
  EXPECT_THAT(line(facts, "policy"), HasSubstr("its key is revoked by revoke[1]"));
  facts.policy->text = "[[alow]]\n";
  EXPECT_THAT(line(facts, "policy"),
              HasSubstr("problem policy: /certs/policy.toml:1:3: unknown key"));
  facts.policy->error = base::Error{ErrorCode::not_found, "No such file", "p", {}};
  EXPECT_THAT(line(facts, "policy"), HasSubstr("problem policy: p: No such file"));
  facts.policy.reset();
  EXPECT_THAT(line(facts, "policy"), HasSubstr("skipped policy: Agents have none"));
  EXPECT_EQ(line(healthy_machine(Role::connector), "policy"),
            "ok policy: connector home may serve web");
}

TEST(DoctorPolicy, OfAnIntermediateHasToLetSomebodyIn) {
  DoctorFacts facts = healthy_machine();
  facts.role = Role::intermediate;
  EXPECT_THAT(line(facts, "policy"),
              HasSubstr("ok policy: /certs/policy.toml: [[serve]] 1, [[allow]] 1"));
  facts.policy->text = "[[serve]]\nconnectors = [\"home\"]\nservices = [\"web\"]\n";
  EXPECT_THAT(line(facts, "policy"), HasSubstr("lets nobody reach anything"));
  facts.policy.reset();
  EXPECT_THAT(line(facts, "policy"), HasSubstr("problem policy: no policy is named"));
}

TEST(DoctorDaemon, SaysWhyItIsNotAsked) {
  DoctorFacts facts = healthy_machine();
  facts.daemon.document.reset();
  facts.daemon.error = base::Error{ErrorCode::unavailable, "no daemon is running there", "s", {}};
  EXPECT_THAT(line(facts, "daemon"), HasSubstr("no daemon is running there -> start ztna-agent"));
  facts.daemon.error->code = ErrorCode::permission_denied;
  EXPECT_THAT(line(facts, "daemon"), HasSubstr("or as root"));
  facts.daemon.error->code = ErrorCode::timed_out;
  EXPECT_THAT(line(facts, "daemon"), HasSubstr("it hangs or is stopped"));
  facts.daemon.socket.clear();
  facts.daemon.looked_for = "/run/ztna/agent.sock";
  EXPECT_THAT(line(facts, "daemon"),
              HasSubstr("no agent is running here, looked for /run/ztna/agent.sock"));
  facts.daemon.off = true;
  EXPECT_THAT(line(facts, "daemon"), HasSubstr("skipped daemon"));
  facts = healthy_machine();
  change_status(facts, [](Json& status) { status["role"] = "connector"; });
  EXPECT_THAT(line(facts, "daemon"), HasSubstr("no agent answers at /run/ztna/daemon.sock"));
  EXPECT_THAT(lines(facts, "version"), IsEmpty());
}

TEST(DoctorDaemon, TellsWhatAStatusSays) {
  DoctorFacts facts = healthy_machine();
  change_status(facts, [](Json& status) {
    status["version"] = "0.0.9 (AEAD: gnutls)";
    status["ready"] = false;
    status["not_ready_reason"] = "not connected";
    status["uplinks"][0]["state"] = "waiting";
    status["uplinks"][0]["last_error"] = "handshake: not finished in time";
    status["certificate"]["not_after"] = "2026-02-01T00:00:00Z";
  });
  EXPECT_THAT(
      lines(facts),
      AllOf(Contains(HasSubstr("problem daemon: agent alice is running (process 17, for 3 s), "
                               "but NOT ready: not connected")),
            Contains(
                HasSubstr("warning version: the daemon is 0.0.9 (AEAD: gnutls), this tool 0.1.0")),
            Contains(HasSubstr("warning daemon: it still uses a certificate that ends at "
                               "2026-02-01T00:00:00Z")),
            Contains(HasSubstr("problem uplink: relay.example.org:4433 is waiting: handshake: "
                               "not finished in time"))));
  EXPECT_THAT(lines(facts, "service"), IsEmpty());
}

TEST(DoctorDaemon, OneUplinkOfTwoIsEnough) {
  DoctorFacts facts = healthy_machine();
  facts.config.intermediates.push_back({"spare.example.org", 4433});
  change_status(facts, [](Json& status) {
    status["uplinks"].push_back({{"intermediate", "old.example.org:4433"}, {"state", "waiting"}});
  });
  EXPECT_THAT(lines(facts, "uplink"),
              testing::ElementsAre(
                  HasSubstr("ok uplink"),
                  HasSubstr("warning uplink: old.example.org:4433 is waiting: no answer yet"),
                  HasSubstr("does not use spare.example.org:4433, but relay.example.org:4433")));
}

TEST(DoctorDaemon, TellsAPortThatIsFreeFromOneThatIsTaken) {
  DoctorFacts facts = healthy_machine(Role::connector);
  change_status(facts, [](Json& status) { status["listen"] = {"0.0.0.0:5000"}; });
  EXPECT_THAT(line(facts, "p2p-port"),
              AllOf(HasSubstr("problem p2p-port: UDP 0.0.0.0:4434 is taken by "
                              "another program"),
                    HasSubstr("ss -lunp 'sport = :4434'")));
  facts.ports[0].error->code = ErrorCode::permission_denied;
  EXPECT_THAT(line(facts, "p2p-port"), HasSubstr("problem p2p-port: --p2p-listen-port"));
  facts.ports[0].error.reset();
  EXPECT_THAT(line(facts, "p2p-port"), HasSubstr("ok p2p-port: UDP 0.0.0.0:4434 is free"));
}

TEST(DoctorDaemon, LooksAtServicesFromBothEnds) {
  DoctorFacts connector = healthy_machine(Role::connector);
  change_status(connector, [](Json& status) { status["services"][0]["healthy"] = false; });
  EXPECT_THAT(line(connector, "service"),
              HasSubstr("warning service: web: its backend 127.0.0.1:8080"));
  change_status(connector, [](Json& status) { status["services"][0]["refused"] = "default deny"; });
  EXPECT_THAT(line(connector, "service"),
              HasSubstr("problem service: web is refused by the Intermediate: "
                        "default deny"));
  DoctorFacts agent = healthy_machine();
  change_status(agent, [](Json& status) { status["services"][0]["instances"] = Json::array(); });
  EXPECT_THAT(line(agent, "service"),
              HasSubstr("warning service: web: no Connector offers it now"));
  change_status(agent, [](Json& status) { status["services"] = Json::array(); });
  EXPECT_THAT(line(agent, "service"), HasSubstr("web is not among what this Agent may see"));
  agent.config.services.clear();
  EXPECT_THAT(line(agent, "service"), HasSubstr("this Agent sees no service"));
}

TEST(DoctorView, IsOneLineAFindingAndOneObjectEach) {
  const std::vector<Finding> findings = {{"dns", Verdict::ok, "relay is 192.0.2.1", ""},
                                         {"udp", Verdict::problem, "no\nanswer", "look there"},
                                         {"clock", Verdict::warning, "late", "set it"}};
  EXPECT_EQ(findings_text(findings),
            "ok       dns    relay is 192.0.2.1\n"
            "PROBLEM  udp    no\\nanswer\n"
            "                -> look there\n"
            "warning  clock  late\n"
            "                -> set it\n"
            "\n"
            "1 problem, 1 warning\n");
  EXPECT_THAT(findings_text({}), HasSubstr("no problems, no warnings"));
  const Json json = Json::parse(findings_json(findings));
  EXPECT_EQ(json.at(1), (Json{{"check", "udp"},
                              {"status", "problem"},
                              {"text", "no\nanswer"},
                              {"todo", "look there"}}));
  EXPECT_THAT(findings_json({}), "[]\n");
}

}  // namespace
}  // namespace ztna::tool
