#include "intermediate/engine.hpp"

#include <algorithm>

#include "session/close_code.hpp"

namespace ztna::intermediate {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view alpn = "ztna-uplink/1";
constexpr std::size_t max_stateless = 256;  // answers waiting to leave
// Nodes that should be heard every second (Connectors, and Agents with sessions): after `silent`
// no new flows are sent there, after `dead` their sessions end. Between them a process may be
// stopped for 5 s and go on (DESIGN §5).
constexpr base::Duration silent_after = 3s;
constexpr base::Duration dead_after = 8s;
constexpr base::Duration watch_interval = 500ms;
// Register follows the handshake at once.
constexpr base::Duration registration = 5s;
// Changes of offers are gathered for so long before every Agent hears of them.
constexpr base::Duration directory_delay = 20ms;
// And so long they are apart: each costs a policy decision for every Agent and service.
constexpr base::Duration directory_interval = 100ms;
constexpr base::Duration uplink_idle = 30s;
// STUN answers a second and at once for one prefix.
constexpr double stun_rate = 50, stun_burst = 100;

std::vector<base::Address> addresses(const std::vector<ListenAddress>& listen) {
  std::vector<base::Address> all;
  for (const ListenAddress& entry : listen) all.push_back(entry.address);
  return all;
}

}  // namespace

Engine::Engine(EngineConfig config, base::WallReference wall)
    : config_(std::move(config)),
      wall_(wall),
      endpoint_({config_.credentials->derive("ztna intermediate retry"),
                 config_.credentials->derive("ztna intermediate reset")},
                config_.cid_layout, *config_.random),
      reset_key_(config_.credentials->derive("ztna intermediate reset")),
      admission_(config_.admission),
      stun_limit_(stun_rate, stun_burst),
      stun_(addresses(config_.listen)),
      broker_(*this, config_.broker, *config_.random) {
  broker_.set_relay(config_.relay);
}

Engine::~Engine() = default;

// --- packets in

void Engine::receive(const base::Incoming& packet, base::Time now) {
  now_ = now;
  ++counters_.packets_received;
  if (wire::stun::is_stun(packet.payload)) return answer_stun(packet, now);
  const quic::Endpoint::Options options{.accept_new = !draining_,
                                        .require_retry = admission_.wants_retry()};
  auto verdict = endpoint_.classify(packet.payload, packet.from, options, now);
  if (const auto* deliver = std::get_if<quic::Endpoint::Deliver>(&verdict)) {
    Peer* const found = peer(deliver->handle);
    if (found == nullptr) return;
    found->receive(packet, now);
    on_peer_wake(*found);
  } else if (const auto* fresh = std::get_if<quic::Endpoint::Accept>(&verdict)) {
    accept(packet, *fresh, now);
  } else if (auto* answer = std::get_if<quic::Endpoint::Reply>(&verdict)) {
    reply(packet, std::move(*answer));
  } else {
    ++counters_.packets_malformed;
  }
}

void Engine::reply(const base::Incoming& to, quic::Endpoint::Reply&& reply) {
  using Kind = quic::Endpoint::Reply::Kind;
  if (stateless_.size() >= max_stateless) return;
  if (reply.kind == Kind::retry) ++counters_.retries_sent;
  if (reply.kind == Kind::stateless_reset) ++counters_.resets_sent;
  if (reply.kind == Kind::version_negotiation) ++counters_.versions_sent;
  stateless_.push_back({to.socket, to.from, to.to, std::move(reply.packet)});
}

