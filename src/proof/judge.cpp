#include "proof/judge.hpp"

#include <algorithm>
#include <map>

#include "proof/statement.hpp"

namespace ztna::proof {
namespace {

using identity::Role;

// The three statements of one step, signatures checked.
struct Seen {
  Statement agent, connector, intermediate;
};
using Steps = std::map<Step, Seen>;

// A proof takes half a minute; statements from farther apart tell of different things.
constexpr std::int64_t longest_ms = 10 * 60 * 1000;
// Fewer packets prove little: the session's own acknowledgements come to a few.
constexpr std::uint64_t least_packets = 10;

std::int64_t to_ms(base::WallTime at) { return at.seconds * 1000 + at.milliseconds; }

tl::unexpected<base::Error> refuse(Step step, const std::string& node, const std::string& what) {
  return base::fail(base::ErrorCode::unauthenticated, what,
                    "statement of " + (node.empty() ? "a node" : node) + " at step " +
                        std::string(to_string(step)));
}

// --- are these statements of the three, about the one session?

base::Result<Statement> open_one(const identity::SignedText& text, Role role,
                                 const std::string& nonce, Step step, const Report& report,
                                 const identity::Roots* roots) {
  auto statement = open(text);
  if (!statement) return refuse(step, {}, statement.error().message());
  const std::string& node = statement->node;
  if (statement->role != role) {
    return refuse(step, node, "it is not by the " + std::string(identity::to_string(role)));
  }
  if (statement->nonce != nonce) return refuse(step, node, "it answers another question");
  if (roots == nullptr) return statement;
  const auto signer = roots->identify(text.certificate, statement->at);
  if (!signer) return refuse(step, node, signer.error().message());
  if (signer->uri() != node || signer->role != role) {
    return refuse(step, node, "it is signed by " + signer->uri());
  }
  if (role == Role::connector && !signer->may_serve(report.service)) {
    return refuse(step, node, "its certificate does not name the service " + report.service);
  }
  return statement;
}

bool same_session(const Statement& a, const Statement& b) {
  return a.session == b.session && a.agent == b.agent && a.connector == b.connector;
}

base::Result<Seen> open_all(const Snapshot& snapshot, const Report& report,
                            const identity::Roots* roots) {
  const Step step = snapshot.step;
  const std::string first = first_nonce(report.nonce, report.packets, step);
  const bool relay_first = intermediate_first(step);
  const std::string of_ends =
      relay_first ? second_nonce(first, {snapshot.intermediate.signature}) : first;
  const std::string of_relay =
      relay_first ? first
                  : second_nonce(first, {snapshot.agent.signature, snapshot.connector.signature});
  auto agent = open_one(snapshot.agent, Role::agent, of_ends, step, report, roots);
  if (!agent) return tl::unexpected(agent.error());
  auto connector = open_one(snapshot.connector, Role::connector, of_ends, step, report, roots);
  if (!connector) return tl::unexpected(connector.error());
  auto relay = open_one(snapshot.intermediate, Role::intermediate, of_relay, step, report, roots);
  if (!relay) return tl::unexpected(relay.error());
  if (!same_session(*agent, *connector) || !same_session(*agent, *relay)) {
    return refuse(step, agent->node, "the three speak of different sessions");
  }
  if (agent->node != agent->agent || connector->node != connector->connector) {
    return refuse(step, agent->node, "an end speaks of a session that is not its own");
  }
  if (agent->end->binding.empty() || agent->end->binding != connector->end->binding) {
    return refuse(step, agent->node, "the two ends do not share the keys of one session");
  }
  return Seen{std::move(*agent), std::move(*connector), std::move(*relay)};
}

// Later statements of a node are later, and its counters have not gone back.
bool follows(const Statement& before, const Statement& after) {
  if (to_ms(after.at) < to_ms(before.at) || before.node != after.node) return false;
  if (before.relay) {
    return after.relay->packets >= before.relay->packets &&
           after.relay->checks >= before.relay->checks &&
           after.relay->dropped >= before.relay->dropped;
  }
  const EndCounts& a = before.end->counts;
  const EndCounts& b = after.end->counts;
  return b.direct_sent >= a.direct_sent && b.direct_received >= a.direct_received &&
         b.relay_sent >= a.relay_sent && b.relay_received >= a.relay_received;
}

base::Result<Steps> open_steps(const Report& report, const identity::Roots* roots) {
  Steps steps;
  const Seen* before = nullptr;
  for (const Snapshot& snapshot : report.snapshots) {
    auto seen = open_all(snapshot, report, roots);
    if (!seen) return tl::unexpected(seen.error());
    const bool in_order = steps.empty() || steps.rbegin()->first < snapshot.step;
    const bool fits = before == nullptr || (same_session(before->agent, seen->agent) &&
                                            follows(before->agent, seen->agent) &&
                                            follows(before->connector, seen->connector) &&
                                            follows(before->intermediate, seen->intermediate));
    if (!in_order || !fits) {
      return refuse(snapshot.step, seen->agent.node, "it does not follow the one before");
    }
    before = &(steps[snapshot.step] = std::move(*seen));
  }
  if (steps.empty()) {
    return base::fail(base::ErrorCode::invalid_argument, "the report holds no statements");
  }
  const auto& first = steps.begin()->second.agent;
  const auto& last = steps.rbegin()->second.agent;
  if (to_ms(last.at) - to_ms(first.at) > longest_ms) {
    return base::fail(base::ErrorCode::invalid_argument,
                      "the statements lie more than ten minutes apart");
  }
  return steps;
}

// --- what they show

// How far the counters moved between two steps.
struct Moved {
  EndCounts agent, connector;
  std::uint64_t relayed = 0, checks = 0;
};

EndCounts difference(const EndCounts& a, const EndCounts& b) {
  return {b.direct_sent - a.direct_sent, b.direct_received - a.direct_received,
          b.relay_sent - a.relay_sent, b.relay_received - a.relay_received,
          b.direct_dropped - a.direct_dropped};
}

Moved moved(const Seen& a, const Seen& b) {
  return {difference(a.agent.end->counts, b.agent.end->counts),
          difference(a.connector.end->counts, b.connector.end->counts),
          b.intermediate.relay->packets - a.intermediate.relay->packets,
          b.intermediate.relay->checks - a.intermediate.relay->checks};
}

bool both_on(const Seen& seen, std::string_view path) {
  return seen.agent.end->path == path && seen.connector.end->path == path;
}

bool all_direct(const Moved& m, std::uint64_t packets) {
  return m.agent.direct_sent >= packets && m.agent.direct_received >= packets &&
         m.connector.direct_sent >= packets && m.connector.direct_received >= packets &&
         m.relayed == 0;
}

bool all_relayed(const Moved& m, std::uint64_t packets) {
  return m.agent.relay_sent >= packets && m.agent.relay_received >= packets &&
         m.connector.relay_sent >= packets && m.connector.relay_received >= packets &&
         m.agent.direct_sent == 0 && m.connector.direct_sent == 0 && m.agent.direct_received == 0 &&
         m.connector.direct_received == 0 && m.relayed >= 2 * packets;
}

std::string name_of(const std::string& uri) { return uri.substr(uri.rfind('/') + 1); }

std::string sent_and_received(std::uint64_t sent, std::uint64_t received) {
  return "sent " + std::to_string(sent) + " and received " + std::to_string(received);
}

std::string describe(const Seen& seen, const Moved& m, std::uint64_t wanted) {
  return "directly, " + std::to_string(wanted) + " wanted: " + name_of(seen.agent.node) + " " +
         sent_and_received(m.agent.direct_sent, m.agent.direct_received) + " packets, " +
         name_of(seen.connector.node) + " " +
         sent_and_received(m.connector.direct_sent, m.connector.direct_received) + "; " +
         name_of(seen.intermediate.node) + " relayed " + std::to_string(m.relayed) + " and " +
         std::to_string(m.checks) + " checks";
}

std::string describe_relayed(const Seen& seen, const Moved& m, std::uint64_t wanted) {
  return "by the relay, " + std::to_string(wanted) + " wanted: " + name_of(seen.agent.node) + " " +
         sent_and_received(m.agent.relay_sent, m.agent.relay_received) + " packets, " +
         name_of(seen.connector.node) + " " +
         sent_and_received(m.connector.relay_sent, m.connector.relay_received) + "; directly " +
         std::to_string(m.agent.direct_sent + m.connector.direct_sent) + "; " +
         name_of(seen.intermediate.node) + " relayed " + std::to_string(m.relayed);
}

std::string describe_paths(const Seen& seen) {
  const auto one = [](const Statement& s) {
    return name_of(s.node) + " sends " + s.end->path + " to " + s.end->peer;
  };
  return one(seen.agent) + ", " + one(seen.connector);
}

std::string missing(const Report& report) {
  std::string text = "not carried out";
  if (!report.failures.empty()) text += ": " + report.failures.back();
  return text;
}

Test test_selected(const Report& report, const Steps& steps) {
  Test test{1, "DIRECT is selected at both ends", false, missing(report)};
  const auto start = steps.find(Step::start);
  if (start == steps.end()) return test;
  test.passed = both_on(start->second, "DIRECT");
  test.evidence = describe_paths(start->second);
  return test;
}

Test test_traffic(const Report& report, const Steps& steps) {
  Test test{2, "packets go directly, and none by the relay", false, missing(report)};
  const auto a = steps.find(Step::start), b = steps.find(Step::after_traffic);
  if (a == steps.end() || b == steps.end()) return test;
  const Moved m = moved(a->second, b->second);
  test.passed = report.packets >= least_packets && all_direct(m, report.packets);
  test.evidence = describe(b->second, m, report.packets);
  return test;
}

Test test_without_relay(const Report& report, const Steps& steps) {
  Test test{3, "with the relay suspended, traffic goes on", false, missing(report)};
  const auto a = steps.find(Step::relay_suspended), b = steps.find(Step::after_relay_suspended);
  if (a == steps.end() || b == steps.end()) return test;
  const bool suspended =
      a->second.intermediate.relay->suspended && b->second.intermediate.relay->suspended;
  const Moved m = moved(a->second, b->second);
  test.passed = suspended && report.packets >= least_packets && both_on(b->second, "DIRECT") &&
                all_direct(m, report.packets);
  test.evidence = suspended ? describe(b->second, m, report.packets)
                            : "the relay was not suspended all the while";
  return test;
}

Test test_fallback(const Report& report, const Steps& steps) {
  Test test{4, "without direct packets it falls back to the relay, and returns", false,
            missing(report)};
  const auto a = steps.find(Step::direct_suspended), b = steps.find(Step::after_direct_suspended),
             c = steps.find(Step::returned);
  if (a == steps.end() || b == steps.end()) return test;
  const auto suspended = [](const Seen& seen) {
    return seen.agent.end->direct_suspended && seen.connector.end->direct_suspended &&
           both_on(seen, "RELAY");
  };
  if (!suspended(a->second) || !suspended(b->second)) {
    test.evidence = "the direct path was not suspended all the while";
    return test;
  }
  const Moved m = moved(a->second, b->second);
  const bool relayed = report.packets >= least_packets && all_relayed(m, report.packets);
  const bool back = c != steps.end() && both_on(c->second, "DIRECT");
  test.passed = relayed && back;
  test.evidence = describe_relayed(b->second, m, report.packets);
  test.evidence += back ? "; then " + describe_paths(c->second) : "; it did not return";
  return test;
}

}  // namespace

bool Verdict::proven() const {
  return !tests.empty() && std::ranges::all_of(tests, [](const Test& test) { return test.passed; });
}

base::Result<Verdict> judge(const Report& report, const identity::Roots* roots) {
  const auto steps = open_steps(report, roots);
  if (!steps) return tl::unexpected(steps.error());
  const Seen& first = steps->begin()->second;
  Verdict verdict;
  verdict.agent = first.agent.node;
  verdict.connector = first.connector.node;
  verdict.intermediate = first.intermediate.node;
  verdict.from = first.agent.at;
  verdict.to = steps->rbegin()->second.agent.at;
  verdict.tests = {test_selected(report, *steps), test_traffic(report, *steps),
                   test_without_relay(report, *steps), test_fallback(report, *steps)};
  return verdict;
}

const std::vector<std::string>& cannot_exclude() {
  static const std::vector<std::string> sentences = {
      // NOLINTNEXTLINE(bugprone-suspicious-missing-comma): a sentence of two lines
      "That packets went directly is the word of both ends, that none were relayed is the "
      "Intermediate's: a proof is worth as much as the keys of the three.",
      "The address of a direct path may belong to a forwarder of somebody's: which cables lie "
      "behind it, no end can see.",
      "Received packets are counted by the address they came from, before they are decrypted.",
      "Whether a certificate was valid is judged at the time that its holder states, and whether "
      "it "
      "has been revoked is not known here.",
      "Checks (STUN) pass a suspended relay, 4 KiB a second: two ends that conspire could hide "
      "octets "
      "in them.",
      "It tells of these seconds, and of this session alone.",
  };
  return sentences;
}

}  // namespace ztna::proof
