#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "identity/credentials.hpp"
#include "policy/policy.hpp"
#include "unit/tool/command_fixture.hpp"

namespace ztna::tool {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Ca : public CommandTest {
 protected:
  void SetUp() override {
    const Outcome made = ztna({"ca", "init", "--trust-domain", "example.org", "--out", "@ca"});
    ASSERT_EQ(made.code, 0) << made.err;
  }
  Outcome issue(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"ca", "issue", "--ca-dir", "@ca"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return ztna(arguments);
  }
  Outcome issue_alice() { return issue({"--role", "agent", "--name", "alice", "--out", "@alice"}); }
  nlohmann::json list() {
    return nlohmann::json::parse(ztna({"ca", "list", "--ca-dir", "@ca", "--json"}).out);
  }
  // What a daemon would make of a --cert-dir.
  base::Result<std::shared_ptr<const identity::Credentials>> load(const std::string& folder) {
    return identity::Credentials::load(
        {read(folder + "/cert.pem"), "cert.pem", read(folder + "/key.pem"), "key.pem",
         read(folder + "/ca-cert.pem"), "ca-cert.pem"},
        now_);
  }
};

TEST_F(Ca, InitMakesAPrivateFolder) {
  EXPECT_EQ(mode("ca"), 0700U);
  EXPECT_EQ(mode("ca/ca-key.pem"), 0600U);
  EXPECT_THAT(read("ca/ca-cert.pem"), StartsWith("-----BEGIN CERTIFICATE-----"));
}

TEST_F(Ca, InitOverwritesOnlyByForce) {
  const std::string before = snapshot();
  const Outcome again = ztna({"ca", "init", "--trust-domain", "example.org", "--out", "@ca"});
  EXPECT_EQ(again.code, 2);
  EXPECT_THAT(again.err, HasSubstr("ca-cert.pem: exists already and is not overwritten without"));
  EXPECT_EQ(snapshot(), before);
  EXPECT_EQ(ztna({"ca", "init", "--trust-domain", "example.org", "--out", "@ca", "--force"}).code,
            0);
  EXPECT_NE(snapshot(), before);
}

TEST_F(Ca, IssueMakesACertDir) {
  const Outcome issued = issue({"--role", "connector", "--name", "home-1", "--serve", "web",
                                "quake", "--days", "30", "--out", "@home"});
  ASSERT_EQ(issued.code, 0) << issued.err;
  EXPECT_EQ(mode("home/key.pem"), 0600U);
  EXPECT_EQ(read("home/ca-cert.pem"), read("ca/ca-cert.pem"));
  const auto loaded = load("home");
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ((*loaded)->self().uri(), "spiffe://example.org/connector/home-1");
  EXPECT_THAT((*loaded)->self().serve, ElementsAre("web", "quake"));
  EXPECT_EQ((*loaded)->self().not_after.seconds, now_.seconds + 30LL * 86400);
}

TEST_F(Ca, OpensslVerifiesWhatWasIssued) {
  ZTNA_NEEDS_OPENSSL();
  ASSERT_EQ(issue({"--role", "intermediate", "--name", "relay", "--dns", "relay.example.net",
                   "--ip", "192.0.2.1", "--out", "@relay"})
                .code,
            0);
  const auto verified =
      testing_support::run("openssl verify -x509_strict -attime " + std::to_string(now_.seconds) +
                           " -verify_hostname relay.example.net -CAfile " + at("ca/ca-cert.pem") +
                           " " + at("relay/cert.pem"));
  EXPECT_THAT(verified.output, HasSubstr("cert.pem: OK"));
}

TEST_F(Ca, OpensslReadsTheKeys) {
  ZTNA_NEEDS_OPENSSL();
  for (const char* type : {"ecdsa-p256", "ed25519"}) {
    ASSERT_EQ(issue({"--role", "agent", "--name", "alice", "--key-type", type, "--out",
                     "@" + std::string(type)})
                  .code,
              0);
    const std::string key = at(std::string(type) + "/key.pem");
    const std::string certificate = at(std::string(type) + "/cert.pem");
    const auto public_half = testing_support::run("openssl pkey -pubout -in " + key);
    EXPECT_EQ(public_half.status, 0) << public_half.output;
    EXPECT_EQ(public_half.output,
              testing_support::run("openssl x509 -pubkey -noout -in " + certificate).output);
  }
}

TEST_F(Ca, IssueOverwritesNothingAndLeavesNoTrace) {
  ASSERT_EQ(issue_alice().code, 0);
  const std::string before = snapshot();
  const Outcome again = issue_alice();
  EXPECT_EQ(again.code, 2);
  EXPECT_THAT(again.err, HasSubstr("exists already and is not overwritten without --force"));
  EXPECT_EQ(snapshot(), before);
  std::filesystem::remove(folder_ / "alice/key.pem");  // one of three is enough to refuse
  const std::string without_key = snapshot();
  EXPECT_EQ(issue_alice().code, 2);
  EXPECT_EQ(snapshot(), without_key);
}

TEST_F(Ca, IssueWithForceReplaces) {
  ASSERT_EQ(issue_alice().code, 0);
  const std::string key = read("alice/key.pem");
  ASSERT_EQ(issue({"--role", "agent", "--name", "alice", "--out", "@alice", "--force"}).code, 0);
  EXPECT_NE(read("alice/key.pem"), key);
  EXPECT_EQ(mode("alice/key.pem"), 0600U);
  EXPECT_TRUE(load("alice"));
  EXPECT_EQ(list().size(), 2U);
}

TEST_F(Ca, KeysStayPrivateUnderAnOpenUmask) {
  const mode_t before = ::umask(0);
  ASSERT_EQ(issue_alice().code, 0);
  ::umask(before);
  EXPECT_EQ(mode("alice/key.pem"), 0600U);
  EXPECT_EQ(mode("alice/cert.pem"), 0644U);
}

TEST_F(Ca, RequestKeepsTheKeyWhereItIs) {
  const Outcome requested = ztna({"ca", "request", "--trust-domain", "example.org", "--role",
                                  "agent", "--name", "alice", "--out", "@alice"});
  ASSERT_EQ(requested.code, 0) << requested.err;
  EXPECT_EQ(mode("alice/key.pem"), 0600U);
  const std::string key = read("alice/key.pem");
  const Outcome issued = issue(
      {"--role", "agent", "--name", "alice", "--csr", "@alice/request.csr", "--out", "@alice"});
  ASSERT_EQ(issued.code, 0) << issued.err;
  EXPECT_EQ(read("alice/key.pem"), key);
  EXPECT_TRUE(load("alice"));
}

TEST_F(Ca, ARequestForSomebodyElseIsRefused) {
  ASSERT_EQ(ztna({"ca", "request", "--trust-domain", "example.org", "--role", "agent", "--name",
                  "mallory", "--out", "@m"})
                .code,
            0);
  write("ca/.lock", "");  // the one file that a refused command may leave
  const std::string before = snapshot();
  const Outcome issued =
      issue({"--role", "agent", "--name", "alice", "--csr", "@m/request.csr", "--out", "@alice"});
  EXPECT_EQ(issued.code, 2);
  EXPECT_THAT(issued.err, AllOf(HasSubstr("m/request.csr: the signing request asks for"),
                                HasSubstr("spiffe://example.org/agent/mallory")));
  EXPECT_EQ(snapshot(), before);
}

TEST_F(Ca, ListShowsStatus) {
  ASSERT_EQ(issue_alice().code, 0);
  ASSERT_EQ(issue({"--role", "connector", "--name", "home", "--serve", "web,quake", "--days", "1",
                   "--out", "@home"})
                .code,
            0);
  now_.seconds += 86401;
  const nlohmann::json entries = list();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0]["name"], "alice");
  EXPECT_EQ(entries[0]["status"], "valid");
  EXPECT_EQ(entries[1]["status"], "expired");
  EXPECT_EQ(entries[1]["serve"], (std::vector<std::string>{"web", "quake"}));
  EXPECT_EQ(entries[1]["not_after"], "2026-01-02T00:00:00Z");
  EXPECT_THAT(ztna({"ca", "list", "--ca-dir", "@ca"}).out,
              AllOf(StartsWith("STATUS"), HasSubstr("expired  connector  home")));
}

