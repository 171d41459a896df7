#include "nat/prober.hpp"

#include <algorithm>
#include <array>

#include "nat/timeouts.hpp"

namespace ztna::nat {
namespace {

constexpr std::size_t max_pairs = 32;    // the peer's candidates, and where its checks came from
constexpr std::size_t max_probes = 256;  // waiting to be sent
// Past one's own NATs (home, carrier) and short of the peer's: one packet for each.
constexpr std::array<std::uint8_t, 4> opener_ttls{2, 3, 4, 5};
// Every so many heartbeats one is as large as the session's packets.
constexpr std::uint32_t large_beat = 4;
// A request that is no answer to a check of ours may cause one this often.
constexpr base::Duration trigger_gap = std::chrono::milliseconds(20);
// ... and so many in a round: each may be lost.
constexpr int max_triggered = 3;
// And an answer that says "not proven here yet" so many in a round.
constexpr int max_extra_checks = 8;
// Peers' addresses that a round may learn from their checks. Where both NATs give each new remote
// endpoint a new mapping and let everything in, every answer would teach the other end another one,
// without an end. One peer of several addresses, and an honest chain of two, need fewer.
constexpr int max_learnt = 4;
// Addresses that are asked because a packet came from there that proves nothing: who can capture
// packets can send any number of them, in anyone's name.
constexpr int max_strangers = 2;
// Missed in a row although packets of the session arrive: one direction is dead.
constexpr int missed_is_one_way = 4;

// Sequence numbers are compared as RFC 1982 does.
bool newer(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) > 0; }

}  // namespace

Prober::Prober(Config config) : config_(std::move(config)) {}

// --- what is known

std::optional<base::SocketId> Prober::socket_for(const base::Address& remote) const {
  return remote.is_v4() ? config_.socket_v4 : config_.socket_v6;
}

Pair* Prober::add_pair(base::SocketId socket, const base::Address& remote, CandidateKind kind) {
  if (Pair* const known = find(socket, remote)) return known;
  if (pairs_.size() >= max_pairs) {
    // The one that was silent for longest, of those that nobody has named. There always is one:
    // peers name at most half as many.
    const auto silent = std::ranges::min_element(pairs_, {}, [this](const Pair& pair) {
      return pair.id == used_ || is_candidate(pair) ? base::never : pair.last_heard;
    });
    if (silent->id == used_ || is_candidate(*silent)) return nullptr;
    pairs_.erase(silent);
  }
  Pair pair;
  pair.id = ++last_pair_;
  pair.socket = socket;
  pair.remote = remote;
  pair.kind = kind;
  pairs_.push_back(std::move(pair));
  return &pairs_.back();
}

bool Prober::is_candidate(const Pair& pair) const {
  return std::ranges::find(remote_, pair.remote, &Candidate::address) != remote_.end();
}

Pair* Prober::find(base::SocketId socket, const base::Address& remote) {
  const auto found = std::ranges::find_if(
      pairs_, [&](const Pair& pair) { return pair.socket == socket && pair.remote == remote; });
  return found == pairs_.end() ? nullptr : &*found;
}

const Pair* Prober::pair(PairId id) const {
  const auto found = std::ranges::find(pairs_, id, &Pair::id);
  return id == 0 || found == pairs_.end() ? nullptr : &*found;
}

void Prober::set_own(const std::vector<Candidate>& candidates, base::Time now) {
  if (own_ == candidates) return;
  own_ = candidates;
  // An address of ours may be gone: which one to send from is learnt anew.
  for (Pair& pair : pairs_) pair.local = {};
  refresh(now);
}

void Prober::set_remote(const std::vector<Candidate>& candidates, base::Time now) {
  remote_ = sanitise(candidates);
  std::erase_if(remote_, [this](const Candidate& theirs) {
    return std::ranges::find(own_, theirs.address, &Candidate::address) != own_.end();
  });
  for (const Candidate& candidate : remote_) {
    if (const auto socket = socket_for(candidate.address)) {
      add_pair(*socket, candidate.address, candidate.kind);
    }
  }
  refresh(now);
}

