// The checks of one session: finds out which direct ways to the peer work, watches the one in use
// and the relay, and says which would be best. Moving the session is its owner's business.
//
// Pure: messages and `now` come in, probes and the next deadline come out. Both ends have one. The
// Agent's is `controlling`: it starts rounds, keeps idle paths alive and chooses.
//
// A pair's life (RFC 8445's words where they fit):
//   waiting   known, nothing is sent until the next round, or until
//             something comes from there                             → checking
//   checking  openers, then the burst of a round                     → proven | waiting
//   proven    an answer to a check of ours came from that very address → waiting, when it fell
//             silent for timeouts::trust
// Only proven pairs are trusted with session packets: a request can be captured and replayed from
// elsewhere, an answer to a fresh transaction cannot be had without the address.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/datagram.hpp"
#include "base/ids.hpp"
#include "base/secret.hpp"
#include "nat/candidate.hpp"
#include "nat/check.hpp"
#include "nat/path_health.hpp"

namespace ztna::nat {

// Why the relay is in use.
enum class Obstacle : std::uint8_t {
  none,           // a direct path is good; the move is a matter of moments
  no_candidates,  // the peer wants no direct path, or has no address
  no_answer,      // no check was answered
  one_way,        // checks are answered here, but not there
  slower,         // a direct path works, and is slower than the relay, or loses more
  resting,        // one was in doubt lately
};
[[nodiscard]] std::string_view to_string(Obstacle obstacle);  // "no_candidates" …

using PairId = std::uint32_t;  // of one Prober; 0: none

// A way to the peer that does not lead over the relay.
struct Pair {
  PairId id = 0;
  base::SocketId socket = 0;
  base::Address remote;
  base::Address local;  // where the peer's packets arrive; unspecified before the first
  CandidateKind kind = CandidateKind::host;
  PathHealth health;
  base::Time last_heard{};           // an authentic check, request or answer
  std::uint32_t heard_sequence = 0;  // the newest of the peer's requests
  bool peer_proven = false;          // the peer has proven it too: it takes packets from us
  base::Time last_packet{};          // of the session's, by this way
  // The round: the next check of the burst, and when; and what answers and requests have caused
  // beyond it.
  bool opens = false;  // openers go there in this round
  std::size_t burst = no_burst;
  base::Time next_check = base::never;
  int extra_checks = 0;
  int triggered = 0;
  base::Time hold_until{};  // after a doubt
  base::Duration hold{};
  base::Time doubted_at{};
  std::uint32_t beats = 0;
  static constexpr std::size_t no_burst = SIZE_MAX;
};

// One message to send.
struct Probe {
  bool relay = false;
  base::SocketId socket = 0;
  base::Address to, from;  // direct ones
  std::uint8_t ttl = 0;
  base::Bytes packet;
};

class Prober {
 public:
  struct Config {
    bool controlling = false;
    base::SessionId session;
    base::Secret<32> our_key, their_key;
    std::uint32_t tag = 0;  // comes back in the transaction ids of answers
    base::Random* random = nullptr;
    std::optional<base::SocketId> socket_v4, socket_v6;
  };
  explicit Prober(Config config);

  // --- what is known
  void set_own(const std::vector<Candidate>& candidates, base::Time now);
  void set_remote(const std::vector<Candidate>& candidates, base::Time now);
  void set_relay(bool available, base::Time now);
  // The pair that the session uses, or 0: the relay.
  void use(PairId id, base::Time now);
  // The size that packets of the session have, for padded heartbeats.
  void set_packet_size(std::size_t size) { packet_size_ = size; }
  void note_active(base::Time now);
  // How long packets of the session take there and back on the path in use.
  void note_round_trip(base::Duration rtt);
  // A packet of the session came by this pair: a lost check or two are no reason to leave it then.
  void note_packet(PairId id, base::Time now);
  // A packet for this session came from where none may come from: perhaps the peer has another
  // address now, perhaps somebody has captured it. A check tells.
  void note_stranger(const base::Incoming& packet, base::Time now);
  // A move to this pair came to nothing, or it loses too much: it is left alone for a while.
  void rest(PairId id, base::Time now, base::Duration at_least = {});
  // QUIC hears nothing on the pair in use.
  void suspect(base::Time now);
  // Not controlling: QUIC needs another path, even on the relay; the peer is told until it has one.
  void set_stalled(bool stalled, base::Time now);
  // Controlling: true once when the peer needs another path although the relay is in use.
  [[nodiscard]] bool take_path_request() { return std::exchange(path_wanted_, false); }
  // Something changed, here or there: a round is due.
  void refresh(base::Time now);
  // Openers and checks to every candidate, from `at` on. Not controlling: false when it comes too
  // soon after the one before, and is ignored.
  bool start_round(base::Time at);
  // Controlling: the peer has begun this round too.
  void confirm_round(std::uint32_t round, base::Time now);