TEST_F(Ca, RenewKeepsTheKey) {
  ASSERT_EQ(issue_alice().code, 0);
  const std::string key = read("alice/key.pem");
  const std::string certificate = read("alice/cert.pem");
  now_.seconds += 80LL * 86400;
  const Outcome renewed = ztna({"ca", "renew", "--ca-dir", "@ca", "--role", "agent", "--name",
                                "alice", "--days", "30", "--out", "@alice"});
  ASSERT_EQ(renewed.code, 0) << renewed.err;
  EXPECT_EQ(read("alice/key.pem"), key);
  EXPECT_NE(read("alice/cert.pem"), certificate);
  const auto loaded = load("alice");
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ((*loaded)->self().not_after.seconds, now_.seconds + 30LL * 86400);
  EXPECT_EQ(list().size(), 2U);
}

TEST_F(Ca, RenewOfAnotherNodeIsRefused) {
  ASSERT_EQ(issue_alice().code, 0);
  const Outcome renewed = ztna(
      {"ca", "renew", "--ca-dir", "@ca", "--role", "agent", "--name", "bob", "--out", "@alice"});
  EXPECT_EQ(renewed.code, 2);
  EXPECT_THAT(renewed.err, HasSubstr("is the certificate of agent alice, expected agent bob"));
}

