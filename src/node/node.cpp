#include "node/node.hpp"

#include <algorithm>
#include <set>

#include "node/timeouts.hpp"
#include "wire/stun.hpp"

namespace ztna::node {
namespace {

using session::Session;

constexpr std::size_t max_replies = 64;
constexpr std::uint64_t session_handles = std::uint64_t{2} << 32;

// The certificate that the other ends of our connections saw is no longer ours.
bool differs(const identity::Principal& a, const identity::Principal& b) {
  return a.spki != b.spki || a.not_after != b.not_after || a.serve != b.serve;
}

void add(Node::PathCounters& sum, const Session& session) {
  const Session::Counters& c = session.counters();
  sum.relay_packets += c.relay_packets_sent + c.relay_packets_received;
  sum.relay_bytes += c.relay_bytes_sent + c.relay_bytes_received;
  sum.direct_packets += c.direct_packets_sent + c.direct_packets_received;
  sum.direct_bytes += c.direct_bytes_sent + c.direct_bytes_received;
  for (const auto& [kind, count] : c.switches) sum.switches[kind] += count;
  for (const auto& [reason, count] : session.datagram_drops()) sum.datagram_drops[reason] += count;
  if (session.prober() == nullptr) return;
  const nat::Prober::Counters& checks = session.prober()->counters();
  sum.checks.sent += checks.sent;
  sum.checks.answered += checks.answered;
  sum.checks.requests += checks.requests;
  sum.checks.refused += checks.refused;
  sum.checks.relay_sent += checks.relay_sent;
  sum.checks.relay_answered += checks.relay_answered;
  sum.checks.relay_requests += checks.relay_requests;
}

}  // namespace

// A session's place in the queue of one uplink.
class Node::RelayLeg final : public session::RelayPort {
 public:
  RelayLeg(Uplink& uplink, std::uint32_t channel) : uplink_(uplink), channel_(channel) {}
  bool send(base::BytesView packet, std::uint8_t ecn, bool may_split) override {
    return uplink_.send_relayed(channel_, ecn, may_split, packet);
  }
  [[nodiscard]] std::size_t mtu() const override { return uplink_.relay_mtu(channel_); }
  [[nodiscard]] bool writable() const override { return uplink_.relay_writable(channel_); }
  [[nodiscard]] bool carries_flows() const override { return uplink_.carries_flows(); }
  [[nodiscard]] const std::string& name() const override { return uplink_.name(); }
  [[nodiscard]] Uplink& uplink() const { return uplink_; }
  [[nodiscard]] std::uint32_t channel() const { return channel_; }

 private:
  Uplink& uplink_;
  std::uint32_t channel_;
};

struct Node::Slot {
  SlotKey key = 0;
  std::unique_ptr<Session> session;
  std::unique_ptr<RelayLeg> leg;
  // Where its relay is, or was last: both ends know that one.
  Uplink* home = nullptr;
  std::set<std::uint32_t> claimed_at;  // uplinks that owe an answer to a claim
  base::Time relay_lost_at = base::never;
  base::Time must_start_by = base::never;  // a Connector's session waits for its Agent's Initial
  bool touched = false;
  bool direct = false;  // at the last look

