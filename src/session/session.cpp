#include "session/session.hpp"

#include <algorithm>
#include <utility>

#include "session.pb.h"
#include "wire/stun.hpp"

namespace ztna::session {
namespace {

constexpr std::string_view alpn = "ztna-session/1";
// Shorter than the patience of the flows that wait for it: they may try another Connector.
constexpr base::Duration handshake_time = std::chrono::seconds(4);
// Flows a peer may have open in one session. The Connector's own quota comes on top.
constexpr std::uint64_t max_flows = 4096;

}  // namespace

Session::Session(Role role, SessionConfig config, SessionHandler& handler, quic::Endpoint& endpoint,
                 quic::Endpoint::Handle handle)
    : role_(role),
      config_(std::move(config)),
      handler_(handler),
      endpoint_(endpoint),
      handle_(handle),
      state_(role == Role::agent ? State::handshaking : State::waiting) {
  datagrams_.set_limit([this] { return connection_ ? connection_->max_datagram() : 0; });
}

Session::~Session() {
  if (!connection_) return;
  for (const quic::ConnectionId& id : connection_->connection_ids()) endpoint_.remove(id);
}

const identity::Principal* Session::peer() const {
  return connection_ ? connection_->peer() : nullptr;
}

const std::string& Session::peer_certificate() const {
  static const std::string none;
  return connection_ ? connection_->peer_certificate() : none;
}

quic::Stats Session::stats() const { return connection_ ? connection_->stats() : quic::Stats{}; }

std::size_t Session::max_udp_payload() const {
  return connection_ ? connection_->max_udp_payload() : 0;
}

// --- the connection's life

quic::Config Session::quic_config(base::WallTime wall) const {
  quic::Config config;
  config.alpn = alpn;
  config.credentials = config_.credentials;
  config.expect = config_.expect;
  config.random = config_.random;
  config.wall_now = wall;
  config.cid_layout = config_.cid_layout;
  config.reset_key = config_.reset_key;
  config.idle_timeout = std::chrono::seconds(60);
  config.handshake_timeout = handshake_time;
  config.initial_rtt = config_.initial_rtt;
  // A flow may be silent for as long as its programs like. The server follows a client's PING, so
  // only the client sends any: on the path that it uses. Half the idle time-out: a lost one has
  // another half minute to be repeated.
  if (role_ == Role::agent) config.keep_alive = config.idle_timeout / 2;
  // Only the Agent opens streams; the control stream is one of them.
  config.peer_streams = role_ == Role::connector ? max_flows + 1 : 0;
  config.max_connection_window = std::uint64_t{24} << 20;
  return config;
}

void Session::set_relay(RelayPort* port, base::Time now, base::WallTime wall) {
  now_ = now;
  relay_ = port;
  wake();
  if (prober_) prober_->set_relay(relay_usable(), now);
  if (port == nullptr) return;
  relay_name_ = port->name();
  if (on_direct()) return;  // its label is made when the session moves there
  // No window is needed where no flows go, nor the large packets that prove a new path.
  if (state_ == State::ready && relay_off()) return;
  relay_path_ = quic::PathId{++last_path_};
  if (state_ == State::handshaking && !connection_) {
    start_client(now, wall);
  } else if (state_ == State::ready && role_ == Role::agent) {
    // The server follows: it hears the new path's first packet on the same relay.
    const quic::PathId label = relay_path_;
    if (const auto moved = connection_->migrate(label, quic::Connection::Migration::immediate, now);
        !moved) {
      // Out of connection ids for the moment: the old label goes on, on the new channel.
      relay_path_ = connection_->path();
    }
  }
}

// Switched on, the relay is a path of its own again: what was lost while it was off says nothing.
void Session::relay_state_changed(base::Time now, base::WallTime wall) {
  if (state_ != State::ready) return;
  set_relay(relay_, now, wall);
  if (prober_) watch_paths(now);
}

void Session::start_client(base::Time now, base::WallTime wall) {
  auto made = quic::Connection::connect(quic_config(wall), relay_path_, *this, &datagrams_, now);
  if (!made) return fail(made.error().message());
  connection_ = std::move(*made);
}

void Session::accept_client(base::BytesView packet, base::Time now, base::WallTime wall) {
  const quic::Endpoint::Options options{.accept_new = true, .require_retry = false};
  const auto verdict = endpoint_.classify(packet, base::Address{}, options, now);
  const auto* accept = std::get_if<quic::Endpoint::Accept>(&verdict);
  if (accept == nullptr) {
    ++counters_.packets_dropped;
    return;
  }
  auto made = quic::Connection::accept(quic_config(wall), accept->initial, relay_path_, *this,
                                       &datagrams_, now);
  if (!made) return fail(made.error().message());
  connection_ = std::move(*made);
  state_ = State::handshaking;
}

void Session::write_message(StreamId id, const google::protobuf::MessageLite& message) {
  base::Bytes bytes;
  wire::append_message(bytes, message);
  std::ignore = connection_->write(id, bytes);
}

void Session::wake() {
  if (std::exchange(wants_transmit_, true) || !config_.wake) return;
  config_.wake();
}

void Session::fail(std::string reason) {
  on_closed({quic::CloseCause::protocol, false, 0, std::move(reason)});
}

void Session::receive_relayed(base::BytesView packet, std::uint8_t ecn, base::Time now,
                              base::WallTime wall) {
  now_ = now;
  if (wire::stun::is_stun(packet)) return receive_relayed_check(packet, now);
  ++counters_.relay_packets_received;
  counters_.relay_bytes_received += packet.size();
  if (!connection_) {
    if (state_ != State::waiting) {
      ++counters_.packets_dropped;
      return;
    }
    accept_client(packet, now, wall);
    if (!connection_) return;
  }
  last_heard_ = now;
  connection_->receive(relay_path_, ecn, packet, now);
  wake();
}

void Session::expire(base::Time now) {
  now_ = now;
  if (prober_) watch_paths(now);
  // Without a way out the connection is frozen: it must not count probes that nobody sent.
  if (!connection_ || (!has_path() && !connection_->closed())) return;
  if (silent_until_) {
    if (now < *silent_until_) return;
    silent_until_.reset();
    wake();
  }
  if (connection_->next_deadline() <= now) {
    connection_->expire(now);
    wake();
  }
}

base::Time Session::next_deadline() const {
  base::Time at = state_ == State::ready && prober_ ? paths_deadline() : base::never;
  if (connection_ && may_send()) {
    at = std::min(at, silent_until_.value_or(connection_->next_deadline()));
  }
  return at;
}

bool Session::may_send() const { return on_direct() || (relay_ != nullptr && relay_->writable()); }

base::Outgoing Session::transmit(base::MutableBytes buffer, base::Time now) {
  now_ = now;
  if (const base::Outgoing probe = transmit_probe(buffer); probe.size > 0) return probe;
  if (!connection_ || silent_until_) {
    wants_transmit_ = false;
    return {};
  }
  datagrams_.age(now);
  connection_->hold_data(holds_flows());
  while (may_send()) {
    const quic::Batch batch = connection_->transmit(buffer, now);
    if (batch.size == 0) {
      wants_transmit_ = false;
      return {};
    }
    if (const auto direct = pair_of_label_.find(batch.path); direct != pair_of_label_.end()) {
      if (const base::Outgoing out = send_direct(direct->second, batch); out.size > 0) return out;
    } else {
      send_relayed(batch, buffer);
    }
  }
  return {};
}

void Session::send_relayed(const quic::Batch& batch, base::BytesView buffer) {
  for (std::size_t at = 0; at < batch.size; at += batch.segment) {
    const auto packet = buffer.subspan(at, std::min(batch.segment, batch.size - at));
    ++counters_.relay_packets_sent;
    counters_.relay_bytes_sent += packet.size();
    // A packet above the current size is a path MTU probe: it must not pass in halves, or the
    // path would look wider than one frame.
    const bool probe = packet.size() > connection_->max_udp_payload();
    if (relay_ == nullptr || (probe && (relay_off() || packet.size() > relay_->mtu())) ||
        !relay_->send(packet, batch.ecn, !probe)) {
      ++counters_.relay_send_refused;
    }
  }
}

void Session::close(std::uint64_t code, std::string_view reason, base::Time now) {
  now_ = now;
  if (state_ == State::closed) return;
  wake();
  if (connection_) {
    connection_->close(code, reason, now);
  } else {
    on_closed({quic::CloseCause::local, true, code, std::string(reason)});
  }
}

void Session::on_established(const identity::Principal& /*peer*/) {
  state_ = State::ready;
  ready_since_ = now_;
  start_prober();
  if (role_ == Role::agent) {
    const auto control = connection_->open_stream();
    if (!control || *control != control_stream) return;
    open_control();
  }
  handler_.on_session_ready(*this);
}

void Session::on_connection_id_added(const quic::ConnectionId& id) { endpoint_.add(id, handle_); }
void Session::on_connection_id_removed(const quic::ConnectionId& id) { endpoint_.remove(id); }

void Session::on_closed(const quic::CloseInfo& info) {
  if (state_ == State::closed) return;
  state_ = State::closed;
  silent_until_.reset();
  flows_.clear();
  wake();
  handler_.on_session_closed(*this, info);
}

}  // namespace ztna::session