class Revoke : public Ca {
 protected:
  Outcome revoke_alice() {
    return ztna({"ca", "revoke", "--ca-dir", "@ca", "--role", "agent", "--name", "alice",
                 "--policy", "@policy.toml"});
  }
  policy::Policy policy() {
    auto parsed = policy::Policy::parse(read("policy.toml"), "policy.toml");
    EXPECT_TRUE(parsed) << parsed.error().message();
    return parsed ? *parsed : policy::Policy();
  }
  const std::string rules_ = "# ours\n[[allow]]\nagents = [\"*\"]\nservices = [\"web\"]";
};

TEST_F(Revoke, TakesEffectInThePolicy) {
  ASSERT_EQ(issue_alice().code, 0);
  const identity::Principal alice = (*load("alice"))->self();
  write("policy.toml", rules_);
  ::chmod(at("policy.toml").c_str(), 0640);
  ASSERT_TRUE(policy().may_reach(alice, "web").allowed);
  const Outcome revoked = revoke_alice();
  ASSERT_EQ(revoked.code, 0) << revoked.err;
  EXPECT_FALSE(policy().may_reach(alice, "web").allowed);
  EXPECT_THAT(read("policy.toml"), StartsWith(rules_));
  EXPECT_EQ(mode("policy.toml"), 0640U);
  EXPECT_EQ(list()[0]["status"], "revoked");
  const Outcome renewed = ztna(
      {"ca", "renew", "--ca-dir", "@ca", "--role", "agent", "--name", "alice", "--out", "@alice"});
  EXPECT_EQ(renewed.code, 2);
  EXPECT_THAT(renewed.err, HasSubstr("its key is revoked"));
}

TEST_F(Revoke, CoversEveryKeyOfTheNameAndNoOther) {
  ASSERT_EQ(issue_alice().code, 0);
  ASSERT_EQ(issue({"--role", "agent", "--name", "alice", "--out", "@alice2"}).code, 0);
  ASSERT_EQ(issue({"--role", "agent", "--name", "bob", "--out", "@bob"}).code, 0);
  ASSERT_EQ(issue({"--role", "connector", "--name", "alice", "--serve", "web", "--out", "@c"}).code,
            0);
  write("policy.toml", rules_);
  ASSERT_EQ(revoke_alice().code, 0);
  EXPECT_TRUE(policy().is_revoked((*load("alice"))->self().spki));
  EXPECT_TRUE(policy().is_revoked((*load("alice2"))->self().spki));
  EXPECT_FALSE(policy().is_revoked((*load("bob"))->self().spki));
  EXPECT_FALSE(policy().is_revoked((*load("c"))->self().spki));
  const std::string before = snapshot();
  EXPECT_EQ(revoke_alice().code, 0);  // again: nothing is added twice
  EXPECT_EQ(snapshot(), before);
}