void Prober::refresh(base::Time now) {
  if (!config_.controlling) return;
  retries_ = 0;
  const base::Time earliest = rounds_ == 0 ? now : last_round_ + timeouts::round_gap;
  round_at_ = std::min(round_at_, std::max(now, earliest));
}

bool Prober::take_round_request(base::Time now) {
  if (!config_.controlling || now < round_at_ || remote_.empty()) return false;
  round_at_ = base::never;
  last_round_ = now;
  ++rounds_;
  schedule_retry(now);
  return true;
}

void Prober::schedule_retry(base::Time now) {
  round_at_ = now + timeouts::retry.at(std::min(retries_, timeouts::retry.size() - 1));
  // What this round proves is no longer fresh when a longer rest of a pair ends: it gets a round
  // then, besides those that find nothing.
  const base::Time next_retry = round_at_;
  for (const Pair& pair : pairs_) {
    if (pair.hold_until > now + timeouts::fresh) round_at_ = std::min(round_at_, pair.hold_until);
  }
  if (round_at_ == next_retry) ++retries_;
}

bool Prober::start_round(base::Time at) {
  if (!config_.controlling) {
    // The peer says when, and whereto: without a limit it could have others flooded by us. An
    // honest one keeps to round_gap; the network may bring two of its requests closer together.
    if (rounds_ > 0 && at < last_round_ + timeouts::round_gap / 2) return false;
    last_round_ = at;
    ++rounds_;
  }
  openers_at_ = at;
  opener_rung_ = 0;
  learnt_ = 0;
  strangers_ = 0;
  const base::Duration ladder = timeouts::opener_gap * (opener_ttls.size() - 1);
  checks_at_ = at + ladder + timeouts::opener_lead +
               (relay_.proven() ? relay_.quality().rtt / 4 : base::Duration{});
  const base::Duration wait = config_.controlling ? timeouts::confirm_patience : base::Duration{};
  std::size_t addresses = 0, openers = 0;
  for (Pair& pair : pairs_) {
    pair.triggered = 0;
    pair.opens = false;
    if (pair.id != used_ && !is_candidate(pair) && !pair.health.proven()) continue;
    if (pair.id != used_) pair.health.forget_loss();
    ++addresses;
    pair.opens = !pair.health.proven() && ++openers <= timeouts::round_openers;
    pair.burst = 0;
    pair.extra_checks = 0;
    pair.next_check = checks_at_ + wait;
  }
  burst_stride_ = 1;
  while (addresses * (timeouts::burst.size() / burst_stride_) > timeouts::round_checks &&
         burst_stride_ < timeouts::burst.size() / 2) {
    burst_stride_ *= 2;
  }
  return true;
}

void Prober::confirm_round(std::uint32_t round, base::Time now) {
  if (!config_.controlling || round != rounds_ || checks_at_ == base::never) return;
  const base::Time at = std::max(now, checks_at_);
  checks_at_ = base::never;
  for (Pair& pair : pairs_) {
    if (pair.burst == 0) pair.next_check = std::min(pair.next_check, at);
  }
}

void Prober::set_relay(bool available, base::Time now) {
  relay_available_ = available;
  relay_.restart();
  if (available && config_.controlling) {
    now_ = now;
    check_relay(now);
  }
}

void Prober::use(PairId id, base::Time now) {
  if (used_ == id) return;
  used_ = id;
  doubtful_ = false;
  strangers_ = 0;
  for (Pair& pair : pairs_) {
    if (pair.id != id) continue;
    pair.health.restart();
    pair.burst = Pair::no_burst;
    pair.next_check = base::never;
    round_at_ = base::never;
    retries_ = 0;
  }
  // Back on the relay: try again soon.
  if (id == 0) refresh(now);
}

void Prober::note_round_trip(base::Duration rtt) {
  const auto found = std::ranges::find(pairs_, used_, &Pair::id);
  if (found != pairs_.end()) found->health.expect_round_trip(rtt);
}

