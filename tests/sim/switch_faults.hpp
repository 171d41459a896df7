// What goes wrong in the very moments in which a session moves from one path to another.
#pragma once

#include <functional>
#include <map>

#include "sim/scene.hpp"

namespace ztna::sim {

class SwitchFaults {
 public:
  explicit SwitchFaults(Scene& scene) : scene_(scene) {}

  // So many packets are lost at the beginning of every move, each way: those that try a direct path
  // that was silent, and those that leave by the new path once a session has moved.
  void lose_first(int packets) { lost_each_ = packets; }
  // Called once, when the next session moves.
  void at_next_switch(std::function<void()> action) { action_ = std::move(action); }
  void stop();

  // Is this packet to be lost? For World::filter.
  [[nodiscard]] bool takes(const Machine& from, const Machine& to, base::BytesView packet);

 private:
  // A direct path on which nothing of QUIC was sent for so long is tried anew.
  static constexpr Duration silence = 1s;
  struct Way {
    Time last_packet{};
    int to_lose = 0;
  };
  // Has a session on that machine moved since this was asked last?
  [[nodiscard]] bool has_moved(const Machine& machine);

  Scene& scene_;
  int lost_each_ = 0;
  std::function<void()> action_;
  std::map<std::pair<const Machine*, const Machine*>, Way> ways_;
  std::map<const Machine*, Time> last_switch_;
};

}  // namespace ztna::sim
