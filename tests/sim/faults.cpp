#include "sim/faults.hpp"

#include <algorithm>
#include <array>

namespace ztna::sim {
namespace {

// A session waits 60 s for its peer and half a minute for its keep-alive. What a clock jumps by
// stays below: nobody is asked to live through a silence that was as long as the time-outs.
constexpr Duration longest_jump = 2s;
constexpr std::int64_t day = 86400;

std::string ms(Duration time) { return std::to_string(time / 1ms) + " ms"; }

}  // namespace

Faults::Faults(Scene& scene, std::uint64_t seed) : scene_(scene), dice_(seed), switches_(scene) {
  scene_.world.filter = [this](const Machine& from, const Machine& to, base::BytesView packet) {
    return passes(from, to, packet);
  };
}

bool Faults::passes(const Machine& from, const Machine& to, base::BytesView packet) {
  if (over_) return true;
  return !holes_.contains({&from, &to}) && !switches_.takes(from, to, packet);
}

Machine& Faults::any_node() {
  const std::size_t at = dice_.below(scene_.connectors.size() + scene_.agents.size());
  const bool connector = at < scene_.connectors.size();
  return connector ? *scene_.connectors[at] : *scene_.agents[at - scene_.connectors.size()];
}

Machine& Faults::any_machine() { return dice_.chance(0.3) ? *scene_.relay : any_node(); }

void Faults::plan_one(Duration until) {
  static constexpr std::array<Fault, 12> kinds = {&Faults::restart_one,
                                                  &Faults::freeze_one,
                                                  &Faults::cut_one,
                                                  &Faults::cut_one_way,
                                                  &Faults::blackhole_direct_one_way,
                                                  &Faults::rebind_nat,
                                                  &Faults::shrink_mtu,
                                                  &Faults::lose_much,
                                                  &Faults::set_wall_clock,
                                                  &Faults::jump_clock,
                                                  &Faults::lose_first_packets_of_switches,
                                                  &Faults::restart_relay_at_switch};
  const Fault fault = kinds.at(dice_.below(kinds.size()));
  scene_.world.after(dice_.between(Duration{}, until), [this, fault] {
    if (!over_) (this->*fault)();
  });
}

void Faults::end() {
  over_ = true;
  switches_.stop();
  holes_.clear();
  scene_.relay->link = Link{.delay = {}};
  for (auto* machines : {&scene_.connectors, &scene_.agents}) {
    for (Machine* const machine : *machines) {
      machine->link = {.delay = machine->link.delay, .max_packet = machine->link.max_packet};
    }
  }
  const base::WallTime right = scene_.world.wall().now(scene_.world.now());
  scene_.set_wall_of(*scene_.relay, right);
  for (Machine* const machine : scene_.connectors) scene_.set_wall_of(*machine, right);
  for (Machine* const machine : scene_.agents) scene_.set_wall_of(*machine, right);
}

bool Faults::excuses(const Machine& machine, Time from, Time until) const {
  if (disbelieving_.contains(&machine)) return true;
  return std::ranges::any_of(upheavals_, [&](const auto& upheaval) {
    return upheaval.first == &machine && upheaval.second >= from && upheaval.second <= until;
  });
}

// --- of machines

void Faults::restart(Machine& machine, Duration pause) {
  if (machine.part() == nullptr) return;
  upheavals_.emplace_back(&machine, scene_.world.now());
  machine.restart_after(pause);
}

void Faults::restart_one() { restart(any_machine(), some_time()); }

void Faults::freeze_one() {
  Machine& victim = any_machine();
  stretched_time_ = true;
  if (victim.part() != nullptr) victim.freeze(some_time() * 5 / 3);
}

void Faults::set_wall_clock() {
  Machine& victim = any_machine();
  const auto days = static_cast<std::int64_t>(dice_.below(60)) - 20;
  base::WallTime wall = scene_.world.wall().now(scene_.world.now());
  wall.seconds += days * day;
  scene_.world.note(victim.name() + "'s civil clock is set by " + std::to_string(days) + " days");
  scene_.set_wall_of(victim, wall);
  // Before the CA's certificate begins nobody is believed: who loses an uplink then stays away for
  // as long as the clock is wrong, and until the next attempt.
  if (days >= 0) return;
  if (&victim != scene_.relay) {
    disbelieving_.insert(&victim);
    return;
  }
  disbelieving_.insert(scene_.connectors.begin(), scene_.connectors.end());
  disbelieving_.insert(scene_.agents.begin(), scene_.agents.end());
}

void Faults::jump_clock() {
  stretched_time_ = true;
  any_machine().jump(dice_.between(Duration(1ms), longest_jump));
}

// --- of networks

void Faults::cut_one() {
  Machine& victim = any_machine();
  const Duration time = some_time();
  scene_.world.note(victim.name() + " is cut off for " + ms(time));
  stretched_time_ = true;
  victim.link.cut = true;
  scene_.world.after(time, [&victim] { victim.link.cut = false; });
}

void Faults::cut_one_way() {
  Machine& victim = any_machine();
  const Duration time = some_time();
  const bool out = dice_.chance(0.5);
  scene_.world.note(victim.name() + (out ? " cannot send for " : " hears nothing for ") + ms(time));
  (out ? victim.link.cut_out : victim.link.cut_in) = true;
  stretched_time_ = true;
  scene_.world.after(time,
                     [&victim, out] { (out ? victim.link.cut_out : victim.link.cut_in) = false; });
}

void Faults::blackhole_direct_one_way() {
  Machine* from = scene_.agents[dice_.below(scene_.agents.size())];
  Machine* to = scene_.connectors[dice_.below(scene_.connectors.size())];
  if (dice_.chance(0.5)) std::swap(from, to);
  const Duration time = some_time();
  scene_.world.note("nothing passes directly from " + from->name() + " to " + to->name() + " for " +
                    ms(time));
  holes_.emplace(from, to);
  scene_.world.after(time, [this, from, to] { holes_.erase({from, to}); });
}

// Its mappings are gone; the address may be another one, too.
void Faults::rebind_nat() {
  Network& home = any_node().network();
  if (home.is_internet()) return;
  const bool within_carrier = !home.outside()->is_internet();
  Network& victim = within_carrier && dice_.chance(0.5) ? *home.outside() : home;
  if (dice_.chance(0.5)) {
    scene_.world.note(victim.name() + "'s NAT forgets everything");
    return victim.nat().flush();
  }
  const bool public_one = victim.outside()->is_internet();
  ++new_addresses_;
  const base::Address address = public_one ? base::Address::v4({198, 19, 0, new_addresses_}, 0)
                                           : base::Address::v4({100, 64, 1, new_addresses_}, 0);
  scene_.world.note(victim.name() + "'s NAT gets another address, " + address.to_string());
  victim.nat().reboot(address);
}

// For good: routes change, and tunnels appear on the way.
void Faults::shrink_mtu() {
  static constexpr std::array<std::size_t, 4> sizes = {1432, 1400, 1280, 1200};
  Machine& victim = any_node();
  const std::size_t size = sizes.at(dice_.below(sizes.size()));
  if (size >= victim.link.max_packet) return;
  scene_.world.note("to and from " + victim.name() + " pass no more than " + std::to_string(size) +
                    " octets");
  victim.link.max_packet = size;
}

void Faults::lose_much() {
  Machine& victim = any_machine();
  const Duration time = some_time();
  scene_.world.note(victim.name() + " loses a third for " + ms(time));
  const double before = std::exchange(victim.link.loss, 1.0 / 3);
  scene_.world.after(time, [this, &victim, before] {
    if (!over_) victim.link.loss = before;
  });
}

// --- of switches

void Faults::lose_first_packets_of_switches() {
  const auto packets = static_cast<int>(dice_.between(std::uint64_t{1}, std::uint64_t{4}));
  scene_.world.note("the first " + std::to_string(packets) + " packets of each switch get lost");
  switches_.lose_first(packets);
}

void Faults::restart_relay_at_switch() {
  const Duration later =
      dice_.chance(0.5) ? Duration{} : dice_.between(Duration{}, Duration(200ms));
  const Duration away = some_time();
  switches_.at_next_switch([this, later, away] {
    scene_.world.after(later, [this, away] {
      if (!over_) restart(*scene_.relay, away);
    });
  });
}

}  // namespace ztna::sim
