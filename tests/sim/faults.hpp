// Faults of a storm, drawn from its seed: what kind, where, when and how badly.
#pragma once

#include <set>
#include <vector>

#include "sim/scene.hpp"
#include "sim/switch_faults.hpp"

namespace ztna::sim {

class Faults {
 public:
  Faults(Scene& scene, std::uint64_t seed);

  // Plans one that happens before `until` has passed.
  void plan_one(Duration until);
  // From now on the network is good, and all clocks are right. Machines that are away come back.
  void end();
  // Something was stopped or cut off while it measured round trips, and believes in long ones yet.
  [[nodiscard]] bool stretched_time() const { return stretched_time_; }
  // A process of that machine was killed: its flows of that time have ended with it. Or a wrong
  // clock kept it from coming back.
  [[nodiscard]] bool excuses(const Machine& machine, Time from, Time until) const;

 private:
  using Fault = void (Faults::*)();
  void restart_one();
  void freeze_one();
  void cut_one();
  void cut_one_way();
  void blackhole_direct_one_way();
  void rebind_nat();
  void shrink_mtu();
  void lose_much();
  void set_wall_clock();
  void jump_clock();
  void lose_first_packets_of_switches();
  void restart_relay_at_switch();

  void restart(Machine& machine, Duration pause);
  [[nodiscard]] Machine& any_machine();
  [[nodiscard]] Machine& any_node();
  [[nodiscard]] Duration some_time() { return dice_.between(Duration(10ms), Duration(3s)); }
  [[nodiscard]] bool passes(const Machine& from, const Machine& to, base::BytesView packet);

  Scene& scene_;
  SeededRandom dice_;
  SwitchFaults switches_;
  bool over_ = false;
  bool stretched_time_ = false;
  std::set<std::pair<const Machine*, const Machine*>> holes_;  // from, to: nothing passes
  std::vector<std::pair<const Machine*, Time>> upheavals_;
  std::set<const Machine*> disbelieving_;  // no certificate is valid yet, there or at the relay
  std::uint8_t new_addresses_ = 0;
};

}  // namespace ztna::sim