void Prober::note_packet(PairId id, base::Time now) {
  const auto found = std::ranges::find(pairs_, id, &Pair::id);
  if (found != pairs_.end()) found->last_packet = now;
}

// Heard of lately, after an answer had proven it.
bool Prober::trusts(const Pair& pair, base::Time now) {
  return pair.health.proven() && now - pair.last_heard <= timeouts::trust;
}

bool Prober::looks_dead(const Pair& pair, base::Time now) {
  const int missed = pair.health.missed();
  if (missed >= missed_is_one_way) return true;
  const bool heard = now - pair.last_packet < pair.health.patience();
  return missed >= timeouts::missed_is_doubt && !heard;
}

void Prober::note_active(base::Time now) { active_until_ = now + timeouts::active_for; }

bool Prober::active(base::Time now) const { return now < active_until_; }

// --- doubt

void Prober::suspect(base::Time now) {
  if (used_ != 0) doubt(now);
}

void Prober::set_stalled(bool stalled, base::Time now) {
  if (stalled_ == stalled) return;
  stalled_ = stalled;
  if (stalled && relay_available_) check_relay(now);
}

void Prober::doubt(base::Time now) {
  if (doubtful_) return;
  doubtful_ = true;
  for (Pair& pair : pairs_) {
    if (pair.id == used_) hold(pair, now);
  }
  // The other end has to know: only the Agent can move the session.
  if (!config_.controlling && relay_available_) check_relay(now);
}

void Prober::hold(Pair& pair, base::Time now, base::Duration at_least) {
  const bool long_ago = now - pair.doubted_at > pair.hold + timeouts::hold_forget;
  const base::Duration longer =
      pair.hold == base::Duration{} || long_ago ? timeouts::hold_first : 2 * pair.hold;
  pair.hold = std::min(std::max(longer, at_least), timeouts::hold_max);
  pair.doubted_at = now;
  pair.hold_until = now + pair.hold;
  pair.peer_proven = false;
}

void Prober::rest(PairId id, base::Time now, base::Duration at_least) {
  const auto found = std::ranges::find(pairs_, id, &Pair::id);
  if (found == pairs_.end()) return;
  hold(*found, now, at_least);
  // Due already, but for later? A round that proves nothing fresh by then comes too soon.
  if (round_at_ != base::never && found->hold_until > last_round_ + timeouts::fresh) {
    round_at_ = std::min(round_at_, found->hold_until);
  }
}

bool Prober::relay_alive() const {
  return relay_available_ && relay_.missed() < timeouts::missed_is_doubt;
}

// --- engine: what comes in

bool Prober::receive(const base::Incoming& packet, const wire::stun::Message& message,
                     base::Time now) {
  now_ = now;
  const auto check = read_check(message, config_.their_key.expose());
  if (!check) {
    ++counters_.refused;
    return false;
  }
  Pair* pair = find(packet.socket, packet.from);
  if (pair == nullptr && check->request && checkable(packet.from) && learnt_ < max_learnt) {
    ++learnt_;
    pair = add_pair(packet.socket, packet.from, CandidateKind::peer_reflexive);
  }
  if (pair == nullptr) return true;
  if (check->request) {
    on_request(*pair, *check, packet, now);
  } else {
    on_answer(*pair, *check, now);
  }
  return true;
}

void Prober::on_request(Pair& pair, const Check& check, const base::Incoming& packet,
                        base::Time now) {
  ++counters_.requests;
  const bool fresh = pair.heard_sequence == 0 || newer(check.state.sequence, pair.heard_sequence);
  if (pair.health.proven() && !trusts(pair, now)) pair.health.forget();
  if (fresh) {
    pair.heard_sequence = check.state.sequence;
    pair.local = packet.to;
    pair.last_heard = now;
    pair.peer_proven = check.state.proven;
  }
  Probe probe;
  probe.socket = pair.socket;
  probe.to = pair.remote;
  probe.from = packet.to;
  std::array<std::uint8_t, max_check> buffer{};
  const CheckState state{++sequence_, trusts(pair, now), false};
  const auto answer =
      write_answer(buffer, check.transaction, state, pair.remote, config_.our_key.expose());
  probe.packet.assign(answer.begin(), answer.end());
  push(std::move(probe));
  // The triggered check of RFC 8445 §7.3.1.4: the peer's packets pass; do ours?
  if (fresh) trigger_check(pair, now);
}