void Engine::accept(const base::Incoming& packet, const quic::Endpoint::Accept& accept,
                    base::Time now) {
  switch (admission_.admit(packet.from, accept.validated, now)) {
    case Admission::Verdict::accept: break;
    case Admission::Verdict::retry: {
      const quic::Endpoint::Options options{.accept_new = true, .require_retry = true};
      auto verdict = endpoint_.classify(packet.payload, packet.from, options, now);
      if (auto* answer = std::get_if<quic::Endpoint::Reply>(&verdict)) {
        reply(packet, std::move(*answer));
      }
      return;
    }
    case Admission::Verdict::drop: ++counters_.initials_dropped; return;
  }
  quic::Config config;
  config.alpn = alpn;
  config.credentials = config_.credentials;
  config.expect.trust_domain = config_.credentials->self().trust_domain;
  config.expect.role = std::nullopt;
  config.random = config_.random;
  config.wall_now = wall_.now(now);
  config.cid_layout = config_.cid_layout;
  config.reset_key = reset_key_;
  config.idle_timeout = uplink_idle;
  config.initial_rtt = 100ms;
  config.handshake_timeout = 5s;
  config.peer_streams = 1;
  config.stream_window = 32 * 1024;
  config.max_stream_window = 256 * 1024;
  config.connection_window = 64 * 1024;
  config.max_connection_window = std::uint64_t{24} << 20;
  config.send_buffer = 256 * 1024;
  const PeerKey key = ++last_peer_;
  PeerHandler& self = *this;
  auto fresh = std::make_unique<Peer>(key, self, endpoint_, pool_, queue_counters_);
  const auto accepted = fresh->accept(std::move(config), accept.initial,
                                      {packet.socket, packet.from, packet.to}, now);
  ++counters_.handshakes_started;
  if (!accepted) {
    ++counters_.handshakes_failed;
    return;
  }
  admission_.handshake_started(packet.from);
  Peer& live = *(peers_[key] = std::move(fresh));
  live.receive(packet, now);
  on_peer_wake(live);
}

void Engine::answer_stun(const base::Incoming& packet, base::Time now) {
  std::array<std::uint8_t, 2048> out{};
  if (stateless_.size() >= max_stateless || packet.payload.size() > out.size() - 128 ||
      !stun_limit_.take(packet.from, now)) {
    ++counters_.stun_dropped;
    return;
  }
  const auto answer = stun_.answer(packet.payload, packet.from, packet.to, out);
  const auto socket =
      !answer ? config_.listen.end()
              : std::ranges::find(config_.listen, answer->from, &ListenAddress::address);
  if (socket == config_.listen.end()) {
    ++counters_.stun_dropped;
    return;
  }
  ++counters_.stun_answered;
  stateless_.push_back(
      {socket->socket, answer->to, answer->from, {answer->message.begin(), answer->message.end()}});
}

// --- time and packets out

void Engine::expire(base::Time now) {
  now_ = now;
  PeerKey key = 0;
  while (deadlines_.pop_due(now, key)) {
    Peer* const due = peer(key);
    if (due == nullptr) continue;
    due->expire(now);
    on_peer_wake(*due);
  }
  if (now >= directories_due_) send_directories();
  if (now >= next_watch_) {
    next_watch_ = now + watch_interval;
    watch_silence(now);
    broker_.expire(now);
  }
}

base::Time Engine::next_deadline() const {
  return std::min(
      {deadlines_.next(), directories_due_, peers_.empty() ? base::never : next_watch_});
}

base::Outgoing Engine::transmit(base::MutableBytes buffer, base::Time now) {
  now_ = now;
  if (!stateless_.empty()) {
    const Stateless answer = std::move(stateless_.back());
    stateless_.pop_back();
    std::ranges::copy(answer.packet, buffer.begin());
    return {answer.socket, answer.to, answer.from, 0, answer.packet.size(), answer.packet.size()};
  }
  while (!awake_.empty()) {
    const PeerKey key = awake_.front();
    awake_.pop_front();
    Peer* const next = peer(key);
    if (next == nullptr) continue;
    next->set_awake(false);
    const base::Outgoing out = next->transmit(buffer, now);
    if (out.size > 0) {
      on_peer_wake(*next);  // to the back of the queue: it may have more
      return out;
    }
    if (next->state() == Peer::State::closed && next->finished()) {
      forget(*next);
      continue;
    }
    deadlines_.set(key, next->next_deadline());
  }
  return {};
}

void Engine::on_peer_wake(Peer& peer) {
  if (!peer.set_awake(true)) awake_.push_back(peer.key());
}

Peer* Engine::peer(PeerKey key) {
  const auto found = peers_.find(key);
  return found == peers_.end() ? nullptr : found->second.get();
}

