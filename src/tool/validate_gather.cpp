#include "tool/validate_gather.hpp"

#include <algorithm>
#include <thread>

#include "config/config.hpp"
#include "identity/principal.hpp"
#include "io/loop.hpp"
#include "tool/control.hpp"
#include "tool/doctor_gather.hpp"
#include "tool/interrupt.hpp"
#include "tool/prove_run.hpp"
#include "tool/quality_run.hpp"
#include "tool/status_json.hpp"
#include "tool/validate_reach.hpp"

namespace ztna::tool {
namespace {

using base::ErrorCode;

constexpr std::uint64_t proof_packets = 20;
constexpr unsigned quality_rate = 50, quality_size = 100;

// What the file says, else this process's environment.
base::Result<config::Environment> read_environment(const std::string& env_file) {
  config::Environment environment = config::from_process(0, nullptr).environment;
  if (env_file.empty()) return environment;
  const auto text = config::read_file(env_file);
  if (!text) return base::fail(ErrorCode::invalid_argument, text.error().message(), "--env");
  for (const auto& entry : config::parse_environment_file(*text).entries) {
    environment[entry.name] = entry.value;
  }
  return environment;
}

// The one that was given, or the environment's; a name, or nothing. A placeholder is nothing.
base::Result<std::string> service_name(const std::string& given, const char* flag,
                                       config::Environment& environment, const char* variable) {
  std::string service = given.empty() ? environment[variable] : given;
  if (given.empty() && is_placeholder(service)) service.clear();
  if (!service.empty() && !identity::is_valid_name(service)) {
    return base::fail(ErrorCode::invalid_argument,
                      "\"" + service + "\" is no service's name, expected a-z, 0-9 and -",
                      given.empty() ? variable : flag);
  }
  return service;
}

class Validation {
 public:
  Validation(const ValidateRequest& request, base::Random& random, base::WallTime now)
      : request_(request), random_(random), now_(now) {}

  base::Result<ValidateFacts> run() {
    if (auto named = name_services(); !named) return tl::unexpected(named.error());
    if (auto looked = look_at_machine(); !looked) return tl::unexpected(looked.error());
    if (auto classified = classify_network(); !classified) {
      return tl::unexpected(classified.error());
    }
    const auto socket = control_socket(request_.control, "agent");
    if (!socket) return std::move(facts_);
    socket_ = *socket;
    if (!read_status()) return std::move(facts_);
    prove();
    reach_services();
    measure();
    read_status();
    return std::move(facts_);
  }

 private:
  base::Status name_services() {
    auto environment = read_environment(request_.env_file);
    if (!environment) return tl::unexpected(environment.error());
    auto service = service_name(request_.service, "--service", *environment, "SERVICE_ID");
    if (!service) return tl::unexpected(service.error());
    auto game = service_name(request_.game, "--game", *environment, "GAME_SERVICE_ID");
    if (!game) return tl::unexpected(game.error());
    if (service->empty()) {
      return base::fail(
          ErrorCode::invalid_argument,
          "no service is named; expected --service NAME, or SERVICE_ID in --env FILE");
    }
    facts_.service = std::move(*service);
    facts_.game = std::move(*game);
    return {};
  }

  base::Status look_at_machine() {
    request_.on_progress("looking at this machine (ztna doctor)");
    DoctorRequest doctor;
    doctor.env_file = request_.env_file;
    doctor.role = identity::Role::agent;
    doctor.control = request_.control;
    doctor.version = request_.version;
    doctor.on_progress = [](const std::string&) {};
    const auto machine = gather(doctor, random_, now_);
    if (!machine) return tl::unexpected(machine.error());
    facts_.doctor = judge(*machine);
    intermediates_ = machine->config.intermediates;
    return {};
  }

  base::Status classify_network() {
    if (intermediates_.empty()) return {};
    request_.on_progress("classifying this network's NAT (ztna netcheck)");
    NetcheckRequest request;
    request.intermediates = intermediates_;
    auto result = run_netcheck(request, random_);
    if (!result) return tl::unexpected(result.error());
    facts_.network = std::move(*result);
    return {};
  }

  bool read_status() {
    ControlRequest request;
    request.socket = socket_;
    auto status = ask_daemon(request);
    facts_.status.reset();  // an Agent that has ended since has none
    if (status) facts_.status = std::move(*status);
    return facts_.status.has_value();
  }

  base::Result<std::string> ask(const std::string& method, const std::string& target) {
    return ask_agent(socket_, method, target, "prove");
  }

  void note_round_trip(const std::string& answer) {
    const auto json = parse_status(answer);
    if (!json || !text(*json, "error", "").empty()) return;
    const auto ms = number(*json, "rtt_ms");
    const std::string via = text(*json, "via", "");
    if (!ms) return;
    if (via == "DIRECT") facts_.round_trips.direct.push_back(*ms);
    if (via == "RELAY") facts_.round_trips.relay.push_back(*ms);
  }

  void prove() {
    request_.on_progress("proving the path of " + facts_.service + " (ztna prove)");
    ProveWorld world;
    world.ask = [this](const std::string& method, const std::string& target) {
      auto answer = ask(method, target);
      if (answer && target.starts_with("/v1/ping")) note_round_trip(*answer);
      return answer;
    };
    world.now = [] { return io::Loop::now(); };
    world.pause = [](base::Duration time) { std::this_thread::sleep_for(time); };
    world.progress = [this](const std::string& line) { request_.on_progress("  " + line); };
    const auto report =
        run_prove(world, {facts_.service, make_proof_nonce(random_), proof_packets});
    ProofFacts& proof = facts_.proof;
    if (!report) {
      proof.error = report.error();
      return;
    }
    proof.failures = report->failures;
    if (report->snapshots.empty()) return;
    auto verdict = proof::judge(*report, nullptr);
    if (verdict) {
      proof.verdict = std::move(*verdict);
    } else {
      proof.error = verdict.error();
    }
  }

  void reach_services() {
    const std::string& status = *facts_.status;
    if (const auto local = local_address_of(status, facts_.service, "tcp")) {
      request_.on_progress("fetching http://" + local->to_string() + "/");
      facts_.http = fetch(*local);
    }
    const auto game = local_address_of(status, facts_.game, "udp");
    if (facts_.game.empty() || !game) return;
    request_.on_progress("asking the game server at " + game->to_string());
    facts_.game_server = ask_game(*game);
  }

  void measure() {
    const std::string& service = facts_.game.empty() ? facts_.service : facts_.game;
    request_.on_progress("measuring the way to " + service + " (ztna quality)");
    Quality quality{service, {}, quality_rate, quality_size, {}};
    const Interruptible guard;
    unsigned rounds = 0;
    QualityWorld world;
    world.ask = [this](const std::string& target) { return ask("GET", target); };
    world.now = [] { return io::Loop::now(); };
    world.pause = [](base::Duration time) { std::this_thread::sleep_for(time); };
    world.enough = [&] {
      return rounds++ == request_.quality_seconds || Interruptible::interrupted();
    };
    world.on_round = [](unsigned, const QualityRound&) {};
    // Why nothing came is seen by that nothing came.
    static_cast<void>(measure_quality(world, quality));
    facts_.quality = std::move(quality);
  }

  const ValidateRequest& request_;
  base::Random& random_;
  base::WallTime now_;
  std::vector<base::HostPort> intermediates_;
  std::string socket_;
  ValidateFacts facts_;
};

}  // namespace

base::Result<ValidateFacts> gather(const ValidateRequest& request, base::Random& random,
                                   base::WallTime now) {
  return Validation(request, random, now).run();
}

}  // namespace ztna::tool
