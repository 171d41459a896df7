#include "sim/world.hpp"

#include <algorithm>
#include <cstdio>

#include "unit/identity/test_certificates.hpp"

namespace ztna::sim {
namespace {

// A part that wants to be called again at the same moment more often than this never rests.
constexpr int max_turns = 2000;

constexpr std::uint8_t default_ttl = 64;
// What has less left was sent with less.
constexpr std::uint8_t smallest_usual_ttl = 32;

}  // namespace

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
  return add_machine(name, internet(), {{0, address}});
}

Machine& World::add_machine(const std::string& name, Network& network,
                            std::vector<LocalAddress> local) {
  machines_.push_back(std::make_unique<Machine>(*this, name, network, std::move(local)));
  return *machines_.back();
}

Network& World::add_network(const std::string& name, const NatBehaviour& nat,
                            const base::Address& public_address, Network& outside) {
  return topology_.add(name, outside, std::make_unique<Nat>(nat, public_address, fork()));
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
      const Time deadline = machine->part_->next_deadline() - machine->ahead_;
      next = std::min(next, std::max(deadline, machine->frozen_until_));
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
  const Time now = machine.now();
  for (int turn = 0; turn < max_turns; ++turn) {
    if (part.next_deadline() <= now) part.expire(now);
    for (;;) {
      const base::Outgoing out = part.transmit(buffer_, now);
      if (out.size == 0) break;
      for (std::size_t at = 0; at < out.size; at += out.segment) {
        send(machine, out,
             base::BytesView(buffer_).subspan(at, std::min(out.segment, out.size - at)));
      }
    }
    if (part.next_deadline() > now) return;
  }
  violation(machine.name_ + " never rests");
  machine.kill();
}

// --- packets

void World::send(Machine& from, const base::Outgoing& out, base::BytesView packet) {
  const base::Address* const source = from.source_of(out);
  if (source == nullptr) return;
  ++packets_;
  for (const std::uint64_t part :
       {base::to_ns(now_), std::uint64_t{std::hash<base::Address>()(*source)},
        std::uint64_t{std::hash<base::Address>()(out.to)}, std::uint64_t{packet.size()}}) {
    digest_ = mix(digest_ ^ part);
  }
  Flight flight{
      .header = {.from = *source, .to = out.to, .ttl = out.ttl == 0 ? default_ttl : out.ttl},
      .place = {},
      .ecn = out.ecn,
      .payload = base::Bytes(packet.begin(), packet.end()),
      .from = &from};
  const Topology::Climbed climbed = topology_.climb(*from.network_, flight.header, now_);
  if (climbed.met == nullptr) {
    return log(from, "?", flight.header, packet, climbed.fate);
  }
  flight.place = climbed.place;
  flight.met = climbed.met;
  // Towards a router that has nobody behind it, the sender's own link is all there is.
  const Machine* target = topology_.destination(flight.place, flight.header.to, now_);
  if (target == nullptr) target = &from;
  const char* const fate = weather(from, *target, packet);
  log(from, target->name_, flight.header, packet, fate);
  if (*fate != '\0') return;
  const auto launched = std::make_shared<const Flight>(std::move(flight));
  launch(from, *target, launched, {});
  if (weather_.chance(from.link.duplicate) || weather_.chance(target->link.duplicate)) {
    launch(from, *target, launched, weather_.between(Duration{}, Duration(5ms)));
  }
}

const char* World::weather(const Machine& from, const Machine& to, base::BytesView packet) {
  const bool refused = filter && !filter(from, to, packet);
  if (refused) return "dropped by the scenario";
  if (from.link.cut || to.link.cut || from.link.cut_out || to.link.cut_in) return "cut";
  if (packet.size() > std::min(from.link.max_packet, to.link.max_packet)) return "too large";
  if (weather_.chance(from.link.loss) || weather_.chance(to.link.loss)) return "lost";
  return "";
}

void World::launch(const Machine& from, const Machine& to,
                   const std::shared_ptr<const Flight>& flight, Duration extra) {
  Duration delay = extra;
  if (flight->met->is_internet()) {
    for (const Machine* end : {&from, &to}) {
      delay += end->link.delay + weather_.between(Duration{}, end->link.jitter);
      if (weather_.chance(end->link.late)) delay += 3 * end->link.delay;
    }
  } else {
    delay += flight->met->delay;
  }
  after(delay, [this, flight] { arrive(*flight); });
}

void World::arrive(const Flight& flight) {
  Header header = flight.header;
  const Topology::Descended end = topology_.descend(flight.place, header, now_);
  if (end.machine == nullptr) {
    return log(*flight.from, "?", header, flight.payload, end.fate);
  }
  end.machine->receive(header.from, header.to, flight.ecn, flight.payload);
}

// --- what is said about it

void World::show(Show what) {
  log_.reset();
  if (what != Show::nothing) log_ = std::make_unique<PacketLog>(what == Show::every_packet);
}

void World::log(const Machine& from, const std::string& to, const Header& header,
                base::BytesView packet, const char* fate) {
  if (!log_) return;
  std::string what = describe_packet(packet);
  if (header.ttl < smallest_usual_ttl) what = "opener, TTL " + std::to_string(header.ttl) + " left";
  log_->packet(age(), {from.name_, to, header.from, header.to, what, fate}, packet.size());
}

void World::note(const std::string& text) {
  if (log_) log_->note(age(), text);
}

void World::violation(const std::string& text) {
  note("VIOLATION: " + text);
  char at[32];
  std::snprintf(at, sizeof at, "%.6f", base::to_ms(age()) / 1000);
  violations_.push_back(std::string(at) + " s: " + text);
}

}  // namespace ztna::sim
