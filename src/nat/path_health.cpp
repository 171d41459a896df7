#include "nat/path_health.hpp"

#include <algorithm>

#include "nat/timeouts.hpp"

namespace ztna::nat {
namespace {

constexpr std::size_t max_flights = 32;  // 3 s of heartbeats 150 ms apart, and some more
constexpr double loss_gain = 0.05;       // of the moving average: 3 s of active heartbeats

}  // namespace

void PathHealth::sent(const wire::stun::TransactionId& transaction, bool heartbeat, bool large,
                      base::Time now) {
  if (flights_.size() >= max_flights) flights_.erase(flights_.begin());
  flights_.push_back({transaction, now, heartbeat, large, false});
  last_sent_ = now;
}

bool PathHealth::answered(const wire::stun::TransactionId& transaction, base::Time now) {
  const auto found = std::ranges::find(flights_, transaction, &Flight::transaction);
  if (found == flights_.end()) return false;
  const Flight flight = *found;
  flights_.erase(found);
  const base::Duration sample = now - flight.at;
  // A late one tells of a process that was stopped, or of a queue that was full, and not of the
  // way: by some of them the path would look slower than the relay long after that is over. Of
  // checks in a burst nobody can say whether they are late, so one quick answer outweighs slow
  // ones.
  const bool late = flight.heartbeat && (flight.missed || now > overdue_at(flight));
  if (!proven()) {
    rtt_ = quick_rtt_ = sample;
  } else if (!late) {
    rtt_ = (7 * rtt_ + sample) / 8;
    quick_rtt_ = std::min(sample, (7 * quick_rtt_ + sample) / 8);
  }
  if (flight.heartbeat) {
    // What had been counted as lost was late.
    loss_ = flight.missed ? std::max(0.0, loss_ - loss_gain) : loss_ * (1 - loss_gain);
  }
  last_answer_ = now;
  missed_small_ = 0;
  if (flight.large) missed_large_ = 0;
  return true;
}

base::Time PathHealth::overdue_at(const Flight& flight) const {
  if (flight.missed || !flight.heartbeat) return flight.at + timeouts::answer_patience;
  return flight.at + patience();
}

base::Duration PathHealth::patience() const {
  return 2 * std::max(rtt_, expected_rtt_) + timeouts::answer_slack;
}

void PathHealth::expire(base::Time now) {
  for (Flight& flight : flights_) {
    if (flight.missed || !flight.heartbeat || overdue_at(flight) > now) continue;
    flight.missed = true;
    loss_ = loss_ * (1 - loss_gain) + loss_gain;
    ++(flight.large ? missed_large_ : missed_small_);
  }
  std::erase_if(flights_, [now](const Flight& flight) {
    return now >= flight.at + timeouts::answer_patience && (flight.missed || !flight.heartbeat);
  });
}

base::Time PathHealth::next_deadline() const {
  base::Time at = base::never;
  for (const Flight& flight : flights_) at = std::min(at, overdue_at(flight));
  return at;
}

void PathHealth::restart() {
  flights_.clear();
  expected_rtt_ = {};
  missed_small_ = missed_large_ = 0;
}

void PathHealth::forget_loss() { loss_ = 0; }

void PathHealth::forget() {
  restart();
  last_answer_ = {};
}

int PathHealth::missed() const {
  return std::max(missed_small_ + (missed_large_ > 0 ? 1 : 0), missed_large_);
}

}  // namespace ztna::nat
