// A report that three honest nodes signed, and everything that must not pass for one.
#include "proof/judge.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "proof/statement.hpp"
#include "unit/identity/test_certificates.hpp"

namespace ztna::proof {
namespace {

using identity::Roots;
using identity::TestAuthority;
using testing::HasSubstr;

constexpr std::uint64_t packets = 20;

// What the three say at one step.
struct Views {
  EndView agent, connector;
  RelayView relay;
};

class Judge : public testing::Test {
 protected:
  using CredentialsPtr = std::shared_ptr<const identity::Credentials>;

  // Counters as a session has them that did what it should, `packets` questions a time.
  static std::vector<Views> honest() {
    Views v;
    v.agent = {"DIRECT", "198.51.100.7:4434", "abcd", false, {30, 30, 9, 9, 0}};
    v.connector = {"DIRECT", "203.0.113.9:40000", "abcd", false, {30, 30, 9, 9, 0}};
    v.relay = {18, 5, 0, false};
    std::vector<Views> all{v};
    const auto more_direct = [&] {
      for (EndView* end : {&v.agent, &v.connector}) {
        end->counts.direct_sent += packets;
        end->counts.direct_received += packets;
      }
    };
    more_direct();
    all.push_back(v);
    v.relay.suspended = true;
    all.push_back(v);
    more_direct();
    all.push_back(v);
    v.relay.suspended = false;
    for (EndView* end : {&v.agent, &v.connector}) {
      end->direct_suspended = true;
      end->path = "RELAY";
      end->counts.direct_dropped += 7;
    }
    all.push_back(v);
    for (EndView* end : {&v.agent, &v.connector}) {
      end->counts.relay_sent += packets;
      end->counts.relay_received += packets;
    }
    v.relay.packets += 2 * packets;
    all.push_back(v);
    for (EndView* end : {&v.agent, &v.connector}) {
      end->direct_suspended = false;
      end->path = "DIRECT";
    }
    all.push_back(v);
    return all;
  }

  Statement statement(const identity::Credentials& signer, std::size_t step) const {
    Statement s;
    s.role = signer.self().role;
    s.node = signer.self().uri();
    s.nonce = "n";
    s.at = {identity::test_now.seconds + static_cast<std::int64_t>(step), 0};
    s.session = "5e55";
    s.agent = alice->self().uri();
    s.connector = home->self().uri();
    return s;
  }

  Report report(const std::vector<Views>& views) {
    Report report;
    report.service = "web";
    report.nonce = "n";
    report.packets = asked;
    for (std::size_t step = 0; step < views.size(); ++step) {
      Statement a = statement(*alice, step), c = statement(*home, step),
                i = statement(*relay, step);
      a.end = views[step].agent;
      c.end = views[step].connector;
      i.relay = views[step].relay;
      // In the order in which they are asked: see report.hpp.
      const Step name = all_steps.at(step);
      a.nonce = c.nonce = i.nonce = first_nonce(report.nonce, report.packets, name);
      Snapshot snapshot{name, {}, {}, {}};
      if (intermediate_first(name)) {
        if (edit) edit(step, a, c, i);
        snapshot.intermediate = sign(i, *relay_signs).value();
        const auto second = second_nonce(a.nonce, {snapshot.intermediate.signature});
        a.nonce = second;
        if (c.nonce == i.nonce) c.nonce = second;
        snapshot.agent = sign(a, *alice).value();
        snapshot.connector = sign(c, *home).value();
      } else {
        if (edit) edit(step, a, c, i);
        snapshot.agent = sign(a, *alice).value();
        snapshot.connector = sign(c, *home).value();
        i.nonce = second_nonce(i.nonce, {snapshot.agent.signature, snapshot.connector.signature});
        snapshot.intermediate = sign(i, *relay_signs).value();
      }
      report.snapshots.push_back(std::move(snapshot));
    }
    return report;
  }

  base::Result<Verdict> verdict(const Report& of) { return judge(of, &roots); }
  // Which tests passed: "1 34".
  std::string passed(const std::vector<Views>& views) {
    const auto found = verdict(report(views));
    if (!found) return found.error().message();
    std::string text;
    for (const proof::Test& test : found->tests)
      text += test.passed ? std::to_string(test.number) : " ";
    return text;
  }

