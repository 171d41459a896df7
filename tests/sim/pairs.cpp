#include "sim/pairs.hpp"

#include <array>
#include <cstdlib>

#include "sim/parallel.hpp"
#include "sim/scene.hpp"
#include "wire/stun.hpp"

namespace ztna::sim {
namespace {

// Past the fourth round of checks; what a premature packet has spoilt is forgotten before.
constexpr Duration rounds_time = 75s;
// A program talks at first; what comes later happens in silence.
constexpr Duration talk_time = 3s;
constexpr Duration tick = 10ms;
// A dead path is left, and an idle flow over, within this.
constexpr Duration patience = 10s;
// Deliveries are watched from so long before a move.
constexpr Duration around = 100ms;

constexpr std::array port_names = {"preserving", "sequential", "random"};
constexpr std::array place_names = {"home", "home-in-open-carrier", "carrier-around-open-home",
                                    "homes-in-one-carrier"};
constexpr const char* strict = "strict";  // gateways
constexpr const char* plain = "plain";

NatBehaviour behaviour(const NatKind& kind, const PairPlan& plan, SeededRandom& dice) {
  return {.mapping = kind.mapping,
          .filtering = kind.filtering,
          .ports = plan.ports,
          .hairpin = dice.chance(0.5),
          .lifetime = dice.chance(0.5) ? 30s : 120s,
          .refreshed_inbound = dice.chance(0.5),
          .drops_input = plan.drops_input};
}

SceneOptions options(const PairPlan& plan) {
  SeededRandom dice(mix(plan.seed));
  const NatBehaviour agent = behaviour(plan.agent, plan, dice);
  const NatBehaviour connector = behaviour(plan.connector, plan, dice);
  NatBehaviour open = behaviour({}, plan, dice);
  if (plan.place == Place::homes_in_one_carrier) open.hairpin = true;
  SceneOptions options{.seed = plan.seed, .direct_paths = true};
  const bool at_home = plan.place != Place::carrier_around_open_home;
  options.agent_nat = at_home ? agent : open;
  options.connector_nat = at_home ? connector : open;
  if (plan.place != Place::home) {
    options.agent_carrier = at_home ? open : agent;
    options.connector_carrier = at_home ? open : connector;
  }
  options.one_carrier = plan.place == Place::homes_in_one_carrier;
  return options;
}

class PairWorld {
 public:
  PairWorld(const PairPlan& plan, World::Show show) : scene_(options(plan)) {
    scene_.world.show(show);
    // A little of what networks do to packets; only losses would make outcomes a matter of luck.
    scene_.set_links({.delay = intermediate_round_trip / 2, .jitter = 500us});
    scene_.world.filter = [this](const Machine& from, const Machine& to, base::BytesView packet) {
      if (&from == scene_.relay || &to == scene_.relay) return true;
      ++(&from == scene_.agents[0] ? from_agent_ : from_connector_);
      if (wire::stun::is_stun(packet)) ++checks_;
      return !blocked_;
    };
  }

  PairResult run() {
    punch();
    if (result_.to_direct && scene_.world.violations().empty()) {
      lose_it();
      rest();
    }
    scene_.check_nothing_left();
    result_.violations = scene_.world.violations();
    return result_;
  }

 private:
  [[nodiscard]] session::Session* session() {
    const auto all = scene_.agent().engine().node().sessions();
    const bool ready = all.size() == 1 && all[0]->state() == session::Session::State::ready;
    return ready ? all[0] : nullptr;
  }

  bool on_direct() {
    const session::Session* const ours = session();
    return ours != nullptr && ours->path_kind() == session::PathKind::direct;
  }

  Client& talk() { return scene_.open({.size = UINT64_MAX, .write_pause = tick}); }

  // It says no more, and must get everything back.
  void finish(Client& client) {
    client.stop_writing();
    if (scene_.finish(client, patience) && client.complete()) return;
    scene_.world.violation("a flow was not complete: " + std::to_string(client.received()) +
                           " of " + std::to_string(client.plan().size) + " octets");
  }

