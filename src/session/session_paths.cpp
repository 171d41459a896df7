// Which way the packets of a session go: watching the paths, moving between them.
//
//   on           | what happens                                   | then
//   RELAY        | the Prober knows a pair that is as good        | a validated move begins
//   moving       | the pair answers PATH_CHALLENGE                | DIRECT
//                | it does not in timeouts::migration             | RELAY, the pair rests
//   DIRECT       | it is new, and the relay was slower            | silence until all has arrived
//   DIRECT       | doubt here or at the peer, and the relay lives | RELAY, at once
//                | another pair is clearly better                 | a validated move begins
//                | doubt, and no relay lives, or it is off        | DIRECT, and hope
//   RELAY        | QUIC is stalled here or at the peer            | RELAY, by a new name
// The Agent moves (it is the QUIC client); the Connector follows what it hears.
#include <algorithm>
#include <ranges>

#include "nat/timeouts.hpp"
#include "session/session.hpp"

namespace ztna::session {
namespace {

namespace timeouts = nat::timeouts;

constexpr std::size_t kept_switches = 16;
// No larger ones than these keep the session alive, acknowledge, or carry so little of a flow that
// the flow itself has to tell.
constexpr std::size_t quiet_packet = 64;
constexpr std::string_view check_label = "EXPORTER-ztna-check";
// Out of connection ids, or a migration is still under way: ask again after this.
constexpr base::Duration blocked_pause = std::chrono::milliseconds(200);

}  // namespace

std::string_view to_string(PathKind kind) { return kind == PathKind::relay ? "RELAY" : "DIRECT"; }

std::string_view to_string(SwitchReason reason) {
  switch (reason) {
    case SwitchReason::proven: return "proven";
    case SwitchReason::better: return "better";
    case SwitchReason::doubt: return "doubt";
    case SwitchReason::loss: return "loss";
    case SwitchReason::peer_moved: return "peer_moved";
  }
  return "unknown";
}

void Session::start_prober() {
  if (!config_.direct) return;
  const auto from_agent = connection_->export_key(check_label, base::as_bytes("agent"));
  const auto from_connector = connection_->export_key(check_label, base::as_bytes("connector"));
  if (!from_agent || !from_connector) return;
  nat::Prober::Config config;
  config.controlling = role_ == Role::agent;
  config.session = config_.id;
  config.our_key = role_ == Role::agent ? *from_agent : *from_connector;
  config.their_key = role_ == Role::agent ? *from_connector : *from_agent;
  config.tag = config_.direct->tag;
  config.random = config_.random;
  config.socket_v4 = config_.direct->socket_v4;
  config.socket_v6 = config_.direct->socket_v6;
  prober_.emplace(std::move(config));
  prober_->set_own(candidates_, now_);
  prober_->set_relay(relay_usable(), now_);
}

void Session::set_candidates(const std::vector<nat::Candidate>& candidates, base::Time now) {
  now_ = now;
  if (candidates_ == candidates) return;
  candidates_ = candidates;
  if (!prober_ || state_ != State::ready) return;
  prober_->set_own(candidates_, now);
  send_candidates();
}

void Session::seek_direct(base::Time now) {
  now_ = now;
  if (!prober_ || state_ != State::ready) return;
  prober_->refresh(now);
  wake();
}

const nat::Pair* Session::direct_pair() const { return prober_ ? prober_->pair(direct_) : nullptr; }

quic::PathId Session::label_of(nat::PairId pair) const {
  // The newest one, where the Agent has moved there more than once.
  const auto newest = std::ranges::find_if(std::views::reverse(pair_of_label_),
                                           [&](const auto& entry) { return entry.second == pair; });
  return newest == pair_of_label_.rend() ? quic::PathId{} : newest->first;
}

// --- what comes in

bool Session::receive_check(const base::Incoming& packet, const wire::stun::Message& message,
                            base::Time now) {
  now_ = now;
  if (!prober_ || state_ != State::ready) return false;
  if (direct_suspended(now)) return true;
  const bool authentic = prober_->receive(packet, message, now);
  watch_paths(now);
  return authentic;
}

void Session::receive_relayed_check(base::BytesView packet, base::Time now) {
  const auto message = wire::stun::Message::parse(packet);
  if (!message || !prober_ || state_ != State::ready) {
    ++counters_.packets_dropped;
    return;
  }
  if (!prober_->receive_relayed(*message, now)) ++counters_.packets_dropped;
  watch_paths(now);
}

bool Session::receive_direct(const base::Incoming& packet, base::Time now) {
  now_ = now;
  if (!prober_ || !connection_) return false;
  const nat::PairId pair = prober_->trusted(packet.socket, packet.from, now);
  if (pair == 0) {
    if (state_ == State::ready && !direct_suspended(now)) {
      prober_->note_stranger(packet, now);
      wake();
    }
    return false;
  }
  quic::PathId label = label_of(pair);
  if (label.value == 0) {
    if (role_ == Role::agent) return false;  // the Connector has no reason to be there before us
    label = quic::PathId{++last_path_};
    pair_of_label_[label] = pair;
  }
  if (direct_suspended(now)) {
    ++counters_.direct_suspended;
    return true;
  }
  ++counters_.direct_packets_received;
  counters_.direct_bytes_received += packet.payload.size();
  unanswered_since_ = base::never;
  last_heard_ = now;
  prober_->note_packet(pair, now);
  if (packet.payload.size() > quiet_packet) note_progress();
  if (role_ == Role::agent && !on_direct()) relayed_rtt_ = connection_->stats().smoothed_rtt;
  connection_->receive(label, packet.ecn, packet.payload, now);
  wake();
  return true;
}

bool Session::may_be_reset(const base::Incoming& packet) const {
  constexpr std::uint8_t long_header = 0x80;
  const nat::Pair* const pair = direct_pair();
  return pair != nullptr && packet.from == pair->remote && packet.socket == pair->socket &&
         !packet.payload.empty() && (packet.payload[0] & long_header) == 0;
}

// --- what goes out

base::Outgoing Session::transmit_probe(base::MutableBytes buffer) {
  nat::Probe probe;
  while (prober_ && prober_->next(probe)) {
    if (probe.relay) {
      if (relay_ != nullptr) std::ignore = relay_->send(probe.packet, 0, true);
      continue;
    }
    if (direct_suspended(now_)) continue;
    std::ranges::copy(probe.packet, buffer.begin());
    return {probe.socket,        probe.to, probe.from, 0, probe.packet.size(),
            probe.packet.size(), probe.ttl};
  }
  return {};
}

base::Outgoing Session::send_direct(nat::PairId id, const quic::Batch& batch) {
  const nat::Pair* const pair = prober_->pair(id);
  if (pair == nullptr) return {};
  const std::size_t packets = (batch.size + batch.segment - 1) / batch.segment;
  if (batch.size > quiet_packet) note_progress();
  if (unanswered_since_ == base::never && connection_->expects_answer()) unanswered_since_ = now_;
  if (direct_suspended(now_)) {
    counters_.direct_suspended += packets;
    return {};
  }
  counters_.direct_packets_sent += packets;
  counters_.direct_bytes_sent += batch.size;
  return {pair->socket, pair->remote, pair->local, batch.ecn, batch.segment, batch.size, 0};
}

// Data moves: heartbeats come often, and large ones are as large as its packets.
void Session::note_progress() {
  if (flows_.empty() || !on_direct()) return;
  prober_->note_active(now_);
  prober_->set_packet_size(connection_->max_udp_payload());
}

// --- moving

base::Time Session::silence_deadline() const {
  const nat::Pair* const pair = direct_pair();
  if (unanswered_since_ == base::never || pair == nullptr) return base::never;
  const base::Duration patience =
      std::max(2 * pair->health.quality().rtt + timeouts::answer_slack, 2 * connection_->pto());
  return unanswered_since_ + patience;
}

base::Time Session::paths_deadline() const {
  base::Time at = std::min(prober_->next_deadline(), silence_deadline());
  if (move_) at = std::min(at, move_->until);
  if (lost_since_ != base::never) at = std::min(at, lost_since_ + timeouts::required_patience);
  if (direct_was_suspended_) at = std::min(at, direct_lease_.until());
  return at;
}

void Session::watch_paths(base::Time now) {
  if (state_ != State::ready) return;
  if (direct_was_suspended_ && !direct_suspended(now)) {
    direct_was_suspended_ = false;
    prober_->refresh(now);
  }
  if (on_direct()) prober_->note_round_trip(connection_->round_trip());
  prober_->expire(now);
  if (now >= silence_deadline()) {
    unanswered_since_ = base::never;
    prober_->suspect(now);
  }
  if (on_direct() && connection_->stalled(now)) prober_->suspect(now);
  if (requires_direct()) give_up_without_direct(now);
  if (role_ == Role::agent) {
    choose_path(now);
  } else {
    escape_stall(now);
  }
  wake();
}

// Without the relay for flows there is nothing to move to; but the next session can be made by it.
void Session::give_up_without_direct(base::Time now) {
  if (!on_direct() || !prober_->doubtful()) {
    lost_since_ = base::never;
  } else if (lost_since_ == base::never) {
    lost_since_ = now;
  } else if (now >= lost_since_ + timeouts::required_patience) {
    lost_since_ = base::never;
    close(close_idle, "the direct path was lost, and --direct-only is set", now);
  }
}

// A new name for the relay is a new path to QUIC, with a window of its own. The Agent has to send
// the first packet on it.
void Session::escape_stall(base::Time now) {
  const bool stalled = connection_->stalled(now);
  if (stalled && !holds_flows() && !on_direct() && now >= may_rename_at_) {
    may_rename_at_ = now + timeouts::upgrade_gap;
    relay_path_ = quic::PathId{++last_path_};
  }
  prober_->set_stalled(stalled, now);
}

void Session::choose_path(base::Time now) {
  if (move_ && now >= move_->until) {
    prober_->rest(move_->pair, now);
    move_.reset();
  }
  if (on_direct() && prober_->doubtful() && prober_->relay_alive()) {
    move_to_relay(SwitchReason::doubt, now);
  } else if (on_direct() && !move_ && prober_->outdone()) {
    prober_->rest(direct_, now, timeouts::hold_lossy);
    move_to_relay(SwitchReason::loss, now);
  } else if (!on_direct() && now >= may_rename_at_ && relay_usable() &&
             (prober_->take_path_request() || connection_->stalled(now))) {
    may_rename_at_ = now + timeouts::upgrade_gap;
    move_to_relay(SwitchReason::doubt, now);
  } else if (!move_ && now >= may_upgrade_at_) {
    if (const nat::PairId pair = prober_->better(now)) move_to_pair(pair, now);
  }
  if (prober_->take_round_request(now)) begin_round(now);
}

void Session::move_to_pair(nat::PairId pair, base::Time now) {
  const quic::PathId label{++last_path_};
  // A relay that is gone carries nothing to wait with.
  const bool stranded = !has_path();
  reason_ = on_direct() ? SwitchReason::better : SwitchReason::proven;
  pair_of_label_[label] = pair;
  const auto mode =
      stranded ? quic::Connection::Migration::immediate : quic::Connection::Migration::validated;
  if (const auto moved = connection_->migrate(label, mode, now); !moved) {
    pair_of_label_.erase(label);
    may_upgrade_at_ = now + blocked_pause;
    return;
  }
  may_upgrade_at_ = now + timeouts::upgrade_gap;
  if (!stranded) move_ = Move{pair, now + timeouts::migration};
  wake();
}

// The first direct packet makes the peer forget the connection id of those before it, which may
// need longer (RFC 9000 §5.1.2). Nor does anything that waits for them arrive later than by the
// relay.
void Session::wait_for_relayed() {
  const nat::Pair* const pair = direct_pair();
  if (pair == nullptr || relay_ == nullptr) return;
  const base::Duration lead = (relayed_rtt_ - pair->health.quality().rtt) / 2;
  if (lead <= base::Duration{}) return;
  silent_until_ = now_ + std::min(lead, timeouts::handover_max);
}

void Session::move_to_relay(SwitchReason reason, base::Time now) {
  reason_ = reason;
  const quic::PathId label{++last_path_};
  const quic::PathId before = std::exchange(relay_path_, label);
  if (const auto moved = connection_->migrate(label, quic::Connection::Migration::immediate, now);
      !moved) {
    // What comes by the relay is still of the path in use, where that is the relay by its old name.
    if (!on_direct()) relay_path_ = before;
    // No connection id is free, or a move is being validated: the next deadline tries again.
    may_upgrade_at_ = now + blocked_pause;
    return;
  }
  move_.reset();
  may_upgrade_at_ = now + timeouts::upgrade_gap;
  wake();
}

void Session::on_path_validated(quic::PathId path, bool ok) {
  const auto found = pair_of_label_.find(path);
  if (!move_ || found == pair_of_label_.end() || found->second != move_->pair) return;
  if (!ok) prober_->rest(move_->pair, now_);
  move_.reset();
}

void Session::on_path_changed(quic::PathId path) {
  if (!prober_) return;
  const PathKind before = path_kind();
  const auto found = pair_of_label_.find(path);
  const nat::PairId pair = found == pair_of_label_.end() ? 0 : found->second;
  if (pair == direct_) return;
  direct_ = pair;
  unanswered_since_ = base::never;
  if (role_ == Role::connector) reason_ = SwitchReason::peer_moved;
  prober_->use(pair, now_);
  silent_until_.reset();
  if (role_ == Role::agent && before == PathKind::relay) wait_for_relayed();
  // Labels of pairs that are not in use any more only matter for packets that are late.
  while (pair_of_label_.size() > 2 * kept_switches) {
    pair_of_label_.erase(pair_of_label_.begin());
  }
  const nat::Pair* const now_on = direct_pair();
  PathSwitch made{
      {before, path_kind(), reason_}, relay_name_, prober_->relay_health().quality().rtt, now_};
  ++counters_.switches[made];
  if (now_on != nullptr) {
    made.peer = now_on->remote.to_string();
    made.rtt = now_on->health.quality().rtt;
  }
  switches_.push_back(made);
  if (switches_.size() > kept_switches) switches_.pop_front();
  handler_.on_path_switched(*this, made);
  wake();
}

}  // namespace ztna::session
