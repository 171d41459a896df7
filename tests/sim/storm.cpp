#include "sim/storm.hpp"

#include <algorithm>
#include <array>

#include "nat/timeouts.hpp"
#include "node/timeouts.hpp"
#include "sim/faults.hpp"
#include "sim/oracle.hpp"
#include "sim/parallel.hpp"
#include "sim/scene.hpp"

namespace ztna::sim {
namespace {

// Faults and foul weather happen before this; from then on the links are good.
constexpr Duration storm_time = 6s;
// A flow that was there when the calm came ends within this, whatever became of it.
constexpr Duration flows_end_within = 75s;
// A Connector gives up a session of whose Agent it hears nothing any more: QUIC's idle time-out of
// a minute, where the path was direct and nobody else could tell.
constexpr Duration leftovers_end_within = 75s;
// A new flow is served so soon after the calm began and all parts are up.
// Where its Connector and its Intermediate were both killed, a first flow may have to run out of
// time on the old session, and a second one wait for it, before another session begins.
constexpr Duration served_within =
    node::timeouts::flow_reply + node::timeouts::flow_waits_for_relay + 1s;
// The same where connections have measured round trips of seconds: they pace themselves by those
// until they have seen some more.
constexpr Duration served_late_within = 20s;
// Where the oracle says that two can meet, their session is direct so soon after calm: after the
// longest rest of a path that failed, and the longest wait for the next round after it.
constexpr Duration direct_within = nat::timeouts::hold_max + nat::timeouts::retry.back() + 10s;

class Storm {
 public:
  Storm(std::uint64_t seed, World::Show show)
      : dice_(mix(seed * 2 + 1)),
        options_(options(seed)),
        scene_(options_),
        faults_(scene_, mix(seed * 2)) {
    scene_.world.show(show);
  }

  StormResult run() {
    begin_ = scene_.world.now();
    firewalls();
    weather();
    const std::uint64_t flows = dice_.between(std::uint64_t{2}, std::uint64_t{7});
    for (std::uint64_t i = 0; i < flows; ++i) plan_flow();
    const std::uint64_t faults = dice_.below(5);
    for (std::uint64_t i = 0; i < faults; ++i) faults_.plan_one(storm_time - 1s);
    scene_.world.idle(storm_time);
    calm();
    for (std::size_t i = 0; i < scene_.agents.size(); ++i) serve(i);
    meet();
    end_all();
    return result();
  }

 private:
  // Chained, shared, plain and none: how people are attached.
  SceneOptions options(std::uint64_t seed) {
    SceneOptions options;
    options.seed = seed;
    options.connectors = dice_.between(std::uint64_t{1}, std::uint64_t{2});
    options.agents = dice_.between(std::uint64_t{1}, std::uint64_t{2});
    options.direct_paths = dice_.chance(0.9);
    options.core_hops = static_cast<std::uint8_t>(dice_.below(5));
    if (dice_.chance(0.15)) {
      options.agent_ipv6 = true;
      options.connector_ipv6 = dice_.chance(0.7);
      options.intermediate_ipv6 = dice_.chance(0.5);
    }
    if (dice_.chance(0.8)) options.agent_nat = random_nat();
    if (dice_.chance(0.7)) options.connector_nat = random_nat();
    if (dice_.chance(0.2)) options.agent_carrier = random_nat();
    if (dice_.chance(0.2)) options.connector_carrier = random_nat();
    options.one_home = options.agent_nat && dice_.chance(0.1);
    options.one_carrier = options.agent_carrier && dice_.chance(0.3);
    return options;
  }

  // Half of them as most homes have it.
  NatBehaviour random_nat() {
    NatBehaviour nat;
    if (dice_.chance(0.5)) {
      const NatKind kind = all_kinds().at(dice_.below(9));
      nat.mapping = kind.mapping;
      nat.filtering = kind.filtering;
      nat.ports = static_cast<PortAllocation>(dice_.below(3));
    }
    static constexpr std::array<Duration, 3> lifetimes = {30s, 60s, 120s};
    nat.lifetime = lifetimes.at(dice_.below(lifetimes.size()));
    nat.hairpin = dice_.chance(0.5);
    nat.refreshed_inbound = dice_.chance(0.5);
    nat.drops_input = dice_.chance(0.5);
    return nat;
  }

  // A firewall that lets nothing of UDP pass but what goes to the Intermediate.
  void firewalls() {
    for (auto* homes : {&scene_.connector_homes, &scene_.agent_homes}) {
      for (Network* const home : *homes) {
        if (home->is_internet() || !dice_.chance(0.05)) continue;
        scene_.world.note(home->name() + " blocks UDP to all but the Intermediate");
        walled_ = true;
        home->blocks = [this](const base::Address& remote) {
          return remote != scene_.relay->address();
        };
      }
    }
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
    if (dice_.chance(0.4)) {
      plan.read_pause = dice_.between(Duration(5ms), Duration(50ms));
      plan.read_chunk = 4096;
    } else if (dice_.chance(0.4)) {
      plan.write_pause = dice_.between(Duration(5ms), Duration(50ms));
      plan.write_chunk = 1000;
      plan.size = dice_.below(100'000);
    }
    if (plan.service == "udp-echo") {
      plan.write_pause = {};
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
      if (plan.protocol == Protocol::tcp) streams_.emplace_back(&client, agent);
    });
  }