void Prober::trigger_check(Pair& pair, base::Time now) {
  const bool wanted = !pair.health.proven() && now - pair.health.last_sent() >= trigger_gap &&
                      pair.triggered < max_triggered;
  if (!wanted) return;
  ++pair.triggered;
  send_check(pair, false, now);
}

void Prober::note_stranger(const base::Incoming& packet, base::Time now) {
  now_ = now;
  Pair* pair = find(packet.socket, packet.from);
  if (pair == nullptr && checkable(packet.from) && strangers_ < max_strangers) {
    ++strangers_;
    pair = add_pair(packet.socket, packet.from, CandidateKind::peer_reflexive);
    if (pair != nullptr) pair->local = packet.to;
  }
  if (pair == nullptr) return;
  if (pair->health.proven() && !trusts(*pair, now)) pair->health.forget();
  trigger_check(*pair, now);
}

void Prober::on_answer(Pair& pair, const Check& check, base::Time now) {
  if (!pair.health.answered(check.transaction, now)) return;
  ++counters_.answered;
  pair.last_heard = now;
  pair.peer_proven = check.state.proven;
  // Proven here: the burst has done its work. The peer learns it from one more check.
  if (pair.burst != Pair::no_burst && pair.peer_proven) {
    pair.burst = Pair::no_burst;
    pair.next_check = base::never;
  } else if (!pair.peer_proven && ++pair.extra_checks <= max_extra_checks) {
    send_check(pair, false, now);
  }
  if (pair.id == used_) doubtful_ = false;
}

bool Prober::receive_relayed(const wire::stun::Message& message, base::Time now) {
  now_ = now;
  const auto check = read_check(message, config_.their_key.expose());
  if (!check) {
    ++counters_.refused;
    return false;
  }
  if (!check->request) {
    if (relay_.answered(check->transaction, now)) ++counters_.relay_answered;
    return true;
  }
  ++counters_.relay_requests;
  if (relay_heard_sequence_ == 0 || newer(check->state.sequence, relay_heard_sequence_)) {
    relay_heard_sequence_ = check->state.sequence;
    if (check->state.doubt && used_ != 0) doubt(now);
    if (check->state.doubt && used_ == 0) path_wanted_ = true;
  }
  Probe probe;
  probe.relay = true;
  std::array<std::uint8_t, max_check> buffer{};
  const auto answer = write_answer(buffer, check->transaction, {++sequence_, true, doubtful_}, {},
                                   config_.our_key.expose());
  probe.packet.assign(answer.begin(), answer.end());
  push(std::move(probe));
  return true;
}

// --- engine: what goes out

void Prober::push(Probe probe) {
  if (probe.packet.empty() || probes_.size() >= max_probes) return;
  ++(probe.relay ? counters_.relay_sent : counters_.sent);
  probes_.push_back(std::move(probe));
}

bool Prober::next(Probe& probe) {
  if (probes_.empty()) return false;
  probe = std::move(probes_.front());
  probes_.pop_front();
  return true;
}

void Prober::send_opener(const Pair& pair, std::uint8_t ttl, base::Time now) {
  // In one LAN there is no NAT to open, and the peer would get them. What others see of us says
  // nothing of that: behind one carrier's NAT, or at one provider, there are two NATs in between.
  const bool near = std::ranges::any_of(own_, [&](const Candidate& own) {
    return own.kind == CandidateKind::host && same_prefix(own.address, pair.remote);
  });
  if (near) return;
  Probe probe;
  probe.socket = pair.socket;
  probe.to = pair.remote;
  probe.from = pair.local;
  probe.ttl = ttl;
  std::array<std::uint8_t, max_check> buffer{};
  // Where no NAT is near, one may arrive: it is a check like any other.
  const auto packet =
      write_request(buffer, make_transaction(config_.tag, *config_.random), config_.session,
                    {++sequence_, trusts(pair, now), false}, 0, config_.our_key.expose());
  probe.packet.assign(packet.begin(), packet.end());
  push(std::move(probe));
  now_ = now;
}