void Engine::watch_silence(base::Time now) {
  bool changed = false;
  for (const auto& [key, node] : peers_) {
    if (!node->proven()) continue;
    if (!node->registered() && now - node->accepted_at() >= registration) {
      node->close(session::close_protocol, "no registration", now);
      continue;
    }
    if (node->principal().not_after <= wall_.now(now)) {
      node->close(session::close_denied, "your certificate has expired", now);
      continue;
    }
    const bool expected =
        node->principal().role == identity::Role::connector || node->channel_count() > 0;
    const base::Duration silence = now - node->last_heard();
    if (expected && silence >= dead_after) {
      node->close(session::close_idle, "nothing heard for 8 s", now);
      continue;
    }
    const bool silent = expected && silence >= silent_after;
    if (silent == node->silent()) continue;
    node->set_silent(silent);
    changed = changed || node->principal().role == identity::Role::connector;
  }
  if (changed) broker_.peer_silent();
}

// --- registration

// Whether it may be here is decided when it registers: only then can it be told.
void Engine::on_peer_established(Peer& peer) {
  admission_.handshake_ended(peer.origin());
  admission_.uplink_up();
  std::vector<Peer*>& namesakes = by_uri_[peer.uri()];
  namesakes.push_back(&peer);
  // Some are about to replace another, or to be refused with a reason.
  const auto proven = std::ranges::count_if(namesakes, &Peer::proven);
  if (static_cast<std::size_t>(proven) > 2 * config_.max_uplinks_per_identity) {
    ++counters_.registrations_refused;
    peer.fail("too many uplinks under this name");
  }
}

const std::vector<Peer*>& Engine::uplinks_of(const std::string& uri) const {
  static const std::vector<Peer*> none;
  const auto found = by_uri_.find(uri);
  return found == by_uri_.end() ? none : found->second;
}

void Engine::forget(Peer& peer) {
  if (const auto found = by_uri_.find(peer.uri()); found != by_uri_.end()) {
    std::erase(found->second, &peer);
    if (found->second.empty()) by_uri_.erase(found);
  }
  deadlines_.remove(peer.key());
  peers_.erase(peer.key());
}

void Engine::refuse(Peer& peer, proto::Reason reason, const std::string& text) {
  ++counters_.registrations_refused;
  audit_uplink(peer, false, text);
  proto::Message message;
  auto& refused = *message.mutable_refused();
  refused.set_reason(reason);
  refused.set_text(text);
  refused.set_fatal(true);
  peer.send(message);
  peer.fail(text);
}

void Engine::register_peer(Peer& peer, const proto::Register& body) {
  base::IncarnationId incarnation;
  if (peer.registered() ||
      !base::IncarnationId::from(base::as_bytes(body.incarnation()), incarnation)) {
    return refuse(peer, proto::REASON_MALFORMED, "malformed or repeated registration");
  }
  if (const auto revoked = config_.policy->revoked_by(peer.principal().spki)) {
    return refuse(peer, proto::REASON_REVOKED, *revoked);
  }
  if (const std::string why = distrust(peer, now_); !why.empty()) {
    return refuse(peer, proto::REASON_DENIED, why);
  }
  if (draining_) return refuse(peer, proto::REASON_DRAINING, "this Intermediate is going away");
  peer.set_identity(incarnation, body.uplink());
  if (has_duplicate(peer)) {
    return refuse(peer, proto::REASON_DUPLICATE,
                  "another uplink of this node is here: two names lead to this Intermediate");
  }
  replace_older(peer);
  const auto others = std::ranges::count_if(uplinks_of(peer.uri()), &Peer::registered);
  if (static_cast<std::size_t>(others) >= config_.max_uplinks_per_identity) {
    return refuse(peer, proto::REASON_QUOTA, "too many uplinks under this name");
  }
  peer.set_registered();
  audit_uplink(peer, true, "certificate");
  proto::Message message;
  auto& registered = *message.mutable_registered();
  registered.set_version(config_.version);
  peer.send(message);
  send_relay_state(peer);
  send_observed(peer);
  if (peer.principal().role == identity::Role::agent) send_directory(peer);
}

