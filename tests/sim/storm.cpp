#include "sim/storm.hpp"

#include <algorithm>

#include "sim/parallel.hpp"
#include "sim/scene.hpp"

namespace ztna::sim {
namespace {

// Faults and foul weather happen before this; from then on the links are good.
constexpr Duration storm_time = 6s;
// A flow that was there when the calm came ends within this, whatever became of it.
constexpr Duration flows_end_within = 75s;
// A new flow is served so soon after the calm began and all parts are up.
constexpr Duration served_within = 8s;

class Storm {
 public:
  explicit Storm(std::uint64_t seed, World::Show show)
      : dice_(mix(seed * 2 + 1)), scene_(options(seed)) {
    scene_.world.show(show);
  }

  StormResult run() {
    begin_ = scene_.world.now();
    weather();
    const std::uint64_t flows = dice_.between(std::uint64_t{2}, std::uint64_t{7});
    for (std::uint64_t i = 0; i < flows; ++i) plan_flow();
    const std::uint64_t faults = dice_.below(3);
    for (std::uint64_t i = 0; i < faults; ++i) plan_fault();
    scene_.world.idle(storm_time);
    calm();
    for (std::size_t i = 0; i < scene_.agents.size(); ++i) serve(i);
    end_all();
    return result();
  }

 private:
  SceneOptions options(std::uint64_t seed) {
    SceneOptions options;
    options.seed = seed;
    options.connectors = dice_.between(std::uint64_t{1}, std::uint64_t{2});
    options.agents = dice_.between(std::uint64_t{1}, std::uint64_t{2});
    return options;
  }

  Duration moment() { return dice_.between(Duration{}, storm_time - 1s); }

  void weather() {
    static constexpr std::size_t sizes[] = {1472, 1472, 1400, 1280, 1200};
    for (auto* machines : {&scene_.connectors, &scene_.agents}) {
      for (Machine* const machine : *machines) {
        machine->link.delay = dice_.between(Duration(1ms), Duration(50ms));
        if (dice_.chance(0.5)) machine->link.jitter = dice_.between(Duration{}, Duration(10ms));
        if (dice_.chance(0.5)) machine->link.loss = 0.0001 * static_cast<double>(dice_.below(500));
        if (dice_.chance(0.3)) machine->link.duplicate = 0.02;
        if (dice_.chance(0.3)) machine->link.late = 0.02;
        machine->link.max_packet = sizes[dice_.below(std::size(sizes))];
      }
    }
  }

  void plan_flow() {
    FlowPlan plan;
    static constexpr const char* services[] = {"echo", "source", "sink", "udp-echo", "secret"};
    plan.service = services[dice_.chance(0.05) ? 4 : dice_.below(4)];
    plan.size = dice_.below(dice_.chance(0.2) ? 300'000 : 20'000);
    plan.half_close = dice_.chance(0.5);
    if (dice_.chance(0.1)) plan.reset_after = dice_.below(plan.size + 1);
    if (dice_.chance(0.2)) {
      plan.read_pause = dice_.between(Duration(5ms), Duration(50ms));
      plan.read_chunk = 4096;
    }
    if (plan.service == "udp-echo") {
      plan.protocol = Protocol::udp;
      plan.reset_after = {};
      for (std::uint64_t i = 1 + dice_.below(4); i > 0; --i) {
        plan.payloads.push_back(dice_.between(std::uint64_t{1}, std::uint64_t{9000}));
      }
    }
    const std::size_t agent = dice_.below(scene_.agents.size());
    scene_.world.after(moment(), [this, plan, agent] {
      Client& client = scene_.open(plan, agent);
      if (plan.service == "secret") forbidden_.push_back(&client);
    });
  }

  void plan_fault() {
    std::vector<Machine*> all = {scene_.relay};
    all.insert(all.end(), scene_.connectors.begin(), scene_.connectors.end());
    all.insert(all.end(), scene_.agents.begin(), scene_.agents.end());
    Machine* const victim = all[dice_.below(all.size())];
    const Duration time = dice_.between(Duration(10ms), Duration(3s));
    const std::uint64_t kind = dice_.below(3);
    scene_.world.after(moment(), [this, victim, time, kind] {
      if (victim->part() == nullptr) return;
      if (kind == 0) return victim->restart_after(time);
      if (kind == 1) return victim->freeze(time * 5 / 3);
      scene_.world.note(victim->name() + " is cut off");
      victim->link.cut = true;
      scene_.world.after(time, [victim] { victim->link.cut = false; });
    });
  }

  void calm() {
    scene_.world.note("calm");
    Link good;
    for (auto* machines : {&scene_.connectors, &scene_.agents}) {
      for (Machine* const machine : *machines) {
        good.delay = machine->link.delay;
        good.max_packet = machine->link.max_packet;
        machine->link = good;
      }
    }
    // The last fault may reach into the calm.
    scene_.relay->link = Link{.delay = {}};
    const bool up = scene_.world.run([this] { return all_running(); }, 10s);
    if (!up) scene_.world.violation("a machine did not come back: the simulator is wrong");
  }

  bool all_running() {
    const auto running = [](const Machine* machine) {
      return machine->part() != nullptr && !machine->frozen();
    };
    return running(scene_.relay) && std::ranges::all_of(scene_.connectors, running) &&
           std::ranges::all_of(scene_.agents, running);
  }

  void serve(std::size_t agent) {
    const Duration took = scene_.until_served({.size = 2000}, served_within, agent);
    if (took >= served_within) {
      scene_.world.violation("no service for agent-" + std::to_string(agent) + " within " +
                             std::to_string(served_within / 1s) + " s of calm");
    }
  }

  void end_all() {
    const bool ended = scene_.world.run(
        [this] {
          return std::ranges::all_of(scene_.clients(), [](const auto& c) { return c->over(); });
        },
        flows_end_within);
    if (!ended) {
      for (const auto& client : scene_.clients()) {
        if (client->over()) continue;
        if (client->plan().protocol == Protocol::udp) {  // its answers were lost for good
          client->hang_up();
        } else {
          scene_.world.violation(client->name() + " (" + client->plan().service +
                                 ") hangs: " + std::to_string(client->received()) + " of " +
                                 std::to_string(client->plan().size) + " octets");
        }
      }
    }
    for (const Client* const client : forbidden_) {
      if (client->accepted() || client->received() > 0) {
        scene_.world.violation(client->name() + " reached a service that policy denies");
      }
    }
    // The last acknowledgements may be a few probe time-outs away.
    scene_.world.idle(10s);
    scene_.check_nothing_left();
  }

  StormResult result() {
    StormResult result;
    result.violations = scene_.world.violations();
    result.digest = scene_.world.digest();
    result.packets = scene_.world.packets();
    result.flows = scene_.clients().size();
    result.complete = static_cast<std::size_t>(
        std::ranges::count_if(scene_.clients(), [](const auto& c) { return c->complete(); }));
    result.virtual_seconds = base::to_ms(scene_.world.now() - begin_) / 1000;
    return result;
  }

  SeededRandom dice_;
  Scene scene_;
  Time begin_{};
  std::vector<Client*> forbidden_;
};

}  // namespace

StormResult run_storm(std::uint64_t seed, World::Show show) {
  (void)Certificates::get();  // in this thread, from its own entropy
  return run_seeded(mix(seed + 77), [&] { return Storm(seed, show).run(); });
}

}  // namespace ztna::sim