  TestAuthority authority;
  CredentialsPtr alice = authority.agent("alice");
  CredentialsPtr home = authority.connector("home", {"web"});
  CredentialsPtr relay = authority.intermediate("relay");
  CredentialsPtr relay_signs = relay;  // who signs for it
  Roots roots = identity::value_or_throw(Roots::load(authority.roots(), "ca-cert.pem"));
  // Changes statements before they are signed.
  std::function<void(std::size_t, Statement&, Statement&, Statement&)> edit;
  std::uint64_t asked = packets;  // of reports that are made from here on
};

TEST_F(Judge, AnHonestReportPassesAndSurvivesItsFile) {
  const Report good = report(honest());
  const auto found = verdict(good);
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_TRUE(found->proven());
  EXPECT_EQ(found->agent, "spiffe://example.org/agent/alice");
  EXPECT_EQ(found->intermediate, "spiffe://example.org/intermediate/relay");
  const auto read = parse_report(to_json(good, "{}"));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_TRUE(verdict(*read)->proven());
  EXPECT_TRUE(judge(*read, nullptr)->proven());
}

TEST_F(Judge, EachTestFailsByItself) {
  ASSERT_EQ(passed(honest()), "1234");
  auto v = honest();
  v[0].connector.path = "RELAY";
  EXPECT_EQ(passed(v), " 234") << "one end alone is direct";
  v = honest();
  for (std::size_t step = 1; step < v.size(); ++step) ++v[step].relay.packets;
  EXPECT_EQ(passed(v), "1 34") << "one packet of the session was relayed";
  v = honest();
  for (std::size_t step = 1; step < v.size(); ++step) --v[step].connector.counts.direct_received;
  EXPECT_EQ(passed(v), "1 34") << "one packet too few arrived";
  v = honest();
  v[3].relay.suspended = false;
  EXPECT_EQ(passed(v), "12 4") << "the relay's suspension ended too soon";
  v = honest();
  for (std::size_t step = 3; step < v.size(); ++step) ++v[step].relay.packets;
  EXPECT_EQ(passed(v), "12 4") << "a packet was relayed all the same";
  v = honest();
  v[5].agent.direct_suspended = false;
  EXPECT_EQ(passed(v), "123 ") << "the direct path's suspension ended too soon";
  v = honest();
  for (std::size_t step = 5; step < v.size(); ++step) ++v[step].agent.counts.direct_sent;
  EXPECT_EQ(passed(v), "123 ") << "a packet went directly all the same";
  v = honest();
  for (std::size_t step = 5; step < v.size(); ++step) --v[step].relay.packets;
  EXPECT_EQ(passed(v), "123 ") << "the Intermediate has not seen what the ends sent";
  v = honest();
  v[6].agent.path = "RELAY";
  EXPECT_EQ(passed(v), "123 ") << "it did not return";
}

TEST_F(Judge, StepsThatAreMissingProveNothing) {
  auto v = honest();
  v.resize(2);
  EXPECT_EQ(passed(v), "12  ");
  asked = 9;
  Report few = report(honest());
  const auto judged = verdict(few);
  ASSERT_TRUE(judged);
  EXPECT_FALSE(judged->tests.at(1).passed) << "a session's own packets come to as many";
  few.snapshots.clear();
  EXPECT_FALSE(verdict(few));
}

TEST_F(Judge, StatementsMustBeOfThisProof) {
  const auto refused = [&](const std::string& why) {
    const auto found = verdict(report(honest()));
    ASSERT_FALSE(found) << "passed, though " << why;
    EXPECT_THAT(found.error().message(), HasSubstr(why));
  };
  edit = [](std::size_t step, Statement&, Statement& c, Statement&) {
    if (step == 3) c.nonce = "m";
  };
  refused("another question");
  edit = [](std::size_t step, Statement&, Statement&, Statement& i) {
    if (step == 1) i.session = "other";
  };
  refused("different sessions");
  edit = [](std::size_t, Statement&, Statement& c, Statement&) { c.end->binding = "ef01"; };
  refused("do not share the keys");
  edit = [](std::size_t, Statement& a, Statement& c, Statement&) {
    a.end->binding = c.end->binding = "";
  };
  refused("do not share the keys");
  edit = [](std::size_t step, Statement& a, Statement&, Statement&) {
    if (step == 2) a.at.seconds -= 3;
  };
  refused("does not follow");
  edit = [](std::size_t step, Statement&, Statement&, Statement& i) {
    if (step == 6) i.relay->packets = 0;
  };
  refused("does not follow");
  edit = [](std::size_t step, Statement& a, Statement& c, Statement& i) {
    if (step == 6) a.at.seconds += 3600, c.at.seconds += 3600, i.at.seconds += 3600;
  };
  refused("ten minutes");
  edit = [](std::size_t, Statement& a, Statement& c, Statement& i) {
    a.agent = c.agent = i.agent = "spiffe://example.org/agent/bob";
  };
  refused("not its own");
}

TEST_F(Judge, SignersMustBeWhoTheySayAndOfThisCa) {
  TestAuthority stranger;
  const auto stands_in = stranger.intermediate("relay");
  relay_signs = stands_in;
  Report forged = report(honest());
  EXPECT_THAT(verdict(forged).error().message(), HasSubstr("not issued by a CA"));
  EXPECT_TRUE(judge(forged, nullptr)) << "without roots that stays open";
  // Right CA, but a certificate of another role: an Agent speaks for the Intermediate, and says so.
  relay_signs = alice;
  edit = [&](std::size_t, Statement&, Statement&, Statement& i) { i.node = alice->self().uri(); };
  EXPECT_THAT(verdict(report(honest())).error().message(), HasSubstr("signed by"));
  relay_signs = relay;
  // Right CA, wrong name.
  edit = [](std::size_t, Statement&, Statement&, Statement& i) {
    i.node = "spiffe://example.org/intermediate/other";
  };
  EXPECT_THAT(verdict(report(honest())).error().message(), HasSubstr("signed by"));
  edit = nullptr;
  // A Connector that may not serve what is spoken of.
  Report other = report(honest());
  other.service = "payroll";
  EXPECT_THAT(verdict(other).error().message(), HasSubstr("does not name the service payroll"));
  // An end in the other's place.
  Report swapped = report(honest());
  std::swap(swapped.snapshots.at(0).agent, swapped.snapshots.at(0).connector);
  EXPECT_FALSE(verdict(swapped));
  // A statement of one step shown as another's.
  Report repeated = report(honest());
  repeated.snapshots.at(1).step = Step::start;
  EXPECT_FALSE(verdict(repeated));
}

// A report that asks for less than was agreed on is another report.
TEST_F(Judge, TheNumberOfPacketsIsSigned) {
  Report fewer = report(honest());
  fewer.packets = 10;
  const auto found = verdict(fewer);
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message(), HasSubstr("another question"));
}

// What somebody said at one step is not what he said at another, however often it is shown; and the
// Intermediate's count encloses the ends': it cannot be asked for both of its statements at once.
TEST_F(Judge, NoStatementCountsTwice) {
  const Report good = report(honest());
  for (const auto part : {&Snapshot::agent, &Snapshot::connector, &Snapshot::intermediate}) {
    for (std::size_t step = 1; step < good.snapshots.size(); ++step) {
      Report twice = good;
      twice.snapshots.at(step).*part = good.snapshots.at(step - 1).*part;
      EXPECT_FALSE(verdict(twice)) << step;
    }
  }
  // The Intermediate's second statement, asked for before the ends had made theirs.
  Report early = good;
  Statement i = open(good.snapshots.at(1).intermediate).value();
  i.nonce = second_nonce(first_nonce("n", packets, Step::after_traffic), {{1, 2}, {3, 4}});
  early.snapshots.at(1).intermediate = sign(i, *relay).value();
  EXPECT_FALSE(verdict(early));
  EXPECT_LE(second_nonce(first_nonce(std::string(16, 'f'), 999'999'999, Step::returned),
                         {base::Bytes(71, 1), base::Bytes(71, 1)})
                .size(),
            64u)
      << "a nonce that nobody takes";
}

TEST_F(Judge, FilesThatAreNoReportsAreRefused) {
  const std::string good = to_json(report(honest()), "null");
  for (const std::string& bad : {std::string(), std::string("{}"), good.substr(0, good.size() / 2),
                                 std::string(R"({"format":"ztna-proof/1"})"),
                                 std::string(R"({"format":"ztna-proof/2","snapshots":[]})")}) {
    EXPECT_FALSE(parse_report(bad)) << bad;
  }
  std::string octets = good;
  octets.replace(octets.find("\"signature\": \"") + 14, 2, "zz");
  EXPECT_FALSE(parse_report(octets));
}

}  // namespace
}  // namespace ztna::proof