// The same run of the node by another of its uplinks, which lives.
bool Engine::has_duplicate(const Peer& peer) const {
  return std::ranges::any_of(uplinks_of(peer.uri()), [&](const Peer* other) {
    return other != &peer && other->registered() && !other->silent() &&
           other->incarnation() == peer.incarnation() && other->uplink() != peer.uplink();
  });
}

// The same run of a node dialled anew, or another run of it speaks from the very same address: the
// older uplink is dead, whatever its timers still hope for.
void Engine::replace_older(Peer& peer) {
  for (Peer* const other : uplinks_of(peer.uri())) {
    if (other == &peer || !other->registered()) continue;
    const bool same_run = other->incarnation() == peer.incarnation();
    if (!same_run && other->address() != peer.address()) continue;
    broker_.peer_lost(*other, !same_run, "the node was restarted", now_);
    other->close(session::close_replaced, "another uplink took its place", now_);
  }
  broker_.peer_restarted(peer, now_);
}

void Engine::send_observed(Peer& peer) {
  proto::Message message;
  message.mutable_observed_address()->set_address(peer.address().to_string());
  peer.send(message);
}

void Engine::send_relay_state(Peer& peer) const {
  proto::Message message;
  message.mutable_relay_state()->set_carries_flows(broker_.relay_on());
  peer.send(message);
}

void Engine::on_peer_moved(Peer& peer) {
  if (peer.registered()) send_observed(peer);
}

void Engine::on_peer_message(Peer& peer, const proto::Message& message) {
  if (message.body_case() == proto::Message::kRegister) {
    return register_peer(peer, message.register_());
  }
  if (!peer.registered() || peer.failing()) return;
  const bool is_agent = peer.principal().role == identity::Role::agent;
  switch (message.body_case()) {
    case proto::Message::kOffer:
      if (!is_agent) broker_.offer(peer, message.offer(), now_);
      break;
    case proto::Message::kOpenSession:
      if (is_agent) broker_.open(peer, message.open_session(), now_);
      break;
    case proto::Message::kClaimSession: broker_.claim(peer, message.claim_session(), now_); break;
    case proto::Message::kCloseSession: broker_.close(peer, message.close_session(), now_); break;
    case proto::Message::kStatementRequest:
      broker_.statement(peer, message.statement_request(), now_, wall_.now(now_));
      break;
    case proto::Message::kSuspendRelay:
      if (is_agent) broker_.suspend(peer, message.suspend_relay(), now_);
      break;
    default: break;
  }
}

void Engine::on_peer_relayed(Peer& peer, const wire::RelayPacket& packet) {
  if (peer.registered()) broker_.relay(peer, packet, now_);
}

void Engine::on_peer_malformed_relay(Peer& /*peer*/) { ++counters_.relay_malformed; }

void Engine::on_peer_closed(Peer& peer, const quic::CloseInfo& info) {
  if (peer.state() == Peer::State::handshaking) {
    admission_.handshake_ended(peer.origin());
    ++counters_.handshakes_failed;
    // On record is who showed a certificate; anyone can cause any other failure, as often as he
    // likes and in anyone's name.
    if (info.certificate_refused) {
      policy::AuditRecord record;
      record.event = policy::AuditEvent::uplink;
      record.allowed = false;
      record.reason = info.reason;
      record.address = peer.address().to_string();
      audit(std::move(record));
    }
    return;
  }
  admission_.uplink_down();
  if (!peer.registered()) return;
  // A node that says it shuts down has ended, and so has one that we gave up or cut. Any other end
  // may be followed by another dial and a claim: a node that heard nothing from us closes too.
  const bool said_so = info.cause == quic::CloseCause::peer && info.application &&
                       info.code == session::close_shutting_down;
  const bool cut = info.cause == quic::CloseCause::local && info.application &&
                   (info.code == session::close_idle || info.code == session::close_denied);
  const bool gone = said_so || cut;
  broker_.peer_lost(peer, gone, "the other end is gone (" + info.reason + ")", now_);
}

// --- directories

