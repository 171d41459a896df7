#include "tool/prove_run.hpp"

#include <algorithm>
#include <array>

#include "io/http_client.hpp"
#include "proof/lease.hpp"
#include "proof/statement.hpp"
#include "tool/status_format.hpp"
#include "tool/status_json.hpp"

namespace ztna::tool {
namespace {

using base::Duration;
using base::ErrorCode;
using base::Status;
using base::Time;
using proof::Step;
using namespace std::chrono_literals;

// Two rounds of checks and the retry after 5 s.
constexpr Duration direct_patience = 20s;
// After a move the two ends still prove the old path to each other, by packets that go there. So
// long on the new one without a pause, and they have.
constexpr Duration settled = 1500ms;
constexpr Duration between_questions = 100ms;
// From the lease's end on: a round begins at once; if it fails, others follow after 5 and 15 s.
constexpr Duration return_patience = 30s;
// For the end of a lease elsewhere.
constexpr Duration margin = 300ms;
// Falling back takes at most 0.7 s; statements two round trips.
constexpr Duration fallback_slack = 3s;
constexpr Duration lease_slack = 1500ms;
constexpr int most_tries = 3;

struct Answer {
  std::string session, via, peer, error;
  Duration rtt{};
};

base::Result<Answer> read_answer(const std::string& document) {
  const auto json = parse_status(document);
  if (!json) return tl::unexpected(json.error());
  Answer answer;
  answer.error = text(*json, "error", "");
  if (!answer.error.empty()) {
    const std::string why = text(*json, "text", "");
    if (!why.empty()) answer.error += " (" + why + ")";
  }
  answer.session = text(*json, "session", "");
  answer.via = text(*json, "via", "");
  answer.peer = text(*json, "peer", "");
  answer.rtt = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double, std::milli>(number(*json, "rtt_ms").value_or(0)));
  return answer;
}

class Run {
 public:
  Run(const ProveWorld& world, const ProvePlan& plan) : world_(world), plan_(plan) {
    report_.service = plan.service;
    report_.nonce = plan.nonce;
    report_.packets = plan.packets;
  }

  base::Result<proof::Report> go() {
    if (const auto there = reach_direct(); !there) {
      if (session_.empty()) return tl::unexpected(there.error());
      report_.failures.push_back(there.error().message());
      // What can be said is said: which path there is instead.
      note(snapshot(Step::start));
      return report_;
    }
    if (note(directly()) && note(without_relay())) note(without_direct());
    return report_;
  }

 private:
  bool note(const Status& done) {
    if (!done) report_.failures.push_back(done.error().message());
    return done.has_value();
  }

  // One question through the session that the first one used.
  base::Result<Answer> question() {
    const auto body = world_.ask("GET", "/v1/ping?service=" + io::url_encode(plan_.service));
    if (!body) return tl::unexpected(body.error());
    auto answer = read_answer(*body);
    if (!answer) return answer;
    if (!answer->error.empty()) {
      return base::fail(ErrorCode::unavailable, "no answer: " + answer->error, plan_.service);
    }
    if (session_.empty()) session_ = answer->session;
    if (answer->session != session_) {
      return base::fail(ErrorCode::unavailable, "another session took over; prove that one");
    }
    rtt_ = rtt_ == Duration{} ? answer->rtt : (7 * rtt_ + answer->rtt) / 8;
    return answer;
  }

  // Until an answer comes by `via`; the time is up: an error.
  Status wait_for(const std::string& via, Duration patience) {
    const Time end = world_.now() + patience;
    for (;;) {
      const auto answer = question();
      if (!answer) return tl::unexpected(answer.error());
      if (answer->via == via) return {};
      if (world_.now() >= end) {
        return base::fail(ErrorCode::timed_out, "packets go " + answer->via + " (" + answer->peer +
                                                    "), not " + via + ", after " +
                                                    format_ms(base::to_ms(patience)));
      }
      world_.pause(between_questions);
    }
  }

  Status reach_direct() {
    world_.progress("waiting for a direct path");
    const Time end = world_.now() + direct_patience;
    for (;;) {
      const auto direct = wait_for("DIRECT", std::max<Duration>(end - world_.now(), 0s));
      if (!direct) return direct;
      if (stays_direct()) return {};
    }
  }

  // Direct, and for so long that the old path is quiet.
  bool stays_direct() {
    const Time until = world_.now() + settled;
    while (world_.now() < until) {
      const auto answer = question();
      if (!answer || answer->via != "DIRECT") return false;
      world_.pause(between_questions);
    }
    return true;
  }

  Status ask_questions() {
    for (std::uint64_t i = 0; i < plan_.packets; ++i) {
      const auto answer = question();
      if (!answer) return tl::unexpected(answer.error());
    }
    return {};
  }

  // Statements of the ends, or of the Intermediate, into their places.
  using Place = std::pair<const char*, identity::SignedText*>;
  Status state(const std::string& of, const std::string& nonce, const std::vector<Place>& places) {
    const auto body = world_.ask(
        "GET", "/v1/prove/statements?session=" + session_ + "&nonce=" + nonce + "&of=" + of);
    if (!body) return tl::unexpected(body.error());
    const auto json = parse_status(*body);
    if (!json) return tl::unexpected(json.error());
    for (const auto& [name, place] : places) {
      const Json& one = member(*json, name);
      const std::string error = text(one, "error", "");
      if (!error.empty()) {
        return base::fail(ErrorCode::unavailable, "no statement: " + error, name);
      }
      auto said = proof::parse_signed(one.dump());
      if (!said) return tl::unexpected(said.error());
      *place = std::move(*said);
    }
    return {};
  }

