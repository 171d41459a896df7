#include "node/uplink.hpp"

#include <algorithm>
#include <utility>

#include "node/timeouts.hpp"
#include "session/session.hpp"

namespace ztna::node {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view alpn = "ztna-uplink/1";
constexpr std::size_t max_control_backlog = 1 << 20;
// A draining Intermediate says when it goes; much more than that is no drain.
constexpr base::Duration max_grace = 10min;

}  // namespace

std::string_view to_string(Uplink::State state) {
  switch (state) {
    case Uplink::State::waiting: return "waiting";
    case Uplink::State::resolving: return "resolving";
    case Uplink::State::connecting: return "connecting";
    case Uplink::State::registering: return "registering";
    case Uplink::State::up: return "up";
    case Uplink::State::draining: return "draining";
    case Uplink::State::stopped: return "stopped";
  }
  return "unknown";
}

Uplink::Uplink(std::uint32_t index, UplinkConfig config, UplinkHandler& handler,
               quic::Endpoint& endpoint, relay::PacketPool& pool)
    : index_(index),
      config_(std::move(config)),
      handler_(handler),
      endpoint_(endpoint),
      name_(config_.intermediate.to_string()),
      discovery_(*config_.random),
      attempt_(timeouts::connect_attempts.front()),
      queue_(pool, relay_counters_, wire::RelayPairNumbers::of_node()) {}

Uplink::~Uplink() = default;

void Uplink::set_credentials(std::shared_ptr<const identity::Credentials> credentials) {
  credentials_ = std::move(credentials);
}

void Uplink::set_sockets(std::optional<base::SocketId> v4, std::optional<base::SocketId> v6) {
  socket_v4_ = v4;
  socket_v6_ = v6;
}

std::optional<base::SocketId> Uplink::socket_for(const base::Address& remote) const {
  return remote.is_v4() ? socket_v4_ : socket_v6_;
}

void Uplink::set_sessions(std::size_t count, base::Time now) {
  const bool before = asks_often();
  sessions_ = count;
  discovery_.set_wanted(count > 0);
  if (asks_often() == before || !connection_) return;
  // Silence counts from now: until here nobody had asked.
  if (asks_often()) last_heard_ = now;
  connection_->set_keep_alive(keep_alive());
}

base::Duration Uplink::keep_alive() const {
  return asks_often() ? timeouts::uplink_keep_alive : timeouts::uplink_keep_alive_idle;
}

quic::Endpoint::Handle Uplink::handle() const { return std::uint64_t{1} << 32 | index_; }

const identity::Principal* Uplink::peer() const {
  return connection_ ? connection_->peer() : nullptr;
}
const std::string& Uplink::peer_certificate() const {
  static const std::string none;
  return connection_ ? connection_->peer_certificate() : none;
}
quic::Stats Uplink::stats() const { return connection_ ? connection_->stats() : quic::Stats{}; }
std::size_t Uplink::max_udp_payload() const {
  return connection_ ? connection_->max_udp_payload() : 0;
}

bool Uplink::hopeful(base::Time now) const {
  if (state_ == State::stopped) return false;
  if (!ever_failed_ && connects_ == 0) return true;
  return connects_ > 0 && (up() || now - last_up_ < timeouts::flow_waits_for_uplink);
}

// --- dialling

bool Uplink::take_resolve_request() { return std::exchange(wants_resolve_, false); }

void Uplink::resolved(std::vector<base::Address> addresses, const std::string& error,
                      base::Time now) {
  if (state_ != State::resolving) return;
  std::erase_if(addresses, [&](const base::Address& a) { return !socket_for(a).has_value(); });
  if (addresses.empty()) {
    now_ = now;
    end(error.empty() ? "no usable address for " + name_ : error);
    return settle(now);
  }
  addresses_ = std::move(addresses);
  state_deadline_ = now;  // dial in expire(), where the wall clock is at hand
  state_ = State::connecting;
}

