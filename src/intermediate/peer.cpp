#include "intermediate/peer.hpp"

#include <algorithm>
#include <limits>

#include "session/close_code.hpp"

namespace ztna::intermediate {
namespace {

// Directory pushes to a node that does not read: beyond this it is not a node worth keeping.
constexpr std::size_t max_control_backlog = 4 << 20;
// What a peer may say in a second and at once: a Connector claims all its sessions (4,096) in one
// breath after our restart. A message costs one, and one more for each KiB.
constexpr double messages_per_second = 500, message_burst = 16384;

}  // namespace

Peer::Peer(PeerKey key, PeerHandler& handler, quic::Endpoint& endpoint, relay::PacketPool& pool,
           relay::FairQueue::Counters& relay_counters)
    : key_(key),
      handler_(handler),
      endpoint_(endpoint),
      messages_(messages_per_second, message_burst),
      queue_(pool, relay_counters, wire::RelayPairNumbers::of_intermediate()) {}

Peer::~Peer() {
  if (!connection_) return;
  for (const quic::ConnectionId& id : connection_->connection_ids()) endpoint_.remove(id);
}

base::Status Peer::accept(quic::Config config, const quic::Initial& initial, const Route& route,
                          base::Time now) {
  now_ = accepted_at_ = last_heard_ = now;
  current_ = route;
  origin_ = route.remote;
  paths_[0] = {quic::PathId{++last_path_}, route};
  credentials_ = config.credentials;
  auto made =
      quic::Connection::accept(std::move(config), initial, paths_[0].id, *this, &queue_, now);
  if (!made) return tl::unexpected(made.error());
  connection_ = std::move(*made);
  return {};
}

// --- engine

void Peer::receive(const base::Incoming& packet, base::Time now) {
  now_ = now;
  last_heard_ = now;
  if (!connection_) return;
  const quic::PathId path = path_of({packet.socket, packet.from, packet.to});
  connection_->receive(path, packet.ecn, packet.payload, now);
}

void Peer::expire(base::Time now) {
  now_ = now;
  if (!connection_) return;
  if (connection_->next_deadline() <= now) connection_->expire(now);
  if (connection_->stalled(now)) fail("nothing is acknowledged any more");
}

base::Time Peer::next_deadline() const {
  return connection_ ? connection_->next_deadline() : base::never;
}

base::Outgoing Peer::transmit(base::MutableBytes buffer, base::Time now) {
  now_ = now;
  if (!connection_) return {};
  flush_control();
  if (!queue_.empty()) queue_.set_outer(relay::FairQueue::outer(*connection_));
  quic::Batch batch = connection_->transmit(buffer, now);
  if (batch.size == 0 && !broken_.empty() && !connection_->closed()) {
    // What was said before (a refusal and its reason) has left.
    connection_->close(session::close_protocol, broken_, now);
    batch = connection_->transmit(buffer, now);
  }
  if (batch.size == 0) return {};
  keep_path(batch.path);
  const Route* const route = route_of(batch.path);
  if (route == nullptr) return transmit(buffer, now);  // a path that was forgotten: drop the probe
  return {route->socket, route->remote, route->local, batch.ecn, batch.segment, batch.size};
}

void Peer::close(std::uint64_t code, std::string_view reason, base::Time now) {
  now_ = now;
  if (connection_ && !connection_->closed()) connection_->close(code, reason, now);
  handler_.on_peer_wake(*this);
}

// --- paths

quic::PathId Peer::path_of(const Route& route) {
  for (const KnownPath& known : paths_) {
    if (known.id.value != 0 && known.route == route) return known.id;
  }
  if (stranger_.id.value == 0 || stranger_.route != route) {
    stranger_ = {quic::PathId{++last_path_}, route};
  }
  return stranger_.id;
}

// The connection moves to this path, or answers on it.
void Peer::keep_path(quic::PathId path) {
  if (stranger_.id.value == 0 || path != stranger_.id) return;
  const quic::PathId in_use = connection_->path();
  const auto age = [in_use](const KnownPath& known) {  // the path in use is nobody's to replace
    return known.id == in_use ? std::numeric_limits<std::uint32_t>::max() : known.id.value;
  };
  *std::ranges::min_element(paths_, {}, age) = std::exchange(stranger_, {});
}

const Route* Peer::route_of(quic::PathId path) const {
  const auto found = std::ranges::find(paths_, path, &KnownPath::id);
  return found == paths_.end() ? nullptr : &found->route;
}

void Peer::on_path_changed(quic::PathId path) {
  keep_path(path);
  const Route* const route = route_of(path);
  if (route == nullptr || *route == current_) return;
  current_ = *route;
  handler_.on_peer_moved(*this);
}

// --- control channel

void Peer::send(const proto::Message& message) {
  if (control_ < 0 || state_ == State::closed) return;
  if (writer_.unsent().size() > max_control_backlog) {
    return fail("the control channel is not read");
  }
  writer_.append(message);
  flush_control();
  handler_.on_peer_wake(*this);
}

void Peer::flush_control() {
  if (control_ < 0 || writer_.unsent().empty()) return;
  writer_.sent(connection_->write(control_, writer_.unsent()));
}

void Peer::fail(std::string reason) {
  if (broken_.empty()) broken_ = std::move(reason);
  handler_.on_peer_wake(*this);
}

void Peer::on_established(const identity::Principal& peer) {
  state_ = State::unregistered;
  uri_ = peer.uri();
  handler_.on_peer_established(*this);
}

void Peer::on_stream_opened(quic::StreamId id) {
  if (control_ >= 0) return;
  control_ = id;
  connection_->set_urgent(id);
}

void Peer::on_stream_data(quic::StreamId id, base::BytesView data, bool fin) {
  connection_->consume(id, data.size());
  if (id != control_) return fail("data on a stream that is not the control stream");
  if (failing()) return;
  reader_.feed(data);
  while (const auto payload = reader_.next()) {
    const std::size_t cost = 1 + payload->size() / 1024;
    if (!messages_.take(static_cast<double>(cost), now_)) {
      return fail("too many control messages");
    }
    proto::Message message;
    if (!wire::parse_message(*payload, message)) return fail("malformed control message");
    handler_.on_peer_message(*this, message);
    if (failing()) return;
  }
  if (reader_.error() != nullptr) return fail("malformed control stream");
  if (fin) fail("the control stream was ended");
}

void Peer::on_stream_writable(quic::StreamId /*id*/) { flush_control(); }

void Peer::on_stream_reset(quic::StreamId id, std::uint64_t /*code*/) {
  if (id == control_) fail("the control stream was reset");
}

// --- relay

void Peer::on_datagram(base::BytesView payload) {
  const auto packet = wire::parse_relay(payload);
  if (!packet) return handler_.on_peer_malformed_relay(*this);
  handler_.on_peer_relayed(*this, *packet);
}

bool Peer::push_relayed(std::uint32_t channel, const wire::RelayHeader& header,
                        base::BytesView packet) {
  if (!connection_ || state_ == State::closed) return false;
  const bool taken = queue_.push(channel, header, packet);
  handler_.on_peer_wake(*this);
  return taken;
}

std::uint32_t Peer::add_channel(const base::SessionId& session) {
  do {
    last_channel_ = last_channel_ % wire::relay_channel_max + 1;
  } while (channels_.contains(last_channel_));
  channels_.emplace(last_channel_, session);
  return last_channel_;
}

void Peer::remove_channel(std::uint32_t channel) {
  channels_.erase(channel);
  queue_.retire(channel);
}

const base::SessionId* Peer::session_of(std::uint32_t channel) const {
  const auto found = channels_.find(channel);
  return found == channels_.end() ? nullptr : &found->second;
}

// --- the end

void Peer::on_connection_id_added(const quic::ConnectionId& id) { endpoint_.add(id, key_); }
void Peer::on_connection_id_removed(const quic::ConnectionId& id) { endpoint_.remove(id); }

void Peer::on_closed(const quic::CloseInfo& info) {
  if (state_ == State::closed) return;
  handler_.on_peer_closed(*this, info);
  state_ = State::closed;
}

policy::AuditRecord record_of(const Peer& peer, policy::AuditEvent event) {
  const identity::Principal& principal = peer.principal();
  policy::AuditRecord record;
  record.event = event;
  (principal.role == identity::Role::agent ? record.agent : record.connector) = principal.name;
  record.address = peer.address().to_string();
  return record;
}

}  // namespace ztna::intermediate
