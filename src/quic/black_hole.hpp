// Notices that a path no longer carries packets of the size that it once did (RFC 8899 §4.3), which
// ngtcp2 does not: large packets vanish while small ones are acknowledged. Told by what becomes of
// DATAGRAM frames, which is what fills the large packets of an uplink. Pure.
//
//   open    large packets may be sent   two lost, well apart, and none arrived  → capped
//   capped  no packet above the floor   raise_after, or another path            → open
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/time.hpp"

namespace ztna::quic {

class BlackHole {
 public:
  // What every path of QUIC carries (RFC 9000 §14).
  static constexpr std::size_t floor = 1200;
  // RFC 8899's PMTU_RAISE_TIMER: then the larger size is tried again.
  static constexpr base::Duration raise_after = std::chrono::minutes(10);

  // Losses that are so far apart, or a round trip, have not been in one full queue.
  static constexpr base::Duration apart = std::chrono::milliseconds(100);

  // A packet above the floor was acknowledged, or declared lost.
  void arrived() { losses_ = 0; }
  void lost(base::Time now, base::Duration round_trip) {
    if (losses_++ == 0) {
      first_loss_ = now;
    } else if (now - first_loss_ >= std::max(round_trip, apart)) {
      capped_until_ = now + raise_after;
      losses_ = 0;
    }
  }
  void path_changed() { *this = {}; }

  [[nodiscard]] bool capped(base::Time now) const { return now < capped_until_; }

 private:
  std::uint32_t losses_ = 0;  // since the last arrival
  base::Time first_loss_{}, capped_until_{};
};

}  // namespace ztna::quic