  void punch() {
    scene_.settle();
    Client& client = talk();
    if (!scene_.world.run([&] { return session() != nullptr; }, patience)) {
      return scene_.world.violation("no session came up");
    }
    const Time opened = session()->ready_since();
    const auto direct = [this] { return on_direct(); };
    const bool soon = scene_.world.run(direct, talk_time);
    result_.checks = checks_;
    if (soon) scene_.world.idle(1s);
    const Time talked_until = scene_.world.now();
    finish(client);
    const bool late = !soon && scene_.world.run(direct, opened + rounds_time - scene_.world.now());
    const session::Session* const ours = session();
    if (ours == nullptr) return scene_.world.violation("the session has ended");
    result_.rounds = ours->prober()->rounds();
    if (!soon) result_.checks = checks_ / std::max<std::uint64_t>(1, result_.rounds);
    if (!soon && !late) return;
    const Time moved = ours->switches().front().at;
    result_.to_direct = moved - opened;
    if (soon) result_.gap_to_direct = client.worst_gap(moved - around, talked_until);
  }

  // The direct path swallows everything from one moment to the next, and nobody is told.
  void lose_it() {
    Client& client = talk();
    scene_.world.idle(2s);
    const Time lost = scene_.world.now();
    blocked_ = true;
    if (!scene_.world.run([&] { return !on_direct(); }, patience)) {
      scene_.world.violation("a dead path was not left");
    }
    scene_.world.idle(1s);
    result_.gap_to_relay = client.worst_gap(lost - around, scene_.world.now());
    blocked_ = false;
    finish(client);
  }

  // It comes back, and then nothing happens.
  void rest() {
    if (!scene_.world.run([&] { return on_direct(); }, rounds_time)) {
      return scene_.world.violation("the session did not return to a path that works again");
    }
    scene_.world.idle(10s);
    from_agent_ = from_connector_ = 0;
    scene_.world.idle(idle_time);
    result_.idle_from_agent = from_agent_;
    result_.idle_from_connector = from_connector_;
    if (!on_direct()) scene_.world.violation("an idle session left its path");
  }

  Scene scene_;
  PairResult result_;
  bool blocked_ = false;
  // Sent towards the other node, whether or not they arrive.
  std::uint64_t from_agent_ = 0, from_connector_ = 0, checks_ = 0;
};

}  // namespace

std::string to_string(const PairPlan& plan) {
  return to_string(plan.agent) + "," + to_string(plan.connector) + "," +
         port_names.at(static_cast<std::size_t>(plan.ports)) + "," +
         (plan.drops_input ? strict : plain) + "," +
         place_names.at(static_cast<std::size_t>(plan.place)) + "," + std::to_string(plan.seed);
}

std::optional<PairPlan> parse_pair(const std::string& text) {
  for (const NatKind& agent : all_kinds()) {
    for (const NatKind& connector : all_kinds()) {
      for (std::size_t repeat = 0; repeat < 2; ++repeat) {
        for (PairPlan plan : variants(agent, connector, repeat)) {
          plan.seed = std::strtoull(text.substr(text.rfind(',') + 1).c_str(), nullptr, 10);
          if (to_string(plan) == text) return plan;
        }
      }
    }
  }
  return {};
}

std::vector<PairPlan> variants(const NatKind& agent, const NatKind& connector, std::uint64_t seed) {
  std::vector<PairPlan> plans;
  for (const auto ports :
       {PortAllocation::preserving, PortAllocation::sequential, PortAllocation::random}) {
    for (std::size_t i = 0; i < place_names.size(); ++i) {
      const bool drops_input = (static_cast<std::size_t>(ports) + i + seed) % 2 == 0;
      plans.push_back({agent, connector, ports, drops_input, static_cast<Place>(i),
                       mix(seed * 64 + plans.size())});
    }
  }
  return plans;
}

PairResult run_pair(const PairPlan& plan, World::Show show) {
  (void)Certificates::get();  // in this thread, from its own entropy
  return run_seeded(plan.seed, [&] { return PairWorld(plan, show).run(); });
}

}  // namespace ztna::sim