void Prober::send_check(Pair& pair, bool heartbeat, base::Time now) {
  const bool large = heartbeat && ++pair.beats % large_beat == 0 && packet_size_ > max_check;
  base::Bytes buffer(large ? packet_size_ + max_check : max_check);
  const auto transaction = make_transaction(config_.tag, *config_.random);
  const auto packet =
      write_request(buffer, transaction, config_.session, {++sequence_, trusts(pair, now), false},
                    large ? packet_size_ : 0, config_.our_key.expose());
  buffer.resize(packet.size());
  pair.health.sent(transaction, heartbeat, large, now);
  Probe probe;
  probe.socket = pair.socket;
  probe.to = pair.remote;
  probe.from = pair.local;
  probe.packet = std::move(buffer);
  push(std::move(probe));
}

void Prober::check_relay(base::Time now) {
  const auto transaction = make_transaction(config_.tag, *config_.random);
  std::array<std::uint8_t, max_check> buffer{};
  const auto packet =
      write_request(buffer, transaction, config_.session,
                    {++sequence_, true, doubtful_ || stalled_}, 0, config_.our_key.expose());
  relay_.sent(transaction, true, false, now);
  Probe probe;
  probe.relay = true;
  probe.packet.assign(packet.begin(), packet.end());
  push(std::move(probe));
}

// The Agent keeps the path in use alive; while data moves, each end watches it for itself.
bool Prober::keeps_alive(const Pair& pair, base::Time now) const {
  if (pair.id != used_) return false;
  return config_.controlling || active(now) || pair.health.missed() > 0;
}

base::Time Prober::heartbeat_at(const Pair& pair, base::Time now) const {
  if (!keeps_alive(pair, now)) return base::never;
  if (active(now) || pair.health.missed() > 0) {
    return pair.health.last_sent() + timeouts::heartbeat_active;
  }
  // QUIC's keep-alive, answered by this way, is as good as one.
  return std::max({pair.health.last_sent(), pair.last_heard, pair.last_packet}) +
         timeouts::heartbeat_idle;
}

base::Time Prober::relay_heartbeat_at(base::Time now) const {
  if (!relay_available_) return base::never;
  if (!config_.controlling) {
    // Until the Agent has moved away it is told again and again.
    return doubtful_ || stalled_ ? relay_.last_sent() + timeouts::heartbeat_active : base::never;
  }
  const Pair* const pair = used();
  const bool compared =
      pair != nullptr && active(now) && pair->health.quality().loss > timeouts::suspicious_loss;
  if (relay_.missed() > 0 || compared) return relay_.last_sent() + timeouts::heartbeat_active;
  return relay_.last_sent() +
         (active(now) ? timeouts::relay_heartbeat_active : timeouts::relay_heartbeat_idle);
}

void Prober::expire(base::Time now) {
  now_ = now;
  if (now >= openers_at_) {
    // One rung of the ladder after the other at both ends: a TTL that reaches the peer's NAT finds
    // the mapping there that a smaller one has made.
    const std::uint8_t ttl = opener_ttls.at(opener_rung_++);
    openers_at_ = opener_rung_ < opener_ttls.size() ? now + timeouts::opener_gap : base::never;
    for (const Pair& pair : pairs_) {
      if (pair.burst == 0 && pair.opens && !pair.health.proven()) send_opener(pair, ttl, now);
    }
  }
  forget_silent(now);
  for (Pair& pair : pairs_) {
    pair.health.expire(now);
    if (now >= pair.next_check) {
      send_check(pair, false, now);
      base::Duration gap{};
      for (std::size_t i = 0; i < burst_stride_; ++i) {
        if (++pair.burst < timeouts::burst.size()) gap += timeouts::burst.at(pair.burst);
      }
      const bool more = pair.burst < timeouts::burst.size();
      pair.next_check = more ? now + gap : base::never;
      if (!more) pair.burst = Pair::no_burst;
    }
    if (now >= heartbeat_at(pair, now)) send_check(pair, true, now);
    if (pair.id == used_ && looks_dead(pair, now)) doubt(now);
  }
  relay_.expire(now);
  if (now >= relay_heartbeat_at(now)) check_relay(now);
}

