#include "intermediate/admission.hpp"

namespace ztna::intermediate {
namespace {

base::Address prefix_of(const base::Address& from) { return from.prefix(from.is_v4() ? 24 : 56); }

}  // namespace

bool PrefixLimiter::take(const base::Address& from, base::Time now) {
  const base::Address key = prefix_of(from);
  auto found = buckets_.find(key);
  if (found == buckets_.end()) {
    if (buckets_.size() >= max_prefixes) {
      std::erase_if(buckets_, [&](const auto& entry) { return entry.second.idle(now); });
      // Still full: so many prefixes are busy that only those already known are served.
      if (buckets_.size() >= max_prefixes) return false;
    }
    found = buckets_.emplace(key, base::TokenBucket(rate_, burst_)).first;
  }
  return found->second.take(1, now);
}

Admission::Admission(AdmissionLimits limits)
    : limits_(limits),
      unproven_(limits.unproven_rate, limits.unproven_burst),
      proven_(limits.proven_rate, limits.proven_burst),
      total_(limits.total_rate, limits.total_burst) {}

Admission::Verdict Admission::admit(const base::Address& from, bool proven, base::Time now) {
  if (uplinks_ >= limits_.max_uplinks || handshakes_ >= limits_.max_handshakes) {
    return Verdict::drop;
  }
  const auto same_prefix = handshakes_of_.find(prefix_of(from));
  const std::size_t of_prefix = same_prefix == handshakes_of_.end() ? 0 : same_prefix->second;
  if (proven) {
    const bool room = of_prefix < limits_.max_handshakes_per_prefix;
    return room && proven_.take(from, now) ? Verdict::accept : Verdict::drop;
  }
  // The other half of a prefix's places is for proven addresses: no invented one can take it.
  if (handshakes_ >= limits_.retry_threshold ||
      of_prefix >= limits_.max_handshakes_per_prefix / 2) {
    return Verdict::retry;
  }
  return unproven_.take(from, now) && total_.take(1, now) ? Verdict::accept : Verdict::retry;
}

void Admission::handshake_started(const base::Address& from) {
  ++handshakes_;
  ++handshakes_of_[prefix_of(from)];
}

void Admission::handshake_ended(const base::Address& from) {
  --handshakes_;
  const auto found = handshakes_of_.find(prefix_of(from));
  if (--found->second == 0) handshakes_of_.erase(found);
}

}  // namespace ztna::intermediate
