#include "tool/validate_judge.hpp"

#include <algorithm>
#include <utility>

#include "nat/behaviour.hpp"
#include "tool/status_format.hpp"
#include "tool/status_json.hpp"

namespace ztna::tool {
namespace {

// The limit of a game that is still playable, and of a relay in the same region.
constexpr double ping_limit_ms = 150;

struct Judged {
  Standing standing = Standing::open;
  std::string evidence;
  std::string todo;
};
Judged met(std::string evidence) { return {Standing::met, std::move(evidence), {}}; }
Judged not_met(std::string evidence, std::string todo) {
  return {Standing::not_met, std::move(evidence), std::move(todo)};
}
Judged open(std::string evidence, std::string todo) {
  return {Standing::open, std::move(evidence), std::move(todo)};
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

std::string name_of(const std::string& spiffe_uri) {
  return spiffe_uri.substr(spiffe_uri.rfind('/') + 1);
}

// What the Internet does not route: RFC 1918, 6598, 4193 and 2544, and what never leaves a link.
bool is_private(const base::Address& address) {
  if (address.is_loopback() || address.is_link_local() || nat::is_shared_address(address)) {
    return true;
  }
  const auto octets = address.octets();
  if (!address.is_v4()) return (octets[0] & 0xfeU) == 0xfcU;
  return octets[0] == 10 || (octets[0] == 172 && (octets[1] & 0xf0U) == 16) ||
         (octets[0] == 192 && octets[1] == 168) || (octets[0] == 198 && (octets[1] & 0xfeU) == 18);
}

class Judge {
 public:
  explicit Judge(const ValidateFacts& facts) : facts_(facts) {
    if (facts.status) {
      if (auto parsed = parse_status(*facts.status)) status_ = std::move(*parsed);
    }
    for (const Json& uplink : list(status_, "uplinks")) {
      if (text(uplink, "state") == "up" && uplink_.is_null()) uplink_ = uplink;
    }
    for (const Json& service : list(status_, "services")) {
      if (text(service, "name") != facts.service) continue;
      for (const Json& instance : list(service, "instances")) {
        connectors_.push_back(text(instance, "connector"));
        if (flag(instance, "healthy")) connector_ = name_of(connectors_.back());
      }
    }
  }

  std::vector<Criterion> all() {
    part_ = "Relay";
    add("This machine is configured right (ztna doctor)", configured());
    add("Intermediate runs, with a public IP", intermediate());
    add("App Connector is connected to the Intermediate", connector());
    add("Agent, behind a NAT, connects to the Intermediate", agent());
    add("QAD returns the Agent's right public IP", address_discovery());
    add("DATAGRAM relay works: Agent, Intermediate, Connector", relay());
    add("HTTP app is reached through the tunnel", http());
    add("Round trip over the relay is below 150 ms", relay_latency());
    part_ = "Hole punching";
    add("This machine's NAT is classified", classified());
    add("Connector runs behind a NAT", connectors_nat());
    add("Both are connected to the Intermediate", both());
    add("Candidates are exchanged, and a direct path found", candidates());
    add("PROOF: path selected is DIRECT, at both ends", proven(1));
    add("PROOF: packets go to the peer, none over the Intermediate", proven(2));
    add("PROOF: with the relay suspended, traffic goes on", proven(3));
    add("PROOF: with direct UDP blocked, the relay takes over", proven(4));
    part_ = "Game";
    add("Game server is reached through the Connector", game());
    add("Browser client connects by WebSocket", browser());
    add("Ping is below 150 ms", ping());
    add("No visible lag: jitter and loss are acceptable or better", no_lag());
    return std::move(criteria_);
  }

 private:
  void add(std::string text, Judged judged) {
    criteria_.push_back({part_, std::move(text), judged.standing, std::move(judged.evidence),
                         std::move(judged.todo)});
  }

  [[nodiscard]] Judged no_agent() const {
    return not_met("no Agent answers on this machine", "start ztna-agent; `ztna doctor` helps");
  }

  [[nodiscard]] Judged configured() const {
    std::size_t warnings = 0;
    for (const Finding& finding : facts_.doctor) {
      if (finding.verdict == Verdict::problem) {
        return not_met(finding.check + ": " + finding.text, finding.todo);
      }
      if (finding.verdict == Verdict::warning) ++warnings;
    }
    return met(warnings == 0
                   ? "no problems, no warnings"
                   : "no problems; `ztna doctor` has warnings: " + std::to_string(warnings));
  }

  [[nodiscard]] Judged intermediate() const {
    const NetcheckFamily* const family = answering();
    if (family == nullptr) {
      if (!facts_.network) {
        return not_met("no Intermediate is named",
                       "--env FILE with INTERMEDIATE_HOST, or a running Agent, names one");
      }
      return not_met("no Intermediate answers by UDP",
                     "let UDP 4433 in where it runs, and out here; `ztna netcheck` tells more");
    }
    const base::Address& server = *family->report.primary;
    if (!is_private(server)) return met(server.to_string() + " answers by UDP");
    return open(
        server.to_string() + " answers by UDP, but the Internet does not route that address",
        "on the Internet it must be a public one");
  }

  [[nodiscard]] Judged connector() const {
    if (status_.is_null()) return no_agent();
    if (connector_.empty()) {
      return not_met("no healthy Connector offers " + facts_.service + " to this Agent",
                     "look at `ztna status` beside the Connector: is it connected, and its backend "
                     "up? And does the policy have both in [[serve]] and [[allow]] blocks?");
    }
    return met("connector " + connector_ + " offers " + facts_.service);
  }

  [[nodiscard]] Judged agent() const {
    if (status_.is_null()) return no_agent();
    if (uplink_.is_null()) {
      return not_met("its uplink is not up: " + last_error(), "`ztna doctor` says what to do");
    }
    const std::string up = "uplink to " + text(uplink_, "intermediate") + " is up";
    const NetcheckFamily* const family = answering();
    if (family == nullptr) return met(up);
    const auto kind = nat::classify(family->report.seen);
    if (kind.mapping != nat::Dependence::none) return met(up + ", from behind a NAT");
    return open(up + ", but there is no NAT between", "run the Agent in a home or mobile network");
  }

  [[nodiscard]] std::string last_error() const {
    for (const Json& uplink : list(status_, "uplinks")) {
      const std::string error = text(uplink, "last_error", "");
      if (!error.empty()) return error;
    }
    return "no reason is known yet";
  }

  // What the uplink learnt, against what STUN from another socket said.
  [[nodiscard]] Judged address_discovery() const {
    const std::string observed = text(uplink_, "observed_address", "");
    const auto address = base::Address::parse(observed);
    if (!address) return not_met("the Agent has learnt no address", "is its uplink up?");
    for (const NetcheckFamily* family : families()) {
      if (address->is_v4() != (family->family == base::Family::v4)) continue;
      for (const nat::MappingSeen& seen : family->report.seen.mappings) {
        if (seen.mapped.ip() == address->ip()) {
          return met(observed + " by QAD, and by STUN the same IP");
        }
      }
      if (family->report.udp()) {
        return not_met(
            observed + " by QAD, but by STUN " + family->report.seen.mappings.front().mapped.ip(),
            "look for a NAT with several public addresses");
      }
    }
    return open(observed + " by QAD", "nothing else here says which it is");
  }

  [[nodiscard]] Judged relay() const {
    const auto& answers = facts_.round_trips.relay;
    if (!answers.empty()) {
      return met(std::to_string(answers.size()) + " questions answered by way of the relay");
    }
    if (status_.is_null()) return no_agent();
    if (!facts_.round_trips.direct.empty()) {
      return open("every answer came directly",
                  "a [[prove]] block in the policy lets the Agent suspend the direct path");
    }
    return not_met("nothing was answered: " + proof_trouble(),
                   "`ztna ping " + facts_.service + "` shows the way of one");
  }

  [[nodiscard]] Judged http() const {
    const ReachedFacts& http = facts_.http;
    if (status_.is_null()) return no_agent();
    if (!http.local) {
      return open(
          "this Agent has no local address for " + facts_.service,
          "start it with --forward tcp://127.0.0.1:8080=" + facts_.service + " or --auto-forward");
    }
    const std::string asked = "GET http://" + http.local->to_string() + "/";
    if (http.error) {
      return not_met(asked + ": " + http.error->message(),
                     "`ztna status` has the flow's end; does the service run, and speak HTTP?");
    }
    if (http.http_status >= 500) {
      return not_met(asked + " answered " + std::to_string(http.http_status),
                     "the tunnel works; look at the service, or at what answers in its place");
    }
    return met(asked + " answered " + std::to_string(http.http_status) + ", " +
               format_count(http.octets) + " octets, in " + format_ms(http.ms));
  }

  [[nodiscard]] Judged relay_latency() const {
    if (facts_.round_trips.relay.empty()) {
      return open("nothing went over the relay", "see the line on the DATAGRAM relay");
    }
    const double ms = median(facts_.round_trips.relay);
    const std::string evidence = "median " + format_ms(ms);
    if (ms < ping_limit_ms) return met(evidence);
    return not_met(evidence, "run the Intermediate nearer to both");
  }

  [[nodiscard]] Judged classified() const {
    const NetcheckFamily* const family = answering();
    if (family == nullptr) return not_met("UDP gets no answer here", "`ztna netcheck` tells more");
    const auto kind = nat::classify(family->report.seen);
    const std::string evidence = nat::common_name(kind) + " (mapping " +
                                 std::string(to_string(kind.mapping)) + ", filtering " +
                                 std::string(to_string(kind.filtering)) + ")";
    return met(evidence);
  }

  [[nodiscard]] Judged connectors_nat() const {
    const std::string ask =
        "beside the Connector: ztna netcheck --record nat-classification.md --name Connector";
    const auto peer = direct_peer();
    if (!peer) return open("only the Connector's machine can tell", ask);
    const NetcheckFamily* const family = answering();
    const bool same_nat =
        family != nullptr &&
        std::ranges::any_of(family->report.seen.mappings, [&](const auto& seen) {
          return seen.mapped.ip() == peer->ip() && seen.mapped.ip() != seen.local.ip();
        });
    if (same_nat) return met("its packets come from " + peer->ip() + ", this NAT's own address");
    if (is_private(*peer)) {
      return open(
          "its packets come from " + peer->ip() + ", an address that the Internet does not route",
          ask);
    }
    return open("its packets come from " + peer->to_string(), ask);
  }

  [[nodiscard]] Judged both() const {
    if (status_.is_null()) return no_agent();
    if (uplink_.is_null() || connector_.empty()) {
      return not_met(uplink_.is_null() ? "the Agent is not"
                                       : "no Connector of " + facts_.service + " is to be seen",
                     "see the lines on Agent and Connector");
    }
    return met("agent " + text(status_, "name") + " and connector " + connector_);
  }

  [[nodiscard]] Judged candidates() const {
    const std::vector<Json> all = sessions();
    for (const Json& session : all) {
      for (const Json& change : list(session, "switches")) {
        if (text(change, "to") != "DIRECT") continue;
        return met("moved to DIRECT, peer " + text(change, "peer") + ", round trip " +
                   format_ms(number(change, "rtt_ms").value_or(0)));
      }
    }
    if (status_.is_null()) return no_agent();
    if (all.empty()) {
      return not_met("there is no session with a Connector of " + facts_.service,
                     "see the line on the Connector");
    }
    return not_met("no direct path was found",
                   "`ztna netcheck` on both machines says which pairs of NATs meet; the relay "
                   "stays in use meanwhile");
  }

  [[nodiscard]] Judged proven(int number) const {
    const ProofFacts& proof = facts_.proof;
    if (status_.is_null()) return no_agent();
    if (!proof.verdict) return not_met(proof_trouble(), "`ztna prove " + facts_.service + "`");
    for (const proof::Test& test : proof.verdict->tests) {
      if (test.number != number) continue;
      if (test.passed) return met(test.evidence);
      const bool refused = number > 2 && !proof.failures.empty();
      return not_met(refused ? proof.failures.front() : test.evidence,
                     number > 2 ? "the policy needs a [[prove]] block for this Agent and service, "
                                  "and the tests before this one must pass"
                                : "`ztna prove " + facts_.service + "` tells more");
    }
    return open("not tested", "`ztna prove " + facts_.service + "`");
  }

  [[nodiscard]] std::string proof_trouble() const {
    if (facts_.proof.error) return facts_.proof.error->message();
    return facts_.proof.failures.empty() ? "nothing was proven" : facts_.proof.failures.front();
  }

  [[nodiscard]] Judged game() const {
    const ReachedFacts& server = facts_.game_server;
    if (facts_.game.empty()) return no_game();
    if (status_.is_null()) return no_agent();
    if (!server.local) {
      return open(
          "this Agent has no local address for " + facts_.game,
          "start it with --forward udp://127.0.0.1:27960=" + facts_.game + " or --auto-forward");
    }
    if (server.error) {
      return not_met(
          server.local->to_string() + " does not answer getinfo: " + server.error->message(),
          "does the game server run? A game other than Quake 3 does not know getinfo");
    }
    return met(server.local->to_string() + " answers getinfo: " + server.game);
  }

  [[nodiscard]] static Judged no_game() {
    return open("no game is named", "--game NAME, or GAME_SERVICE_ID in the environment file");
  }

  [[nodiscard]] Judged browser() const {
    if (facts_.game.empty()) return no_game();
    return open(
        "needs a browser, and somebody to look",
        "offer QuakeKube's page as a TCP service (docs/kubernetes.md) and open its forward; "
        "`apps-test/run browser` does the like in the laboratory");
  }

  [[nodiscard]] Judged ping() const {
    if (!facts_.quality || facts_.quality->samples.empty()) return not_measured();
    const QualityFigures figures = figures_of(facts_.quality->samples);
    const std::string evidence = "p50 " + format_ms(figures.p50) + ", p99 " +
                                 format_ms(figures.p99) + " to " + facts_.quality->service;
    if (figures.lost < figures.sent && figures.p50 < ping_limit_ms) return met(evidence);
    return not_met(evidence, "`ztna quality " + facts_.quality->service + " --watch`");
  }

  [[nodiscard]] Judged no_lag() const {
    if (!facts_.quality || facts_.quality->samples.empty()) return not_measured();
    const QualityFigures figures = figures_of(facts_.quality->samples);
    const std::string evidence = std::string(to_string(figures.grade())) + ": jitter " +
                                 format_ms(figures.jitter) + ", " + std::to_string(figures.lost) +
                                 " of " + std::to_string(figures.sent) + " lost";
    if (figures.grade() != Grade::poor) return met(evidence);
    return not_met(evidence, "`ztna quality " + facts_.quality->service + " --watch`");
  }

  [[nodiscard]] Judged not_measured() const {
    if (status_.is_null()) return no_agent();
    return not_met("no datagram came back", "`ztna quality` says why");
  }

  [[nodiscard]] std::vector<const NetcheckFamily*> families() const {
    if (!facts_.network) return {};
    return {&facts_.network->v4, &facts_.network->v6};
  }
  // The one through which an Intermediate answers.
  [[nodiscard]] const NetcheckFamily* answering() const {
    for (const NetcheckFamily* family : families()) {
      if (family->report.udp()) return family;
    }
    return nullptr;
  }

  // Those with the service's Connectors: another Connector's path shows nothing.
  [[nodiscard]] std::vector<Json> sessions() const {
    std::vector<Json> found;
    for (const Json& session : list(status_, "sessions")) {
      if (std::ranges::count(connectors_, text(session, "with")) > 0) found.push_back(session);
    }
    return found;
  }

  [[nodiscard]] std::optional<base::Address> direct_peer() const {
    for (const Json& session : sessions()) {
      if (text(session, "path") != "DIRECT") continue;
      if (const auto peer = base::Address::parse(text(session, "peer"))) return *peer;
    }
    return std::nullopt;
  }

  const ValidateFacts& facts_;
  Json status_;                          // null: none
  Json uplink_;                          // the first that is up, or null
  std::vector<std::string> connectors_;  // that offer the service: SPIFFE ids
  std::string connector_;                // the name of one that is healthy
  std::string part_;
  std::vector<Criterion> criteria_;
};

}  // namespace

std::string_view to_string(Standing standing) {
  switch (standing) {
    case Standing::met: return "met";
    case Standing::not_met: return "not met";
    case Standing::open: return "open";
  }
  return "unknown";
}

std::vector<Criterion> judge_deployment(const ValidateFacts& facts) { return Judge(facts).all(); }

}  // namespace ztna::tool