// Who was silent for so long may be somebody else by now: no round asks there without reason.
void Prober::forget_silent(base::Time now) {
  for (Pair& pair : pairs_) {
    if (pair.id != used_ && pair.health.proven() && !trusts(pair, now)) pair.health.forget();
  }
}

base::Time Prober::next_deadline() const {
  base::Time at = std::min({openers_at_, relay_.next_deadline(), relay_heartbeat_at(now_)});
  if (!remote_.empty()) at = std::min(at, round_at_);
  for (const Pair& pair : pairs_) {
    at = std::min({at, pair.next_check, pair.health.next_deadline(), heartbeat_at(pair, now_)});
    // It may be moved to from then on.
    if (pair.health.proven() && pair.hold_until > now_) at = std::min(at, pair.hold_until);
  }
  return at;
}

// --- answers

PairId Prober::trusted(base::SocketId socket, const base::Address& from, base::Time now) const {
  for (const Pair& pair : pairs_) {
    if (pair.socket != socket || pair.remote != from) continue;
    return trusts(pair, now) ? pair.id : 0;
  }
  return 0;
}

PairId Prober::better(base::Time now) const {
  const Pair* const current = used();
  PathQuality best = current != nullptr ? current->health.quality() : relay_.quality();
  // An unmeasured or silent relay is no reason to stay.
  bool leave_relay = current == nullptr && (!relay_alive() || !relay_.proven());
  bool on_relay = current == nullptr;
  PairId choice = 0;
  for (const Pair& pair : pairs_) {
    const bool usable = pair.id != used_ && pair.health.proven() && pair.peer_proven &&
                        now - pair.health.last_answer() <= timeouts::fresh &&
                        now >= pair.hold_until;
    if (!usable) continue;
    const PathQuality quality = pair.health.quality();
    const bool better =
        leave_relay || (on_relay ? direct_is_better(best, quality) : clearly_better(best, quality));
    if (!better) continue;
    choice = pair.id;
    best = quality;
    leave_relay = on_relay = false;
  }
  return choice;
}

bool Prober::outdone() const {
  const Pair* const current = used();
  if (!config_.controlling || current == nullptr) return false;
  return relay_alive() && relay_.proven() &&
         relay_is_better(current->health.quality(), relay_.quality());
}

Obstacle Prober::obstacle(base::Time now) const {
  if (remote_.empty()) return Obstacle::no_candidates;
  Obstacle least = Obstacle::no_answer;
  // The furthest that any pair has come.
  for (const Pair& pair : pairs_) {
    if (!trusts(pair, now)) continue;
    const bool slower = relay_alive() && relay_.proven() &&
                        !direct_is_better(relay_.quality(), pair.health.quality());
    if (now < pair.hold_until) {
      least = std::max(least, Obstacle::resting);
    } else if (!pair.peer_proven) {
      least = std::max(least, Obstacle::one_way);
    } else if (slower) {
      least = std::max(least, Obstacle::slower);
    } else {
      return Obstacle::none;
    }
  }
  return least;
}

std::string_view to_string(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::none: return "none";
    case Obstacle::no_candidates: return "no_candidates";
    case Obstacle::no_answer: return "no_answer";
    case Obstacle::one_way: return "one_way";
    case Obstacle::slower: return "slower";
    case Obstacle::resting: return "resting";
  }
  return "unknown";
}

}  // namespace ztna::nat