TEST_F(Revoke, BySerial) {
  ASSERT_EQ(issue_alice().code, 0);
  ASSERT_EQ(issue({"--role", "agent", "--name", "alice", "--out", "@alice2"}).code, 0);
  write("policy.toml", "");
  const std::string serial = list()[1]["serial"];
  ASSERT_EQ(
      ztna({"ca", "revoke", "--ca-dir", "@ca", "--serial", serial, "--policy", "@policy.toml"})
          .code,
      0);
  EXPECT_FALSE(policy().is_revoked((*load("alice"))->self().spki));
  EXPECT_TRUE(policy().is_revoked((*load("alice2"))->self().spki));
}

TEST_F(Revoke, FollowsASymbolicLink) {
  ASSERT_EQ(issue_alice().code, 0);
  write("real.toml", "");
  std::filesystem::create_symlink("real.toml", folder_ / "policy.toml");
  ASSERT_EQ(revoke_alice().code, 0);
  EXPECT_TRUE(std::filesystem::is_symlink(folder_ / "policy.toml"));
  EXPECT_THAT(read("real.toml"), HasSubstr("[[revoke]]  # agent alice, 2026-01-01T00:00:00Z"));
}

TEST_F(Revoke, ChangesNothingWhenItCannot) {
  ASSERT_EQ(issue_alice().code, 0);
  const std::string before = snapshot();
  EXPECT_THAT(revoke_alice().err, HasSubstr("policy.toml: cannot be read"));
  EXPECT_EQ(snapshot(), before);
  write("policy.toml", "[[alow]]\n");
  const std::string with_policy = snapshot();
  const Outcome malformed = revoke_alice();
  EXPECT_EQ(malformed.code, 2);
  EXPECT_THAT(malformed.err, HasSubstr("policy.toml:1:3: unknown key \"alow\""));
  const Outcome nobody = ztna({"ca", "revoke", "--ca-dir", "@ca", "--role", "agent", "--name",
                               "bob", "--policy", "@policy.toml"});
  EXPECT_EQ(nobody.code, 2);
  EXPECT_THAT(nobody.err, HasSubstr("no certificate of agent bob was issued"));
  EXPECT_EQ(snapshot(), with_policy);
}

