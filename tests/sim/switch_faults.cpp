#include "sim/switch_faults.hpp"

#include "wire/stun.hpp"

namespace ztna::sim {

void SwitchFaults::stop() {
  lost_each_ = 0;
  action_ = nullptr;
  ways_.clear();
}

bool SwitchFaults::has_moved(const Machine& machine) {
  const node::Node* const node = scene_.node_on(machine);
  if (node == nullptr) return false;
  Time& known = last_switch_[&machine];
  bool moved = false;
  for (const session::Session* const session : node->sessions()) {
    if (session->switches().empty() || session->switches().back().at <= known) continue;
    known = session->switches().back().at;
    moved = true;
  }
  return moved;
}

bool SwitchFaults::takes(const Machine& from, const Machine& to, base::BytesView packet) {
  if (lost_each_ == 0 && !action_) return false;
  if (has_moved(from)) {
    for (auto& [ends, way] : ways_) {
      if (ends.first == &from) way.to_lose = lost_each_;
    }
    if (const auto action = std::exchange(action_, nullptr)) action();
  }
  if (wire::stun::is_stun(packet)) return false;
  Way& way = ways_[{&from, &to}];
  const bool direct = &from != scene_.relay && &to != scene_.relay;
  if (direct && scene_.world.now() - way.last_packet > silence) way.to_lose = lost_each_;
  way.last_packet = scene_.world.now();
  if (way.to_lose == 0) return false;
  --way.to_lose;
  return true;
}

}  // namespace ztna::sim
