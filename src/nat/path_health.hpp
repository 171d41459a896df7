// What checks tell about one way to the peer: does it answer, how fast, how often not.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/time.hpp"
#include "nat/choice.hpp"
#include "wire/stun.hpp"

namespace ztna::nat {

class PathHealth {
 public:
  // A check left. `heartbeat`: it is missed when no answer comes in time. `large`: padded.
  void sent(const wire::stun::TransactionId& transaction, bool heartbeat, bool large,
            base::Time now);
  // An answer. False: to none of our checks, or too late to matter.
  [[nodiscard]] bool answered(const wire::stun::TransactionId& transaction, base::Time now);
  // What packets of the session take now: a queue that has just filled makes answers late, and late
  // ones are not missed.
  void expect_round_trip(base::Duration rtt) { expected_rtt_ = rtt; }
  // Counts what has been missed by now.
  void expire(base::Time now);
  // When the next check in flight will be missed.
  [[nodiscard]] base::Time next_deadline() const;
  // Forgets what is in flight and was missed: a new beginning.
  void restart();
  // What was lost while it was in use says nothing about a path that is tried again much later.
  void forget_loss();
  // How long an answer may take that is not missed.
  [[nodiscard]] base::Duration patience() const;
  // It has to prove itself anew.
  void forget();

  [[nodiscard]] bool proven() const { return last_answer_ != base::Time{}; }
  [[nodiscard]] base::Time last_answer() const { return last_answer_; }
  [[nodiscard]] base::Time last_sent() const { return last_sent_; }
  // Missed in a row: of all heartbeats, or of the large ones.
  [[nodiscard]] int missed() const;
  // The round trip: what it took lately when nothing held it up.
  [[nodiscard]] PathQuality quality() const { return {quick_rtt_, loss_}; }

 private:
  struct Flight {
    wire::stun::TransactionId transaction;
    base::Time at;
    bool heartbeat = false, large = false, missed = false;
  };
  [[nodiscard]] base::Time overdue_at(const Flight& flight) const;

  std::vector<Flight> flights_;
  base::Time last_answer_{}, last_sent_{};
  base::Duration rtt_{}, quick_rtt_{};  // averages; the second one falls at once
  base::Duration expected_rtt_{};
  double loss_ = 0;
  int missed_small_ = 0, missed_large_ = 0;
};

}  // namespace ztna::nat