void Uplink::dial(base::Time now, base::WallTime wall) {
  remote_ = addresses_[next_address_++ % addresses_.size()];
  socket_ = *socket_for(remote_);
  quic::Config config;
  config.alpn = alpn;
  config.credentials = credentials_;
  config.expect.role = identity::Role::intermediate;
  config.expect.trust_domain = credentials_->self().trust_domain;
  if (config_.web_pki) config.expect.web_pki_host = config_.intermediate.host;
  config.random = config_.random;
  config.wall_now = wall;
  config.cid_layout = config_.cid_layout;
  config.reset_key = config_.reset_key;
  config.idle_timeout = timeouts::uplink_idle;
  config.initial_rtt = last_rtt_ > base::Duration{} ? last_rtt_ : base::Duration(100ms);
  config.handshake_timeout = attempt_;
  config.stream_window = 64 * 1024;
  config.max_stream_window = 1 << 20;
  config.connection_window = 128 * 1024;
  config.max_connection_window = std::uint64_t{24} << 20;
  config.keep_alive = keep_alive();
  auto made = quic::Connection::connect(config, quic::PathId{++last_path_}, *this, &queue_, now);
  if (!made) return end(made.error().message());
  connection_ = std::move(*made);
  state_deadline_ = now + attempt_;
  last_heard_ = now;
}

// What the other end says of the socket that it hears is QAD. One of the other family may have a
// NAT as well, and peers that know no other.
void Uplink::discover_other_family() {
  if (!config_.learn_addresses) return;
  std::optional<nat::AddressDiscovery::Server> server;
  for (const base::Address& address : addresses_) {
    if (server || address.family() == remote_.family()) continue;
    server = {*socket_for(address), address};
  }
  discovery_.start(server, now_);
}

void Uplink::end(const std::string& reason) {
  if (end_reason_.empty()) end_reason_ = reason.empty() ? "connection ended" : reason;
}

void Uplink::schedule_retry(base::Time now) {
  if (outage_since_ == base::Time{}) {
    outage_since_ = now;
    pause_ = timeouts::retry_first;
  } else {
    const bool young = now - outage_since_ < timeouts::outage_young;
    pause_ = std::min(pause_ * 2, young ? timeouts::retry_young : timeouts::retry_max);
  }
  if (std::exchange(turned_away_, false)) pause_ = timeouts::retry_max;
  if (std::exchange(duplicate_, false)) pause_ = timeouts::duplicate;
  // ± 50 %, so that a fleet does not come back in one moment.
  const auto jitter = static_cast<std::int64_t>(config_.random->u64() % 1001);
  state_ = State::waiting;
  state_deadline_ = now + pause_ / 2 + pause_ * jitter / 1000;
}

// Takes the consequences of an end that happened inside a callback.
void Uplink::settle(base::Time now) {
  if (end_reason_.empty() || state_ == State::stopped) return;
  const std::string reason = std::exchange(end_reason_, {});
  const bool was_up = relays();
  if (connection_) {
    if (!connection_->closed()) connection_->close(session::close_normal, reason, now);
    // What still comes for it is nobody's: its farewell is sent once.
    for (const quic::ConnectionId& id : connection_->connection_ids()) endpoint_.remove(id);
    closing_ = std::move(connection_);
  }
  end_reason_.clear();
  discovery_.stop();
  if (was_up) {
    last_up_ = now;
  } else {
    ever_failed_ = true;
    ++failed_attempts_;
    attempt_ = timeouts::connect_attempts.at(failed_attempts_ % timeouts::connect_attempts.size());
  }
  renew_at_ = base::never;
  carries_flows_ = true;
  control_ = -1;
  writer_.clear();
  reader_ = wire::MessageReader();
  queue_.clear();
  last_error_ = reason;
  schedule_retry(now);
  if (was_up) {
    handler_.on_uplink_down(*this, reason);
  } else {
    handler_.on_uplink_attempt_failed(*this, reason);
  }
}

void Uplink::drop(const std::string& reason, base::Time now) {
  now_ = now;
  end(reason);
  settle(now);
}

void Uplink::renew(base::Time at) {
  if (connection_) renew_at_ = at;
}

void Uplink::hurry(base::Time now) {
  if (state_ == State::waiting) state_deadline_ = now;
}

void Uplink::close(std::string_view reason, base::Time now) {
  now_ = now;
  state_ = State::stopped;
  discovery_.stop();
  if (connection_) connection_->close(session::close_shutting_down, reason, now);
}

// --- engine

void Uplink::receive(const base::Incoming& packet, base::Time now) {
  now_ = now;
  if (!connection_ || packet.from != remote_ || packet.socket != socket_) return;
  last_heard_ = now;
  connection_->receive(connection_->path(), packet.ecn, packet.payload, now);
  settle(now);
}