  // --- engine
  // A check that arrived by UDP, or through the session's relay. False: not authentic.
  bool receive(const base::Incoming& packet, const wire::stun::Message& message, base::Time now);
  bool receive_relayed(const wire::stun::Message& message, base::Time now);
  void expire(base::Time now);
  [[nodiscard]] base::Time next_deadline() const;
  [[nodiscard]] bool next(Probe& probe);

  // --- answers
  // The pair by which this packet came, if session packets may come that way; else 0.
  [[nodiscard]] PairId trusted(base::SocketId socket, const base::Address& from,
                               base::Time now) const;
  [[nodiscard]] const Pair* pair(PairId id) const;
  [[nodiscard]] const std::vector<Pair>& pairs() const { return pairs_; }
  // Controlling: the best pair to move to from the path in use, or 0: stay.
  [[nodiscard]] PairId better(base::Time now) const;
  [[nodiscard]] Obstacle obstacle(base::Time now) const;
  // Controlling: the pair in use loses so much more than the relay that the relay is better.
  [[nodiscard]] bool outdone() const;
  // The pair in use is in doubt, here or at the peer.
  [[nodiscard]] bool doubtful() const { return doubtful_; }
  [[nodiscard]] bool relay_alive() const;
  [[nodiscard]] const PathHealth& relay_health() const { return relay_; }
  // Controlling: true once when the peer is to be told that a round begins.
  [[nodiscard]] bool take_round_request(base::Time now);
  [[nodiscard]] std::uint32_t rounds() const { return rounds_; }

  struct Counters {
    std::uint64_t sent = 0, answered = 0, requests = 0, refused = 0;
    std::uint64_t relay_sent = 0, relay_answered = 0, relay_requests = 0;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  [[nodiscard]] std::optional<base::SocketId> socket_for(const base::Address& remote) const;
  Pair* add_pair(base::SocketId socket, const base::Address& remote, CandidateKind kind);
  [[nodiscard]] Pair* find(base::SocketId socket, const base::Address& remote);
  [[nodiscard]] const Pair* used() const { return pair(used_); }
  // A check out of turn, unless there were enough of them in this round.
  void trigger_check(Pair& pair, base::Time now);
  void send_opener(const Pair& pair, std::uint8_t ttl, base::Time now);
  void send_check(Pair& pair, bool heartbeat, base::Time now);
  void check_relay(base::Time now);
  void push(Probe probe);
  void on_request(Pair& pair, const Check& check, const base::Incoming& packet, base::Time now);
  void on_answer(Pair& pair, const Check& check, base::Time now);
  void schedule_retry(base::Time now);
  [[nodiscard]] bool active(base::Time now) const;
  [[nodiscard]] bool keeps_alive(const Pair& pair, base::Time now) const;
  [[nodiscard]] base::Time heartbeat_at(const Pair& pair, base::Time now) const;
  [[nodiscard]] base::Time relay_heartbeat_at(base::Time now) const;
  void doubt(base::Time now);
  static void hold(Pair& pair, base::Time now, base::Duration at_least = {});
  [[nodiscard]] bool is_candidate(const Pair& pair) const;
  void forget_silent(base::Time now);
  [[nodiscard]] static bool trusts(const Pair& pair, base::Time now);
  [[nodiscard]] static bool looks_dead(const Pair& pair, base::Time now);

  Config config_;
  std::vector<Candidate> own_, remote_;
  std::vector<Pair> pairs_;
  PairId last_pair_ = 0;
  PairId used_ = 0;
  bool doubtful_ = false;
  bool stalled_ = false, path_wanted_ = false;
  bool relay_available_ = false;
  PathHealth relay_;
  std::uint32_t relay_heard_sequence_ = 0;
  std::uint32_t sequence_ = 0;
  base::Time active_until_{};
  base::Time openers_at_ = base::never;
  std::size_t opener_rung_ = 0;
  base::Time checks_at_ = base::never;  // of this round, once the peer has begun it too
  std::size_t burst_stride_ = 1;        // how much of the burst each address gets
  int learnt_ = 0;                      // peers' addresses, in this round
  int strangers_ = 0;                   // since the round or the move before
  base::Time round_at_ = base::never;   // controlling: the next round is to be announced
  base::Time last_round_{};
  std::size_t retries_ = 0;
  std::uint32_t rounds_ = 0;
  std::size_t packet_size_ = 0;
  std::deque<Probe> probes_;
  base::Time now_{};
  Counters counters_;
};

}  // namespace ztna::nat
