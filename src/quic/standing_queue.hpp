// Keeps a connection's streams from building a queue in front of its DATAGRAMs. A congestion
// control that looks at losses fills the buffer of the narrowest line on the way, and every packet
// of a game waits in it, whoever goes first here. So while DATAGRAMs are being sent, streams may
// have no more under way than the line carries in a round trip without a queue, and a little (as in
// TCP Vegas, FAST and LEDBAT, RFC 6817). Congestion control goes on below that limit. Pure.
//
//   off    no DATAGRAM for `active_for`: no limit
//   on     each round: limit = under way × (least RTT + target) / RTT of this round
//
// The RTT of a round is its smallest sample, which jitter does not raise. Somebody else's queue
// makes the streams give way, down to `least`; after `memory` it counts as the line's own delay.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/time.hpp"

namespace ztna::quic {

class StandingQueue {
 public:
  // Games send 20 datagrams a second and more, calls 50.
  static constexpr base::Duration active_for = std::chrono::seconds(1);
  // What streams may add to each datagram's way: enough to notice that the line is full.
  static constexpr base::Duration target = std::chrono::milliseconds(10);
  // Long lines vary more.
  static constexpr std::int64_t target_share = 8;
  // A round is at least as long, so that one of its packets passes a noisy line without delay.
  static constexpr base::Duration round = std::chrono::milliseconds(100);
  // RFC 9002's initial window, about: less would not get a line's attention.
  static constexpr std::uint64_t least = 14'720;
  // LEDBAT's base delays are ten minutes old at most; a game should not wait so long for its peer's
  // streams to come back.
  static constexpr base::Duration memory = std::chrono::seconds(30);

  static constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

  void path_changed() {
    const base::Time last = last_datagram_;
    *this = {};
    last_datagram_ = last;
  }
  void datagram_sent(base::Time now) { last_datagram_ = now; }

  // After each batch: the newest RTT sample, and what is under way.
  void sample(base::Duration rtt, std::uint64_t in_flight, base::Time now) {
    if (rtt <= base::Duration{}) return;
    remember(rtt, now);
    if (!active(now)) {
      limit_ = unlimited;
      measure_from_ = now;
      return;
    }
    if (limit_ == unlimited) {  // it begins: what is under way may be a full queue already
      limit_ = wanted(in_flight, rtt);
      begin_round(now, rtt);
      return;
    }
    if (now < measure_from_) return;
    round_rtt_ = std::min(round_rtt_, rtt);
    round_in_flight_ = std::max(round_in_flight_, in_flight);
    if (now < round_over_) return;
    const std::uint64_t fits = wanted(round_in_flight_, round_rtt_);
    const bool queued = round_rtt_ > base_rtt() + allowed();
    // Who sends little learns nothing of what the line carries.
    limit_ = queued ? fits : std::max(limit_, fits);
    begin_round(now, round_rtt_);
  }

  // The most that may be under way for streams to send more.
  [[nodiscard]] std::uint64_t limit(base::Time now) const {
    return active(now) ? limit_ : unlimited;
  }

 private:
  [[nodiscard]] bool active(base::Time now) const {
    return last_datagram_ != base::never && now - last_datagram_ < active_for;
  }
  [[nodiscard]] base::Duration base_rtt() const { return std::min(base_, base_before_); }
  [[nodiscard]] base::Duration allowed() const {
    return std::max(target, base_rtt() / target_share);
  }
  [[nodiscard]] std::uint64_t wanted(std::uint64_t in_flight, base::Duration rtt) const {
    const auto share =
        static_cast<double>((base_rtt() + allowed()).count()) / static_cast<double>(rtt.count());
    return std::max(least, static_cast<std::uint64_t>(static_cast<double>(in_flight) * share));
  }
  void remember(base::Duration rtt, base::Time now) {
    if (now >= memory_over_) {
      base_before_ = base_;
      base_ = base::Duration::max();
      memory_over_ = now + memory;
    }
    base_ = std::min(base_, rtt);
  }
  // What is measured now was sent under the old limit: that of the new one comes a round trip
  // later.
  void begin_round(base::Time now, base::Duration rtt) {
    measure_from_ = now + rtt;
    round_over_ = measure_from_ + std::max(rtt, round);
    round_rtt_ = base::Duration::max();
    round_in_flight_ = 0;
  }

  base::Time last_datagram_ = base::never;
  std::uint64_t limit_ = unlimited;
  base::Duration base_ = base::Duration::max();         // the least RTT since memory_over_ - memory
  base::Duration base_before_ = base::Duration::max();  // and in the time before that
  base::Time memory_over_{};
  base::Time measure_from_{};
  base::Time round_over_{};
  base::Duration round_rtt_ = base::Duration::max();
  std::uint64_t round_in_flight_ = 0;
};

}  // namespace ztna::quic
