// Notices that a connection's window is full of packets that nobody will ever acknowledge. ngtcp2
// arms no probe time-out for DATAGRAM frames and path challenges: when the last ones that fit the
// window are all lost, nothing more may be sent, so nothing is acknowledged, and they are never
// declared lost. Only its owner can help then: with another path, or another connection. Pure.
#pragma once

#include <cstdint>

#include "base/time.hpp"

namespace ztna::quic {

class Stall {
 public:
  // Longer than the first probe time-outs, which change what is in flight.
  static constexpr base::Duration patience = std::chrono::milliseconds(1500);

  // After each batch. `full`: no further packet fits.
  void window(bool full, std::uint64_t in_flight, base::Time now) {
    if (full && since_ != base::never && in_flight == in_flight_) return;
    since_ = full ? now : base::never;
    in_flight_ = in_flight;
    heard_ = 0;
  }
  // A packet came in: the peer is there, and silent about ours.
  void heard() { ++heard_; }

  [[nodiscard]] bool stalled(base::Time now) const {
    return since_ != base::never && now - since_ >= patience && heard_ >= enough;
  }
  [[nodiscard]] base::Time deadline(base::Time now) const {
    return since_ != base::never && now < since_ + patience ? since_ + patience : base::never;
  }

 private:
  static constexpr int enough = 3;
  base::Time since_ = base::never;
  std::uint64_t in_flight_ = 0;
  int heard_ = 0;
};

}  // namespace ztna::quic