  Status snapshot(Step step) {
    proof::Snapshot s;
    s.step = step;
    const std::vector<Place> ends = {{"agent", &s.agent}, {"connector", &s.connector}};
    const std::vector<Place> relay = {{"intermediate", &s.intermediate}};
    const std::string first = proof::first_nonce(plan_.nonce, plan_.packets, step);
    Status done;
    if (proof::intermediate_first(step)) {
      done = state("intermediate", first, relay);
      if (done) done = state("ends", proof::second_nonce(first, {s.intermediate.signature}), ends);
    } else {
      done = state("ends", first, ends);
      const auto second = proof::second_nonce(first, {s.agent.signature, s.connector.signature});
      if (done) done = state("intermediate", second, relay);
    }
    if (done) report_.snapshots.push_back(std::move(s));
    return done;
  }

  // What the Intermediate said last that it has relayed.
  [[nodiscard]] std::uint64_t relayed(std::size_t back) const {
    const auto& at = report_.snapshots.at(report_.snapshots.size() - 1 - back);
    const auto statement = proof::open(at.intermediate);
    return statement && statement->relay ? statement->relay->packets : 0;
  }

  Status directly() {
    world_.progress("asking " + std::to_string(plan_.packets) + " questions over the direct path");
    for (int tries = 1;; ++tries) {
      if (const auto done = snapshot(Step::start); !done) return done;
      if (const auto done = ask_questions(); !done) return done;
      if (const auto done = snapshot(Step::after_traffic); !done) return done;
      // A late packet of the move, or a moment on the relay: once more.
      if (relayed(0) == relayed(1) || tries == most_tries) return {};
      report_.snapshots.clear();
      if (const auto there = reach_direct(); !there) return there;
    }
  }

  // For how long: every question takes a round trip, and some a longer one.
  [[nodiscard]] base::Result<Duration> lease(Duration slack) const {
    const Duration questions = static_cast<int>(plan_.packets) * rtt_;
    if (questions + slack > proof::max_lease) {
      return base::fail(
          ErrorCode::invalid_argument,
          std::to_string(plan_.packets) +
              " questions take longer than a path may be suspended, at a round trip of " +
              format_ms(base::to_ms(rtt_)) + "; expected fewer --packets");
    }
    return std::min<Duration>(proof::max_lease, 2 * questions + slack);
  }

  Status suspend(const std::string& path, Duration slack) {
    const auto time = lease(slack);
    if (!time) return tl::unexpected(time.error());
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(*time).count();
    const auto body = world_.ask("POST", "/v1/prove/suspend?session=" + session_ +
                                             "&service=" + io::url_encode(plan_.service) +
                                             "&path=" + path + "&ms=" + std::to_string(ms));
    if (!body) return tl::unexpected(body.error());
    const auto json = parse_status(*body);
    if (!json) return tl::unexpected(json.error());
    const std::string error = text(*json, "error", "");
    if (!error.empty()) {
      return base::fail(ErrorCode::permission_denied, error, "suspending the " + path + " path");
    }
    lease_over_ = world_.now() + std::chrono::milliseconds(count(*json, "ms"));
    return {};
  }

  void wait_for_lease() {
    if (world_.now() < lease_over_) world_.pause(lease_over_ - world_.now());
    world_.pause(margin);
  }

  Status without_relay() {
    world_.progress("suspending the relay for this session");
    if (const auto done = suspend("relay", lease_slack); !done) return done;
    if (const auto done = snapshot(Step::relay_suspended); !done) return done;
    if (const auto done = ask_questions(); !done) return done;
    if (const auto done = snapshot(Step::after_relay_suspended); !done) return done;
    wait_for_lease();
    return {};
  }

  Status without_direct() {
    world_.progress("dropping direct packets at both ends");
    if (const auto done = suspend("direct", fallback_slack); !done) return done;
    if (const auto done = wait_for("RELAY", proof::max_lease); !done) return done;
    if (const auto done = snapshot(Step::direct_suspended); !done) return done;
    if (const auto done = ask_questions(); !done) return done;
    if (const auto done = snapshot(Step::after_direct_suspended); !done) return done;
    world_.progress("waiting for the direct path to return");
    wait_for_lease();
    if (const auto done = wait_for("DIRECT", return_patience); !done) return done;
    return snapshot(Step::returned);
  }

  const ProveWorld& world_;
  const ProvePlan& plan_;
  proof::Report report_;
  std::string session_;
  Duration rtt_{};
  Time lease_over_{};
};

}  // namespace

std::string make_proof_nonce(base::Random& random) {
  std::array<std::uint8_t, 8> octets{};
  random.fill(octets);
  return base::to_hex(octets);
}

base::Result<proof::Report> run_prove(const ProveWorld& world, const ProvePlan& plan) {
  return Run(world, plan).go();
}

}  // namespace ztna::tool
