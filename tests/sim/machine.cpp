#include "sim/machine.hpp"

#include <algorithm>

#include "sim/world.hpp"

namespace ztna::sim {
namespace {

std::vector<base::Address> addresses_of(const std::vector<LocalAddress>& local) {
  std::vector<base::Address> addresses;
  for (const LocalAddress& one : local) addresses.push_back(one.address);
  return addresses;
}

}  // namespace

Machine::Machine(World& world, std::string name, Network& network, std::vector<LocalAddress> local)
    : name_(std::move(name)), world_(world), network_(&network), local_(std::move(local)) {
  Topology::join(network, *this, addresses_of(local_));
}

void Machine::install(Factory factory) {
  factory_ = std::move(factory);
  start();
}

void Machine::start() {
  if (part_) return;
  world_.note(name_ + " starts");
  part_ = factory_();
  part_->addresses(local_, now());
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
      receive(waiting.from, waiting.to, waiting.ecn, waiting.payload);
    }
  });
}

void Machine::jump(Duration ahead) {
  world_.note(name_ + "'s clock jumps by " + std::to_string(base::to_ms(ahead)) + " ms");
  ahead_ += ahead;
}

Time Machine::now() const { return world_.now() + ahead_; }

bool Machine::frozen() const { return frozen_until_ > world_.now(); }

void Machine::move(Network& network, std::vector<LocalAddress> local) {
  world_.note(name_ + " moves to " + network.name());
  Topology::leave(*network_, *this);
  network_ = &network;
  local_ = std::move(local);
  Topology::join(network, *this, addresses_of(local_));
  if (part_) part_->addresses(local_, now());
}

const base::Address* Machine::source_of(const base::Outgoing& packet) const {
  const auto fits = [&](const LocalAddress& local) {
    return local.socket == packet.socket && local.address.family() == packet.to.family() &&
           (packet.from.is_unspecified() || local.address.with_port(0) == packet.from.with_port(0));
  };
  const auto found = std::ranges::find_if(local_, fits);
  return found == local_.end() ? nullptr : &found->address;
}

void Machine::receive(const base::Address& from, const base::Address& to, std::uint8_t ecn,
                      base::BytesView payload) {
  if (!part_) return;
  if (frozen()) {
    if (inbox_.size() < socket_buffer) {
      inbox_.push_back({from, to, ecn, base::Bytes(payload.begin(), payload.end())});
    }
    return;
  }
  const auto found = std::ranges::find(local_, to, &LocalAddress::address);
  if (found == local_.end()) return;
  part_->receive({found->socket, from, to, ecn, payload}, now());
}

}  // namespace ztna::sim