void Engine::directory_changed() {
  if (directories_due_ != base::never) return;
  directories_due_ = std::max(now_ + directory_delay, directories_sent_ + directory_interval);
}

void Engine::send_directory(Peer& agent) {
  const std::vector<proto::Message> parts = broker_.directory_for(agent);
  std::string octets;
  for (const proto::Message& part : parts) octets += part.SerializeAsString();
  if (!agent.directory_is_news(std::hash<std::string>()(octets))) return;
  for (const proto::Message& part : parts) agent.send(part);
}

void Engine::send_directories() {
  directories_due_ = base::never;
  directories_sent_ = now_;
  for (const auto& [key, node] : peers_) {
    if (!node->registered() || node->principal().role != identity::Role::agent) continue;
    // Who has not read the last one gets the latest, later.
    if (node->backlog() > 0) {
      directory_changed();
    } else {
      send_directory(*node);
    }
  }
}

// --- operators

std::string Engine::distrust(const Peer& peer, base::Time now) const {
  const auto trusted =
      config_.credentials->still_trusts(peer.certificate(), peer.principal(), wall_.now(now));
  return trusted ? std::string() : trusted.error().message();
}

void Engine::reload(std::shared_ptr<const identity::Credentials> credentials,
                    std::shared_ptr<const policy::Policy> policy, base::Time now) {
  now_ = now;
  config_.credentials = std::move(credentials);
  config_.policy = std::move(policy);
  for (const auto& [key, node] : peers_) {
    if (!node->proven()) continue;
    std::string why;
    if (const auto revoked = config_.policy->revoked_by(node->principal().spki)) {
      why = *revoked;
    } else {
      why = distrust(*node, now);
    }
    if (why.empty()) continue;
    policy::AuditRecord record = record_of(*node, policy::AuditEvent::revoked);
    record.allowed = false;
    record.rule = why;
    audit(std::move(record));
    node->close(session::close_denied, why, now);
  }
  broker_.reevaluate(now);
}

void Engine::set_relay(bool on, base::Time now) {
  now_ = now;
  broker_.set_relay(on);
  for (const auto& [key, node] : peers_) {
    if (node->registered()) send_relay_state(*node);
  }
  policy::AuditRecord record;
  record.event = policy::AuditEvent::relay_switch;
  record.reason = on ? "on" : "off";
  audit(std::move(record));
}

void Engine::drain(base::Duration grace, base::Time now) {
  now_ = now;
  draining_ = true;
  proto::Message message;
  message.mutable_drain()->set_grace_ms(static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(grace).count()));
  for (const auto& [key, node] : peers_) node->send(message);
}

void Engine::close(base::Time now) {
  now_ = now;
  draining_ = true;
  broker_.record_ends("this Intermediate is going away", now);
  for (const auto& [key, node] : peers_) {
    node->close(session::close_shutting_down, "this Intermediate is going away", now);
  }
}

void Engine::audit(policy::AuditRecord record) {
  record.time = wall_.now(now_);
  audit_.push_back(std::move(record));
}

void Engine::audit_uplink(const Peer& peer, bool allowed, const std::string& rule) {
  policy::AuditRecord record = record_of(peer, policy::AuditEvent::uplink);
  record.allowed = allowed;
  record.rule = rule;
  audit(std::move(record));
}

std::vector<policy::AuditRecord> Engine::take_audit() { return std::exchange(audit_, {}); }

std::vector<Engine::UplinkView> Engine::uplinks() const {
  std::vector<UplinkView> views;
  for (const auto& [key, node] : peers_) {
    if (!node->registered()) continue;
    views.push_back({node->uri(), node->address().to_string(), node->incarnation().hex(),
                     node->principal().role, node->silent(), node->stats().smoothed_rtt,
                     node->channel_count(), broker_.directory().offered_by(key)});
  }
  return views;
}

Engine::RoleCounts Engine::role_counts() const {
  RoleCounts counts;
  counts.handshakes = admission_.handshakes();
  for (const auto& [key, node] : peers_) {
    if (!node->registered()) continue;
    ++(node->principal().role == identity::Role::agent ? counts.agents : counts.connectors);
  }
  return counts;
}

}  // namespace ztna::intermediate
