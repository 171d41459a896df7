// What strangers may cost before they have proven anything: how many handshakes at a time, how many
// a second from one network, how many STUN answers. Pure.
#pragma once

#include <cstddef>
#include <unordered_map>

#include "base/address.hpp"
#include "base/time.hpp"
#include "base/token_bucket.hpp"

namespace ztna::intermediate {

// One bucket for each /24 (IPv4) or /56 (IPv6), in bounded memory.
class PrefixLimiter {
 public:
  static constexpr std::size_t max_prefixes = 16384;

  PrefixLimiter(double rate, double burst) : rate_(rate), burst_(burst) {}
  [[nodiscard]] bool take(const base::Address& from, base::Time now);

 private:
  double rate_, burst_;
  std::unordered_map<base::Address, base::TokenBucket> buckets_;
};

struct AdmissionLimits {
  std::size_t max_uplinks = 20000;
  // Handshakes under way altogether; above it, Retry for addresses not yet proven.
  std::size_t retry_threshold = 200;
  // Handshakes under way altogether; above it, nothing.
  std::size_t max_handshakes = 4000;
  // Of these, from one prefix: a whole site behind one NAT may come back at once, a handful of
  // strangers may not hold everyone's places. From half of it on, Retry.
  std::size_t max_handshakes_per_prefix = 128;
  // Handshakes a second and at once from everywhere before newcomers are answered by Retry: source
  // addresses can be invented, so prefixes alone are no limit.
  double total_rate = 200, total_burst = 400;
  // Handshakes a second and at once from one prefix before its packets are answered by Retry …
  double unproven_rate = 50, unproven_burst = 200;
  // … and, with the address proven by Retry, before they are dropped.
  double proven_rate = 500, proven_burst = 500;
};

class Admission {
 public:
  enum class Verdict { accept, retry, drop };

  explicit Admission(AdmissionLimits limits);

  // A token-less Initial: may it be accepted as it is?
  [[nodiscard]] bool wants_retry() const { return handshakes_ >= limits_.retry_threshold; }
  [[nodiscard]] Verdict admit(const base::Address& from, bool proven, base::Time now);
  void handshake_started(const base::Address& from);
  void handshake_ended(const base::Address& from);
  void uplink_up() { ++uplinks_; }
  void uplink_down() { --uplinks_; }
  [[nodiscard]] std::size_t handshakes() const { return handshakes_; }

 private:
  AdmissionLimits limits_;
  PrefixLimiter unproven_, proven_;
  base::TokenBucket total_;
  std::unordered_map<base::Address, std::size_t> handshakes_of_;  // by prefix
  std::size_t handshakes_ = 0, uplinks_ = 0;
};

}  // namespace ztna::intermediate