bool Uplink::receive_stun(const base::Incoming& packet, const wire::stun::Message& message,
                          base::Time now) {
  now_ = now;
  const auto before = discovery_.mapped();
  if (!discovery_.receive(packet, message)) return false;
  if (discovery_.mapped() != before) handler_.on_mapped_address(*this);
  return true;
}

bool Uplink::may_be_reset(const base::Incoming& packet) const {
  constexpr std::uint8_t long_header = 0x80;
  return connection_ && packet.from == remote_ && packet.socket == socket_ &&
         !packet.payload.empty() && (packet.payload[0] & long_header) == 0;
}

void Uplink::expire(base::Time now, base::WallTime wall) {
  now_ = now;
  if (connection_ && connection_->next_deadline() <= now) connection_->expire(now);
  if (closing_ && closing_->next_deadline() <= now) closing_->expire(now);
  if (closing_ && closing_->finished()) closing_.reset();
  const bool known = discovery_.mapped().has_value();
  discovery_.expire(now);
  if (known && !discovery_.mapped()) handler_.on_mapped_address(*this);
  if (relays() && asks_often() && now - last_heard_ > timeouts::uplink_dead) {
    end("nothing heard from " + name_ + " for " +
        std::to_string(timeouts::uplink_dead / std::chrono::seconds(1)) + " s");
  }
  if (connection_ && connection_->stalled(now)) end(name_ + " acknowledges nothing any more");
  if (now >= renew_at_) end("this node's certificate was renewed");
  if (now >= state_deadline_) {
    switch (state_) {
      case State::waiting:
        state_ = State::resolving;
        wants_resolve_ = true;
        state_deadline_ = now + timeouts::resolve;
        break;
      case State::resolving: end("the name of " + name_ + " was not resolved in time"); break;
      case State::connecting:
        if (connection_) {
          end("no answer from " + name_ + " (" + remote_.to_string() + ")");
        } else {
          dial(now, wall);
        }
        break;
      case State::registering: end(name_ + " did not answer the registration"); break;
      case State::draining: end(name_ + " has gone away"); break;
      case State::up:
      case State::stopped: break;
    }
  }
  settle(now);
}

base::Time Uplink::next_deadline() const {
  base::Time at = std::min(renew_at_, discovery_.next_deadline());
  if (connection_) at = std::min(at, connection_->next_deadline());
  if (closing_) at = std::min(at, closing_->next_deadline());
  if (state_ != State::stopped) at = std::min(at, state_deadline_);
  if (relays() && asks_often()) {
    at = std::min(at, last_heard_ + timeouts::uplink_dead + 1ms);
  }
  return at;
}

base::Outgoing Uplink::transmit(base::MutableBytes buffer, base::Time now) {
  now_ = now;
  for (quic::Connection* connection : {closing_.get(), connection_.get()}) {
    if (connection == nullptr) continue;
    if (connection == connection_.get()) {
      flush_control();
      queue_.set_outer(relay::FairQueue::outer(*connection));
    }
    const quic::Batch batch = connection->transmit(buffer, now);
    if (batch.size > 0) return {socket_, remote_, {}, batch.ecn, batch.segment, batch.size};
  }
  settle(now);
  return discovery_.transmit(buffer);
}

// --- messages and packets

bool Uplink::send(const proto::Message& message) {
  if (control_ < 0 || writer_.unsent().size() > max_control_backlog) return false;
  writer_.append(message);
  flush_control();
  return true;
}

void Uplink::flush_control() {
  if (control_ < 0 || writer_.unsent().empty()) return;
  writer_.sent(connection_->write(control_, writer_.unsent()));
}

bool Uplink::send_relayed(std::uint32_t channel, std::uint8_t ecn, bool may_split,
                          base::BytesView packet) {
  if (!relays()) return false;
  wire::RelayHeader header;
  header.channel = channel;
  header.ecn = ecn;
  header.whole_only = !may_split;
  return queue_.push(channel, header, packet);
}

std::size_t Uplink::relay_mtu(std::uint32_t channel) const {
  return connection_ ? wire::relay_whole_limit(channel, connection_->max_datagram()) : 0;
}

