#include "sim/world.hpp"

#include <algorithm>
#include <cstdio>

#include "unit/identity/test_certificates.hpp"

namespace ztna::sim {
namespace {

// A part that wants to be called again at the same moment more often than this never rests.
constexpr int max_turns = 2000;

std::string describe(base::BytesView packet) {
  if (packet.empty()) return "empty";
  if (packet[0] < 64) return "STUN";
  if ((packet[0] & 0x80) == 0) return "1-RTT or reset";
  static constexpr const char* names[] = {"Initial", "0-RTT", "Handshake", "Retry"};
  return names[packet[0] >> 4 & 3];
}

}  // namespace

// --- machines

void Machine::install(Factory factory) {
  factory_ = std::move(factory);
  start();
}

void Machine::start() {
  if (part_) return;
  world_.note(name_ + " starts");
  part_ = factory_();
}

void Machine::kill() {
  world_.note(name_ + " is killed");
  part_.reset();
  inbox_.clear();
  frozen_until_ = {};
}

void Machine::restart_after(Duration pause) {
  kill();
  world_.after(pause, [this] { start(); });
}

void Machine::freeze(Duration time) {
  world_.note(name_ + " freezes");
  frozen_until_ = world_.now() + time;
  world_.after(time, [this] {
    world_.note(name_ + " goes on");
    for (Waiting& waiting : std::exchange(inbox_, {})) {
      if (!part_) return;
      part_->receive({0, waiting.from, address_, waiting.ecn, waiting.payload}, world_.now());
    }
  });
}

bool Machine::frozen() const { return frozen_until_ > world_.now(); }

// --- the world

World::World(std::uint64_t seed)
    : wall_{identity::test_now, now_},
      random_(mix(seed)),
      weather_(mix(~seed)),
      buffer_(base::transmit_buffer_size) {}

void World::stop() {
  for (const auto& machine : machines_) machine->part_.reset();
}

Machine& World::add_machine(const std::string& name, const base::Address& address) {
  machines_.push_back(std::make_unique<Machine>(*this, name, address));
  by_address_[address] = machines_.back().get();
  return *machines_.back();
}

void World::at(Time when, std::function<void()> action) {
  events_.push({std::max(when, now_), order_++, std::move(action)});
}

bool World::run(const std::function<bool()>& done, Duration limit) {
  const Time end = now_ + limit;
  pump_all();
  while (!done()) {
    Time next = events_.empty() ? base::never : events_.top().at;
    for (const auto& machine : machines_) {
      if (!machine->part_) continue;
      next = std::min(next, std::max(machine->part_->next_deadline(), machine->frozen_until_));
    }
    if (next > end) {
      now_ = end;
      return done();
    }
    step_to(std::max(now_, next));
  }
  return true;
}

void World::idle(Duration time) {
  run([] { return false; }, time);
}

void World::step_to(Time when) {
  now_ = when;
  while (!events_.empty() && events_.top().at <= now_) {
    const auto action = events_.top().action;
    events_.pop();
    action();
  }
  pump_all();
}

void World::pump_all() {
  for (const auto& machine : machines_) pump(*machine);
}

void World::pump(Machine& machine) {
  if (!machine.part_ || machine.frozen()) return;
  Part& part = *machine.part_;
  for (int turn = 0; turn < max_turns; ++turn) {
    if (part.next_deadline() <= now_) part.expire(now_);
    for (;;) {
      const base::Outgoing out = part.transmit(buffer_, now_);
      if (out.size == 0) break;
      for (std::size_t at = 0; at < out.size; at += out.segment) {
        send(machine, out.to, out.ecn,
             base::BytesView(buffer_).subspan(at, std::min(out.segment, out.size - at)));
      }
    }
    if (part.next_deadline() > now_) return;
  }
  violation(machine.name_ + " never rests");
  machine.kill();
}

// --- packets

void World::send(Machine& from, const base::Address& to, std::uint8_t ecn, base::BytesView packet) {
  const auto found = by_address_.find(to);
  if (found == by_address_.end()) return;
  Machine& target = *found->second;
  ++packets_;
  for (const std::uint64_t part :
       {base::to_ns(now_), std::uint64_t{std::hash<base::Address>()(from.address_)},
        std::uint64_t{std::hash<base::Address>()(to)}, std::uint64_t{packet.size()}}) {
    digest_ = mix(digest_ ^ part);
  }
  const char* fate = "";
  const bool refused = filter && !filter(from, target, packet);
  const auto either = [&](auto field) { return from.link.*field || target.link.*field; };
  if (refused) {
    fate = "  dropped by the scenario";
  } else if (either(&Link::cut)) {
    fate = "  cut";
  } else if (packet.size() > std::min(from.link.max_packet, target.link.max_packet)) {
    fate = "  too large";
  } else if (weather_.chance(from.link.loss) || weather_.chance(target.link.loss)) {
    fate = "  lost";
  }
  trace(from, target, packet, fate);
  if (*fate != '\0') return;
  launch(from, target, ecn, packet, {});
  if (weather_.chance(from.link.duplicate) || weather_.chance(target.link.duplicate)) {
    launch(from, target, ecn, packet, weather_.between(Duration{}, Duration(5ms)));
  }
}

void World::launch(Machine& from, Machine& to, std::uint8_t ecn, base::BytesView packet,
                   Duration extra) {
  Duration delay = extra;
  for (const Machine* end : {&from, &to}) {
    delay += end->link.delay + weather_.between(Duration{}, end->link.jitter);
    if (weather_.chance(end->link.late)) delay += 3 * end->link.delay;
  }
  after(delay,
        [this, &from, &to, ecn, octets = base::Bytes(packet.begin(), packet.end())]() mutable {
          deliver(from, to, ecn, octets);
        });
}

void World::deliver(Machine& from, Machine& to, std::uint8_t ecn, base::Bytes& packet) {
  if (!to.part_) return;
  if (to.frozen()) {
    if (to.inbox_.size() < Machine::socket_buffer) {
      to.inbox_.push_back({from.address_, ecn, std::move(packet)});
    }
    return;
  }
  to.part_->receive({0, from.address_, to.address_, ecn, packet}, now_);
}

// --- what is said about it

void World::trace(const Machine& from, const Machine& to, base::BytesView packet,
                  const char* fate) {
  if (!printing_) return;
  std::printf("%12.6f  %-8s -> %-8s %5zu  %s%s\n",
              base::to_ms(now_.time_since_epoch() - 1000s) / 1000, from.name_.c_str(),
              to.name_.c_str(), packet.size(), describe(packet).c_str(), fate);
}

void World::note(const std::string& text) {
  if (!printing_) return;
  std::printf("%12.6f  # %s\n", base::to_ms(now_.time_since_epoch() - 1000s) / 1000, text.c_str());
}

void World::violation(const std::string& text) {
  note("VIOLATION: " + text);
  char at[32];
  std::snprintf(at, sizeof at, "%.6f", base::to_ms(now_.time_since_epoch() - 1000s) / 1000);
  violations_.push_back(std::string(at) + " s: " + text);
}

}  // namespace ztna::sim