  void calm() {
    scene_.world.note("calm");
    faults_.end();
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
    const Duration limit = faults_.stretched_time() ? served_late_within : served_within;
    const Duration took = scene_.until_served({.size = 2000}, limit, agent);
    if (took >= limit) {
      scene_.world.violation("no service for agent-" + std::to_string(agent) + " within " +
                             std::to_string(limit / 1s) + " s of calm");
    }
  }

  // One router or none on each side, of which nothing but RFC 4787 is to be known.
  [[nodiscard]] bool must_meet() const {
    const auto kind = [](const std::optional<NatBehaviour>& nat) {
      return nat ? NatKind{nat->mapping, nat->filtering} : NatKind{};
    };
    const auto plain = [](const std::optional<NatBehaviour>& nat) {
      return nat && !nat->drops_input;
    };
    const bool chained = options_.agent_carrier || options_.connector_carrier;
    return options_.direct_paths && !walled_ && !chained && !options_.one_home &&
           !plain(options_.agent_nat) && !plain(options_.connector_nat) &&
           can_meet(kind(options_.agent_nat), kind(options_.connector_nat));
  }

  void meet() {
    if (!must_meet()) return;
    const auto all_direct = [this] {
      return std::ranges::all_of(scene_.agents, [this](const Machine* machine) {
        return std::ranges::all_of(scene_.node_on(*machine)->sessions(),
                                   [](const session::Session* session) {
                                     return session->state() != session::Session::State::ready ||
                                            session->path_kind() == session::PathKind::direct;
                                   });
      });
    };
    if (scene_.world.run(all_direct, direct_within)) return;
    note_sessions();
    scene_.world.violation("no direct path within " + std::to_string(direct_within / 1s) +
                           " s of calm, and the NATs allow one");
  }

  void end_all() {
    const bool ended = scene_.world.run(
        [this] {
          return std::ranges::all_of(scene_.clients(), [](const auto& c) { return c->over(); });
        },
        flows_end_within);
    if (!ended) {
      note_sessions();
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
    for (const auto& [client, agent] : streams_) check_stream(*client, *scene_.agents[agent]);
    for (const Client* const client : forbidden_) {
      if (client->accepted() || client->received() > 0) {
        scene_.world.violation(client->name() + " reached a service that policy denies");
      }
    }
    // The last acknowledgements may be a few probe time-outs away; and where an Agent and the
    // Intermediate were both killed, a Connector waits for a claim that nobody will make.
    scene_.world.idle(2s);
    scene_.world.run([this] { return scene_.nothing_left(); }, leftovers_end_within);
    scene_.check_nothing_left();
  }

  // What the sessions think, for whoever looks for the reason of a hang.
  void note_sessions() {
    for (auto* machines : {&scene_.agents, &scene_.connectors}) {
      for (const Machine* const machine : *machines) {
        const node::Node* const node = scene_.node_on(*machine);
        if (node == nullptr) continue;
        for (const session::Session* const session : node->sessions()) {
          const quic::Stats stats = session->stats();
          scene_.world.note(machine->name() + ": session " + session->config().id.short_hex() +
                            " on " + std::string(to_string(session->path_kind())) + ", window " +
                            std::to_string(stats.cwnd) + ", in flight " +
                            std::to_string(stats.bytes_in_flight) + ", round trip " +
                            std::to_string(stats.smoothed_rtt / 1ms) + " ms, probe time-out " +
                            std::to_string(stats.pto / 1ms) + " ms");
        }
      }
    }
  }

  // What both ends had agreed on arrives whole, whatever the network does and whatever becomes of
  // the Intermediate. Only the end of one of the two processes may end it before.
  void check_stream(const Client& client, const Machine& agent) {
    const bool must = client.over() && !client.complete() && !client.plan().reset_after &&
                      (client.accepted() || client.received() > 0);
    if (!must) return;
    const auto upset = [&](const Machine* machine) {
      return faults_.excuses(*machine, client.started(), scene_.world.now());
    };
    if (upset(&agent) || std::ranges::any_of(scene_.connectors, upset)) return;
    scene_.world.violation(client.name() + " (" + client.plan().service +
                           ") was cut: " + std::string(to_string(*client.ended())) + " " +
                           client.text() + ", " + std::to_string(client.received()) + " of " +
                           std::to_string(client.plan().size) + " octets");
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
  SceneOptions options_;
  Scene scene_;
  Faults faults_;
  Time begin_{};
  bool walled_ = false;  // some home blocks UDP between nodes
  std::vector<Client*> forbidden_;
  std::vector<std::pair<Client*, std::size_t>> streams_;  // and its Agent
};

}  // namespace

StormResult run_storm(std::uint64_t seed, World::Show show) {
  (void)Certificates::get();  // in this thread, from its own entropy
  return run_seeded(mix(seed + 77), [&] { return Storm(seed, show).run(); });
}

}  // namespace ztna::sim