bool Uplink::relay_writable(std::uint32_t channel) const {
  // A full GSO batch must still fit behind what waits, so that nothing is dropped here.
  return relays() && queue_.bytes(channel) + (std::size_t{64} << 10) < queue_.limit();
}

// --- quic::Handler

void Uplink::on_established(const identity::Principal& /*peer*/) {
  const auto control = connection_->open_stream();
  if (!control) return end("the Intermediate grants no control stream");
  control_ = *control;
  connection_->set_urgent(control_);
  state_ = State::registering;
  state_deadline_ = now_ + timeouts::registration;
  proto::Message message;
  auto& body = *message.mutable_register_();
  body.set_incarnation(config_.incarnation.octets.data(), config_.incarnation.octets.size());
  body.set_version(config_.version);
  body.set_uplink(index_);
  send(message);
  discover_other_family();
  handler_.on_uplink_registering(*this);
}

void Uplink::on_stream_data(quic::StreamId id, base::BytesView data, bool fin) {
  connection_->consume(id, data.size());
  if (id != control_) return;
  reader_.feed(data);
  while (const auto payload = reader_.next()) {
    proto::Message message;
    if (!wire::parse_message(*payload, message)) return end("malformed control message");
    on_message(message);
  }
  if (reader_.error() != nullptr) return end("malformed control stream");
  if (fin) end("the Intermediate ended the control stream");
}

void Uplink::on_message(const proto::Message& message) {
  switch (message.body_case()) {
    case proto::Message::kRegistered:
      if (state_ != State::registering) return;
      state_ = State::up;
      state_deadline_ = base::never;
      ++connects_;
      attempt_ = timeouts::connect_attempts.front();
      outage_since_ = {};
      failed_attempts_ = 0;
      last_error_.clear();
      last_rtt_ = connection_->stats().smoothed_rtt;
      last_up_ = now_;
      handler_.on_uplink_up(*this);
      return;
    case proto::Message::kRefused:
      if (message.refused().fatal()) {
        turned_away_ = message.refused().reason() != proto::REASON_DRAINING;
        duplicate_ = message.refused().reason() == proto::REASON_DUPLICATE;
        return end("refused by " + name_ + ": " + message.refused().text().substr(0, 200));
      }
      break;
    case proto::Message::kObservedAddress:
      observed_ = message.observed_address().address().substr(0, 64);
      break;
    case proto::Message::kRelayState:
      if (carries_flows_ == message.relay_state().carries_flows()) return;
      carries_flows_ = !carries_flows_;
      break;
    case proto::Message::kDrain:
      if (state_ != State::up) break;
      state_ = State::draining;
      state_deadline_ = now_ +
                        std::min<base::Duration>(
                            std::chrono::milliseconds(message.drain().grace_ms()), max_grace) +
                        1s;
      break;
    default: break;
  }
  if (relays()) handler_.on_uplink_message(*this, message);
}

void Uplink::on_stream_writable(quic::StreamId /*id*/) { flush_control(); }

void Uplink::on_stream_reset(quic::StreamId id, std::uint64_t /*code*/) {
  if (id == control_) end("the Intermediate reset the control stream");
}

void Uplink::on_datagram(base::BytesView payload) {
  const auto packet = wire::parse_relay(payload);
  if (!packet) return;
  if (!packet->header.fragment) {
    return handler_.on_relayed(*this, packet->header.channel, packet->header.ecn, packet->payload);
  }
  if (const auto joined = reassembler_.add(*packet, now_)) {
    handler_.on_relayed(*this, joined->channel, joined->ecn, joined->payload);
  }
}

void Uplink::on_connection_id_added(const quic::ConnectionId& id) { endpoint_.add(id, handle()); }
void Uplink::on_connection_id_removed(const quic::ConnectionId& id) { endpoint_.remove(id); }

void Uplink::on_closed(const quic::CloseInfo& info) {
  denied_ = info.cause == quic::CloseCause::peer && info.application &&
            info.code == session::close_denied;
  // A TLS alert (RFC 9001 §4.8): one of us does not accept the other's certificate.
  turned_away_ =
      turned_away_ || denied_ || (info.cause == quic::CloseCause::handshake && info.code >> 8 == 1);
  end(std::string(quic::to_string(info.cause)) + ": " + info.reason);
}

}  // namespace ztna::node