  [[nodiscard]] bool wants_relay() const { return leg == nullptr || !leg->uplink().up(); }
};

Node::Node(NodeConfig config, NodeOwner& owner, base::WallReference wall)
    : config_(std::move(config)),
      owner_(owner),
      wall_(wall),
      endpoint_({config_.credentials->derive("ztna node retry"),
                 config_.credentials->derive("ztna node reset")},
                config_.cid_layout, *config_.random),
      reset_key_(config_.credentials->derive("ztna node reset")),
      last_key_(session_handles) {
  for (const base::HostPort& intermediate : config_.intermediates) {
    UplinkConfig uplink;
    uplink.intermediate = intermediate;
    uplink.web_pki = config_.web_pki;
    uplink.version = config_.version;
    uplink.incarnation = config_.incarnation;
    uplink.always_keep_alive = config_.role == Session::Role::connector;
    uplink.learn_addresses = config_.direct_paths;
    uplink.random = config_.random;
    uplink.cid_layout = config_.cid_layout;
    uplink.reset_key = reset_key_;
    UplinkHandler& self = *this;
    uplinks_.push_back(std::make_unique<Uplink>(static_cast<std::uint32_t>(uplinks_.size()),
                                                std::move(uplink), self, endpoint_, pool_));
    uplinks_.back()->set_credentials(config_.credentials);
  }
}

Node::~Node() = default;

void Node::add_socket(base::SocketId id, const base::Address& local) {
  (local.is_v4() ? socket_v4_ : socket_v6_) = id;
  (local.is_v4() ? local_v4_ : local_v6_) = local;
  for (const auto& uplink : uplinks_) uplink->set_sockets(socket_v4_, socket_v6_);
}

void Node::set_interfaces(const std::vector<base::Address>& addresses, base::Time now) {
  now_ = now;
  interfaces_ = addresses;
  for (const auto& uplink : uplinks_) uplink->interfaces_changed(now);
  update_candidates();
}

// What an operator says comes first, for lists are cut; then what others see, then our own.
std::vector<nat::Candidate> Node::candidates() const {
  std::vector<nat::Candidate> all;
  for (const base::Address& address : config_.advertised) {
    all.push_back({nat::CandidateKind::advertised, address});
  }
  for (const auto& uplink : uplinks_) {
    if (!uplink->up()) continue;
    const auto seen = base::Address::parse(uplink->observed_address());
    if (seen) all.push_back({nat::CandidateKind::reflexive, *seen});
    const auto& mapped = uplink->mapped_address();
    if (mapped) all.push_back({nat::CandidateKind::reflexive, *mapped});
  }
  const auto add_host = [&](const base::Address& local) {
    if (!local.is_unspecified()) return all.push_back({nat::CandidateKind::host, local});
    for (const base::Address& address : interfaces_) {
      if (address.family() != local.family()) continue;
      all.push_back({nat::CandidateKind::host, address.with_port(local.port())});
    }
  };
  if (socket_v4_) add_host(local_v4_);
  if (socket_v6_) add_host(local_v6_);
  return nat::sanitise(all);
}

void Node::update_candidates() {
  if (!config_.direct_paths) return;
  const std::vector<nat::Candidate> all = candidates();
  for (const auto& [key, slot] : slots_) {
    slot->session->set_candidates(all, now_);
    touch(key);
  }
}

// A NAT that restarts takes direct paths and what we know of ourselves at once.
void Node::watch_path(Slot& slot) {
  const bool direct = slot.session->path_kind() == session::PathKind::direct;
  if (!std::exchange(slot.direct, direct) || direct) return;
  for (const auto& uplink : uplinks_) uplink->direct_path_lost(now_);
}

void Node::set_credentials(std::shared_ptr<const identity::Credentials> credentials,
                           base::Time now) {
  now_ = now;
  const bool renewed = differs(config_.credentials->self(), credentials->self());
  config_.credentials = credentials;
  for (const auto& uplink : uplinks_) {
    uplink->set_credentials(credentials);
    uplink->hurry(now);
    if (renewed) uplink->renew(now + uplink->index() * timeouts::renewal_stagger);
    if (uplink->peer() == nullptr) continue;
    const auto trusted =
        credentials->still_trusts(uplink->peer_certificate(), *uplink->peer(), wall_.now(now));
    if (!trusted) uplink->drop(trusted.error().message(), now);
  }
  for (const auto& [key, slot] : slots_) {
    const identity::Principal* const peer = slot->session->peer();
    if (peer == nullptr) continue;
    const auto trusted =
        credentials->still_trusts(slot->session->peer_certificate(), *peer, wall_.now(now));
    if (!trusted) {
      close_session(*slot->session, session::close_denied, trusted.error().message(), now);
    }
  }
}

// A session is no longer-lived than the certificates it was made with, renewed or not: each end
// sees to that by itself, whatever the Intermediate does.
void Node::end_expired(base::Time now) {
  const base::WallTime wall = wall_.now(now);
  for (const auto& uplink : uplinks_) {
    if (uplink->peer() != nullptr && uplink->peer()->not_after <= wall) {
      uplink->drop("the Intermediate's certificate has expired", now);
    }
  }
  for (const auto& [key, slot] : slots_) {
    const identity::Principal* const peer = slot->session->peer();
    if (peer == nullptr || peer->not_after > wall) continue;
    close_session(*slot->session, session::close_denied,
                  "the certificate of " + peer->uri() + " has expired", now);
  }
}

// --- engine

// Sessions that the Intermediate has told the other ends are over. To claim them would cost the
// first request after a laptop was opened many seconds. One that lives without a relay may live on.
void Node::notice_sleep(base::Time now) {
  now_ = now;
  if (now - std::exchange(awake_at_, now) < timeouts::asleep) return;
  for (const auto& [key, slot] : slots_) {
    if (slot->leg == nullptr) continue;
    slot->session->close(session::close_idle, "this machine slept", now);
    touch(key);
  }
}

void Node::receive(const base::Incoming& packet, base::Time now) {
  notice_sleep(now);
  if (wire::stun::is_stun(packet.payload)) return receive_stun(packet, now);
  auto verdict = endpoint_.classify(packet.payload, packet.from, {}, now);
  if (const auto* deliver = std::get_if<quic::Endpoint::Deliver>(&verdict)) {
    const std::uint64_t uplink = deliver->handle - (std::uint64_t{1} << 32);
    if (deliver->handle < session_handles && uplink < uplinks_.size()) {
      uplinks_[uplink]->receive(packet, now);
    } else {
      // From an address that no check has proven, QUIC must not see it: its server would follow the
      // sender.
      const auto slot = slots_.find(deliver->handle);
      const bool taken = slot != slots_.end() && slot->second->session->receive_direct(packet, now);
      if (taken) {
        touch(slot->first);
      } else {
        ++counters_.packets_filtered;
      }
    }
    return;
  }
  // RFC 9000 §10.3.1: a stateless reset carries no id of ours; the connection knows its token.
  for (const auto& uplink : uplinks_) {
    if (uplink->may_be_reset(packet)) return uplink->receive(packet, now);
  }
  for (const auto& [key, slot] : slots_) {
    if (!slot->session->may_be_reset(packet)) continue;
    if (!slot->session->receive_direct(packet, now)) break;
    return touch(key);
  }
  if (auto* reply = std::get_if<quic::Endpoint::Reply>(&verdict)) {
    if (replies_.size() >= max_replies) return;
    ++counters_.resets_sent;
    replies_.push_back({packet.socket, packet.from, packet.to, std::move(reply->packet)});
  } else {
    ++counters_.packets_unknown;
  }
}

// A check names its session; the answer to one has the session's tag in its transaction id. What
// an uplink asked for has 96 bits of its own.
void Node::receive_stun(const base::Incoming& packet, base::Time now) {
  const auto message = wire::stun::Message::parse(packet.payload);
  if (message) {
    for (const auto& uplink : uplinks_) {
      if (uplink->receive_stun(packet, *message, now)) return;
    }
    Slot* slot = nullptr;
    if (const auto id = nat::session_of(*message)) {
      slot = slot_of(*id);
    } else if (!message->classic()) {
      const auto found = slots_.find(session_handles + nat::tag_of(message->transaction()));
      slot = found == slots_.end() ? nullptr : found->second.get();
    }
    if (slot != nullptr && slot->session->receive_check(packet, *message, now)) {
      return touch(slot->key);
    }
  }
  ++counters_.packets_stun;
}

void Node::expire(base::Time now) {
  notice_sleep(now);
  if (now >= expiry_check_) {
    expiry_check_ = now + timeouts::expiry_check;
    end_expired(now);
  }
  for (const auto& uplink : uplinks_) {
    if (uplink->next_deadline() <= now) uplink->expire(now, wall_.now(now));
  }
  SlotKey key = 0;
  while (deadlines_.pop_due(now, key)) {
    const auto found = slots_.find(key);
    if (found == slots_.end()) continue;
    Slot& slot = *found->second;
    slot.session->expire(now);
    if (now >= slot.must_start_by && slot.session->state() == Session::State::waiting) {
      slot.session->close(session::close_idle, "the Agent never started the session", now);
    }
    if (now >= slot.relay_lost_at) {
      if (slot.session->has_path()) {
        slot.relay_lost_at = now + timeouts::relay_lost;  // it does without one
      } else {
        slot.session->close(session::close_idle, "no relay came back in time", now);
      }
    }
    touch(key);
  }
}

base::Time Node::next_deadline() const {
  base::Time at = slots_.empty() ? deadlines_.next() : std::min(deadlines_.next(), expiry_check_);
  for (const auto& uplink : uplinks_) at = std::min(at, uplink->next_deadline());
  return at;
}

void Node::refresh_deadline(Slot& slot) {
  base::Time at = std::min(slot.session->next_deadline(), slot.relay_lost_at);
  if (slot.session->state() == Session::State::waiting) at = std::min(at, slot.must_start_by);
  deadlines_.set(slot.key, at);
}

void Node::touch(SlotKey key) {
  const auto found = slots_.find(key);
  if (found == slots_.end() || found->second->touched) return;
  found->second->touched = true;
  touched_.push_back(key);
}

base::Outgoing Node::transmit(base::MutableBytes buffer, base::Time now) {
  now_ = now;
  if (!replies_.empty()) {
    const Reply reply = std::move(replies_.back());
    replies_.pop_back();
    std::ranges::copy(reply.packet, buffer.begin());
    return {reply.socket, reply.to, reply.from, 0, reply.packet.size(), reply.packet.size()};
  }
  if (const base::Outgoing out = transmit_sessions(buffer, now); out.size > 0) return out;
  for (const auto& uplink : uplinks_) {
    const base::Outgoing out = uplink->transmit(buffer, now);
    if (out.size > 0) return out;
  }
  if (!closing_.empty()) {
    // What the sessions had to say has left; now the uplinks' farewells.
    const std::string reason = std::exchange(closing_, {});
    for (const auto& uplink : uplinks_) uplink->close(reason, now);
    return transmit(buffer, now);
  }
  return {};
}

// Each touched session in turn, for as long as it has something to send directly. What goes to the
// relay is queued at the uplinks, which come after.
base::Outgoing Node::transmit_sessions(base::MutableBytes buffer, base::Time now) {
  if (work_at_ == working_.size()) {
    working_.clear();
    working_.swap(touched_);
    work_at_ = 0;
  }
  for (; work_at_ < working_.size(); ++work_at_) {
    const SlotKey key = working_[work_at_];
    const auto found = slots_.find(key);
    if (found == slots_.end()) continue;
    Slot& slot = *found->second;
    slot.touched = false;
    if (const base::Outgoing out = slot.session->transmit(buffer, now); out.size > 0) return out;
    if (slot.session->state() == Session::State::closed) {
      forget(slot);
      continue;
    }
    watch_path(slot);
    refresh_deadline(slot);
    // Its timers rest while the relay takes nothing, so it must be looked at until it does.
    const bool waits = slot.session->blocked() || (slot.leg != nullptr && !slot.leg->writable());
    if (waits && slot.leg != nullptr) touch(key);
  }
  return {};
}

std::vector<ResolveRequest> Node::take_resolve_requests() {
  std::vector<ResolveRequest> requests;
  for (const auto& uplink : uplinks_) {
    if (uplink->take_resolve_request()) {
      requests.push_back({uplink->index(), uplink->intermediate()});
    }
  }
  return requests;
}

void Node::resolved(std::uint32_t uplink, std::vector<base::Address> addresses,
                    const std::string& error, base::Time now) {
  now_ = now;
  uplinks_.at(uplink)->resolved(std::move(addresses), error, now);
}

// --- uplinks

void Node::on_uplink_up(Uplink& uplink) {
  owner_.on_uplink_up(uplink);
  update_candidates();
  for (const auto& [key, slot] : slots_) {
    if (slot->wants_relay()) claim_at(*slot, uplink);
  }
}

// Both ends hear it and claim elsewhere; until they have met there, packets pass here.
void Node::on_drain(Uplink& uplink) {
  for (const auto& [key, slot] : slots_) {
    if (slot->leg != nullptr && &slot->leg->uplink() == &uplink) claim(*slot);
  }
}

void Node::on_relay_state(Uplink& uplink) {
  for (const auto& [key, slot] : slots_) {
    if (slot->leg == nullptr || &slot->leg->uplink() != &uplink) continue;
    slot->session->relay_state_changed(now_, wall_.now(now_));
    touch(key);
  }
}

void Node::on_uplink_down(Uplink& uplink, const std::string& reason) {
  forget_requests(uplink);
  owner_.on_uplink_down(uplink, reason);
  for (const auto& [key, slot] : slots_) {
    slot->claimed_at.erase(uplink.index());
    if (slot->leg == nullptr || &slot->leg->uplink() != &uplink) continue;
    lose_relay(*slot);
    // No relay will come back to us from there: better an end with a reason than a long wait.
    if (uplink.denied() && !any_uplink_up()) {
      slot->session->close(session::close_denied, reason, now_);
      touch(slot->key);
    }
  }
}

void Node::on_uplink_attempt_failed(Uplink& uplink, const std::string& reason) {
  forget_requests(uplink);
  owner_.on_uplink_attempt_failed(uplink, reason);
}

void Node::forget_requests(const Uplink& uplink) {
  std::erase_if(pending_requests_,
                [&](const auto& pending) { return pending.second == uplink.index(); });
}

bool Node::take_request(std::uint64_t request, const Uplink& uplink) {
  const auto found = pending_requests_.find(request);
  if (found == pending_requests_.end() || found->second != uplink.index()) return false;
  pending_requests_.erase(found);
  count_sessions();
  return true;
}

void Node::on_uplink_message(Uplink& uplink, const proto::Message& message) {
  switch (message.body_case()) {
    case proto::Message::kSessionReady:
      return on_session_ready_message(uplink, message.session_ready());
    case proto::Message::kSessionRefused: {
      const proto::SessionRefused& refused = message.session_refused();
      if (take_request(refused.request(), uplink)) {
        owner_.on_session_refused(refused.request(), refused.reason(), refused.text());
        return;
      }
      return on_claim_refused(uplink, refused);
    }
    case proto::Message::kDrain: on_drain(uplink); return owner_.on_uplink_message(uplink, message);
    case proto::Message::kSessionClosed:
      return on_session_closed_message(uplink, message.session_closed());
    case proto::Message::kRelayState:
      on_relay_state(uplink);
      return owner_.on_uplink_message(uplink, message);
    case proto::Message::kObservedAddress:
      update_candidates();
      return owner_.on_uplink_message(uplink, message);
    default: return owner_.on_uplink_message(uplink, message);
  }
}

// The session ends when nobody is left who could relay it.
void Node::on_claim_refused(Uplink& uplink, const proto::SessionRefused& refused) {
  base::SessionId id;
  if (!base::SessionId::from(base::as_bytes(refused.session_id()), id)) return;
  Slot* const slot = slot_of(id);
  if (slot == nullptr || slot->claimed_at.erase(uplink.index()) == 0) return;
  if (slot->leg != nullptr || !slot->claimed_at.empty()) return;
  close_session(*slot->session, session::close_denied,
                "the relay refused the session: " + refused.text().substr(0, 200), now_);
}

void Node::on_relayed(Uplink& uplink, std::uint32_t channel, std::uint8_t ecn,
                      base::BytesView packet) {
  const auto found = by_channel_.find({uplink.index(), channel});
  if (found == by_channel_.end()) {
    ++counters_.relay_unknown_channel;
    return;
  }
  Slot& slot = *slots_.at(found->second);
  slot.session->receive_relayed(packet, ecn, now_, wall_.now(now_));
  touch(slot.key);
}

// --- sessions

bool Node::open_session(Uplink& uplink, std::uint64_t request, const std::string& service,
                        base::BytesView incarnation) {
  proto::Message message;
  auto& body = *message.mutable_open_session();
  body.set_request(request);
  body.set_service(service);
  body.set_incarnation(incarnation.data(), incarnation.size());
  if (!uplink.may_ask() || !uplink.send(message)) return false;
  pending_requests_.emplace(request, uplink.index());
  count_sessions();
  return true;
}

void Node::on_session_ready_message(Uplink& uplink, const proto::SessionReady& ready) {
  base::SessionId id;
  base::IncarnationId incarnation;
  if (!base::SessionId::from(base::as_bytes(ready.session_id()), id) ||
      !base::IncarnationId::from(base::as_bytes(ready.peer_incarnation()), incarnation) ||
      ready.channel() == 0 || ready.channel() > wire::relay_channel_max) {
    return;
  }
  const bool asked = take_request(ready.request(), uplink);
  Slot* slot = slot_of(id);
  if (slot != nullptr) {
    const session::SessionConfig& known = slot->session->config();
    if (known.peer_uri != ready.peer() || known.peer_incarnation != incarnation) return;
    const bool bound = slot->leg != nullptr && &slot->leg->uplink() == &uplink &&
                       slot->leg->channel() == ready.channel();
    const bool elsewhere = slot->leg != nullptr && &slot->leg->uplink() != &uplink;
    if (elsewhere && !asked && !slot->wants_relay()) {
      // A late answer to a claim, or an Intermediate that nobody asked. If the other end did move
      // there, the session ends, and does not hang.
      return tell_closed(uplink, id);
    }
    if (!bound) bind_relay(*slot, uplink, ready.channel());
    if (asked) owner_.on_session_opened(ready.request(), *slot->session);
    return;
  }
  if (config_.role == Session::Role::agent && !asked) return;
  slot = create_session(ready, id, incarnation);
  if (slot == nullptr) {
    ++counters_.sessions_refused;
    if (asked) {
      owner_.on_session_refused(ready.request(), proto::REASON_UNAVAILABLE,
                                "the session that the Intermediate offers is none we can have");
    }
    return tell_closed(uplink, id);
  }
  bind_relay(*slot, uplink, ready.channel());
  if (asked) owner_.on_session_opened(ready.request(), *slot->session);
}

std::optional<identity::Expectation> Node::expected(const std::string& peer_uri) const {
  const auto id = identity::parse_spiffe_id(peer_uri);
  if (!id) return std::nullopt;
  const identity::Role role =
      config_.role == Session::Role::agent ? identity::Role::connector : identity::Role::agent;
  const std::string& trust_domain = config_.credentials->self().trust_domain;
  if (id->role != role || id->trust_domain != trust_domain) return std::nullopt;
  return identity::Expectation{role, trust_domain, id->name, {}};
}

bool Node::has_room_for(const std::string& peer_uri) const {
  if (slots_.size() >= config_.max_sessions) return false;
  const auto with_peer = std::ranges::count_if(slots_, [&](const auto& entry) {
    return entry.second->session->config().peer_uri == peer_uri;
  });
  return static_cast<std::size_t>(with_peer) < config_.max_sessions_per_peer;
}

Node::Slot* Node::create_session(const proto::SessionReady& ready, const base::SessionId& id,
                                 const base::IncarnationId& incarnation) {
  auto expect = expected(ready.peer());
  if (!expect || !has_room_for(ready.peer())) return nullptr;
  auto slot = std::make_unique<Slot>();
  slot->key = ++last_key_;
  session::SessionConfig config;
  config.id = id;
  config.peer_uri = ready.peer();
  config.expect = std::move(*expect);
  config.peer_incarnation = incarnation;
  config.credentials = config_.credentials;
  config.random = config_.random;
  config.cid_layout = config_.cid_layout;
  config.reset_key = reset_key_;
  config.initial_rtt = std::min<base::Duration>(std::chrono::microseconds(ready.relay_rtt_us()),
                                                timeouts::believable_rtt);
  config.version = config_.version;
  config.wake = [this, key = slot->key] { touch(key); };
  if (config_.direct_paths) {
    config.direct = session::DirectConfig{socket_v4_, socket_v6_,
                                          static_cast<std::uint32_t>(slot->key - session_handles),
                                          config_.direct_only};
  }
  slot->session =
      std::make_unique<Session>(config_.role, std::move(config), owner_, endpoint_, slot->key);
  if (config_.direct_paths) slot->session->set_candidates(candidates(), now_);
  slot->must_start_by = now_ + std::chrono::seconds(10);
  by_id_.emplace(id, slot->key);
  Slot* const raw = slot.get();
  if (slots_.empty()) awake_at_ = now_;  // who has no session may be left alone for long
  slots_.emplace(raw->key, std::move(slot));
  count_sessions();
  return raw;
}

void Node::bind_relay(Slot& slot, Uplink& uplink, std::uint32_t channel) {
  if (slot.leg != nullptr) {
    by_channel_.erase({slot.leg->uplink().index(), slot.leg->channel()});
    slot.leg->uplink().remove_channel(slot.leg->channel());
  }
  slot.leg = std::make_unique<RelayLeg>(uplink, channel);
  slot.home = &uplink;
  slot.claimed_at.clear();
  slot.relay_lost_at = base::never;
  by_channel_[{uplink.index(), channel}] = slot.key;
  slot.session->set_relay(slot.leg.get(), now_, wall_.now(now_));
  touch(slot.key);
  owner_.on_session_relay(*slot.session, true);
}

void Node::lose_relay(Slot& slot) {
  by_channel_.erase({slot.leg->uplink().index(), slot.leg->channel()});
  slot.session->set_relay(nullptr, now_, wall_.now(now_));
  slot.leg.reset();
  slot.relay_lost_at = now_ + timeouts::relay_lost;
  touch(slot.key);
  if (slot.session->state() == Session::State::waiting) {
    return slot.session->close(session::close_idle, "the relay went before the session began",
                               now_);
  }
  owner_.on_session_relay(*slot.session, false);
  claim(slot);
}

// The Agent claims at one Intermediate, the Connector wherever it can, so that they meet at one
// place only: where the relay was, if that is up. Any that comes up later is asked then.
void Node::claim(Slot& slot) {
  if (slot.home != nullptr && slot.home->up()) {
    claim_at(slot, *slot.home);
    if (config_.role == Session::Role::agent) return;
  }
  for (const auto& uplink : uplinks_) {
    if (!uplink->up() || uplink.get() == slot.home) continue;
    claim_at(slot, *uplink);
    if (config_.role == Session::Role::agent) return;
  }
}

void Node::claim_at(Slot& slot, Uplink& uplink) {
  proto::Message message;
  const session::SessionConfig& config = slot.session->config();
  auto& body = *message.mutable_claim_session();
  body.set_session_id(config.id.octets.data(), config.id.octets.size());
  body.set_peer(config.peer_uri);
  body.set_peer_incarnation(config.peer_incarnation.octets.data(),
                            config.peer_incarnation.octets.size());
  if (!uplink.send(message)) return;
  slot.claimed_at.insert(uplink.index());
  if (slot.leg == nullptr) slot.relay_lost_at = now_ + timeouts::claim_answer;
  touch(slot.key);
}

void Node::on_session_closed_message(Uplink& uplink, const proto::SessionClosed& closed) {
  base::SessionId id;
  if (!base::SessionId::from(base::as_bytes(closed.session_id()), id)) return;
  Slot* const slot = slot_of(id);
  // Only the Intermediate that relays for a session may end its relaying.
  if (slot == nullptr || slot->leg == nullptr || &slot->leg->uplink() != &uplink) return;
  const bool denied =
      closed.reason() == proto::REASON_DENIED || closed.reason() == proto::REASON_REVOKED;
  slot->session->close(denied ? session::close_denied : session::close_replaced,
                       "the Intermediate ended the session: " + closed.text().substr(0, 200), now_);
  touch(slot->key);
}

void Node::close_session(Session& session, std::uint64_t code, std::string_view reason,
                         base::Time now) {
  now_ = now;
  session.close(code, reason, now);
  const auto found = by_id_.find(session.config().id);
  if (found != by_id_.end()) touch(found->second);
}

void Node::close(std::string_view reason, base::Time now) {
  now_ = now;
  closing_ = reason;
  for (const auto& [key, slot] : slots_) {
    slot->session->close(session::close_shutting_down, reason, now);
  }
}

void Node::tell_closed(Uplink& uplink, const base::SessionId& id) {
  proto::Message message;
  message.mutable_close_session()->set_session_id(id.octets.data(), id.octets.size());
  uplink.send(message);
}

// Takes an ended session away. Its CONNECTION_CLOSE has left by transmit(); where that gets lost,
// CloseSession makes it good, which the Intermediate passes on.
void Node::forget(Slot& slot) {
  add(ended_, *slot.session);
  if (slot.leg != nullptr) {
    tell_closed(slot.leg->uplink(), slot.session->config().id);
    by_channel_.erase({slot.leg->uplink().index(), slot.leg->channel()});
    slot.leg->uplink().retire_channel(slot.leg->channel());
  }
  by_id_.erase(slot.session->config().id);
  deadlines_.remove(slot.key);
  slots_.erase(slot.key);
  count_sessions();
}

void Node::count_sessions() {
  for (const auto& uplink : uplinks_) {
    const auto questions = std::ranges::count_if(
        pending_requests_, [&](const auto& pending) { return pending.second == uplink->index(); });
    uplink->set_sessions(slots_.size() + static_cast<std::size_t>(questions), now_);
  }
}

Node::Slot* Node::slot_of(const base::SessionId& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : slots_.at(found->second).get();
}

Node::PathCounters Node::path_counters() const {
  PathCounters sum = ended_;
  for (const auto& [key, slot] : slots_) add(sum, *slot->session);
  return sum;
}

std::vector<Session*> Node::sessions() const {
  std::vector<Session*> all;
  all.reserve(slots_.size());
  for (const auto& [key, slot] : slots_) all.push_back(slot->session.get());
  return all;
}

Session* Node::session(const base::SessionId& id) const {
  const Slot* const slot = slot_of(id);
  return slot == nullptr ? nullptr : slot->session.get();
}

const Uplink* Node::uplink_of(const Session& session) const {
  const Slot* const slot = slot_of(session.config().id);
  return slot == nullptr || slot->leg == nullptr ? nullptr : &slot->leg->uplink();
}

bool Node::any_uplink_up() const {
  return std::ranges::any_of(uplinks_, [](const auto& uplink) { return uplink->up(); });
}

}  // namespace ztna::node