TEST_F(Ca, CommandsAtTheSameTimeLoseNothing) {
  constexpr int workers = 4, each = 8;
  std::vector<std::thread> threads;
  for (int worker = 0; worker < workers; ++worker) {
    threads.emplace_back([this, worker] {
      for (int i = 0; i < each; ++i) {
        const std::string name = "n" + std::to_string(worker) + "-" + std::to_string(i);
        identity::CountingRandom random;
        std::ostringstream out, err;
        Context context{out, err, random, now_};
        EXPECT_EQ(run_command_line({"ca", "issue", "--ca-dir", at("ca"), "--role", "agent",
                                    "--name", name, "--out", at(name)},
                                   context),
                  0)
            << err.str();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(list().size(), static_cast<std::size_t>(workers * each));
}

// A CA that issues for years must not be locked by its own index.
TEST_F(Ca, AnIndexOfTwentyThousandStillWorks) {
  ASSERT_EQ(issue_alice().code, 0);
  const std::string line = read("ca/index.jsonl");
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += line;
  ASSERT_GT(many.size(), std::size_t{2} << 20);
  write("ca/index.jsonl", many);
  const Outcome outcome = issue({"--role", "agent", "--name", "bob", "--out", "@bob"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(read("ca/index.jsonl").find("\"bob\"") != std::string::npos);
}

TEST_F(Ca, ADamagedIndexIsNamed) {
  write("ca/index.jsonl", "{\"serial\":\"1\"}\n");
  const Outcome issued = issue_alice();
  EXPECT_EQ(issued.code, 2);
  EXPECT_THAT(issued.err, HasSubstr("index.jsonl:1: the index is damaged"));
  EXPECT_FALSE(has("alice"));
}

TEST_F(Ca, AFolderThatCannotBeMadeIsNamed) {
  write("file", "");
  const std::string before = snapshot();
  const Outcome issued = issue({"--role", "agent", "--name", "alice", "--out", "@file"});
  EXPECT_EQ(issued.code, 2);
  EXPECT_THAT(issued.err, HasSubstr("file: cannot make this folder"));
  EXPECT_EQ(list().size(), 0U);
}

// Each: arguments, and what the one line must hold.
struct Wrong {
  std::vector<std::string> arguments;
  const char* message;
};

TEST_F(Ca, WrongInputIsOneLineAndChangesNothing) {
  const std::vector<Wrong> table = {
      {{}, "ztna: A subcommand is required"},
      {{"frobnicate"}, "\"frobnicate\" is not known here"},
      {{"ca"}, "ztna ca: A subcommand is required"},
      {{"ca", "issue"}, "--ca-dir is required"},
      {{"ca", "issue", "--ca-dir", "@ca", "--role", "agent", "--name", "Alice", "--out", "@x"},
       "--name: \"Alice\" is not a name"},
      {{"ca", "issue", "--ca-dir", "@ca", "--role", "admin", "--name", "a", "--out", "@x"},
       "--role: admin not in"},
      {{"ca", "issue", "--ca-dir", "@ca", "--role", "agent", "--name", "a", "--days", "0", "--out",
        "@x"},
       "--days: 0 days of validity, expected 1 to"},
      {{"ca", "issue", "--ca-dir", "@ca", "--role", "agent", "--name", "a", "--days", "soon",
        "--out", "@x"},
       "--days"},
      {{"ca", "issue", "--ca-dir", "@ca", "--role", "agent", "--name", "a", "--days", "99999999999",
        "--out", "@x"},
       "--days"},
      {{"ca", "issue", "--ca-dir", "@ca", "--role", "agent", "--name", "a", "--serve", "web",
        "--out", "@x"},
       "--serve: services to serve are for connectors"},
      {{"ca", "issue", "--ca-dir", "@ca", "--role", "connector", "--name", "a", "--out", "@x"},
       "--serve: a connector's certificate names the services"},
      {{"ca", "issue", "--ca-dir", "@ca", "--role", "intermediate", "--name", "a", "--ip", "1.2",
        "--out", "@x"},
       "--ip: \"1.2\" is not an IP address"},
      {{"ca", "issue", "--ca-dir", "@nowhere", "--role", "agent", "--name", "a", "--out", "@x"},
       "nowhere/ca-cert.pem: cannot be read, expected a folder made by ztna ca init"},
      {{"ca", "issue", "--ca-dir", "@ca", "--role", "agent", "--name", "a", "--csr", "@no.csr",
        "--out", "@x"},
       "no.csr: cannot be read"},
      {{"ca", "init", "--trust-domain", "Example", "--out", "@x"},
       "--trust-domain: \"Example\" is not a trust domain"},
      {{"ca", "request", "--trust-domain", "example.org", "--role", "agent", "--name", "A", "--out",
        "@x"},
       "malformed name"},
      {{"ca", "revoke", "--ca-dir", "@ca", "--policy", "@p"}, "either --role and --name, or"},
      {{"ca", "revoke", "--ca-dir", "@ca", "--policy", "@p", "--name", "a"},
       "--name requires --role"},
      {{"ca", "revoke", "--ca-dir", "@ca", "--policy", "@p", "--serial", "1", "--name", "a",
        "--role", "agent"},
       "excludes"},
      {{"ca", "list", "--ca-dir", "@x"}, "x/index.jsonl: cannot be read"},
      {{"ca", "list", "--ca-dir", "@ca", "--jsn"}, "\"--jsn\" is not known here"},
  };
  write("ca/.lock", "");  // the one file that a refused command may leave
  const std::string before = snapshot();
  for (const Wrong& wrong : table) {
    const Outcome outcome = ztna(wrong.arguments);
    EXPECT_EQ(outcome.code, 2) << wrong.message;
    EXPECT_THAT(outcome.err, HasSubstr(wrong.message));
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.out, testing::IsEmpty());
  }
  EXPECT_EQ(snapshot(), before);
}

TEST_F(Ca, EveryHelpTeachesWithAnExample) {
  for (const char* command : {"init", "request", "issue", "list", "renew", "revoke"}) {
    const Outcome help = ztna({"ca", command, "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_THAT(help.out, HasSubstr("Example:\n  ztna ca " + std::string(command)));
  }
  EXPECT_THAT(ztna({"--version"}).out, StartsWith("ztna "));
}

}  // namespace
}  // namespace ztna::tool
