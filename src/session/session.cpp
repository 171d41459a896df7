#include "session/session.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "session.pb.h"
#include "wire/flow_datagram.hpp"

namespace ztna::session {
namespace {

namespace proto = ztna::session::v1;

constexpr std::string_view alpn = "ztna-session/1";
constexpr StreamId control_stream = 0;
// Shorter than the patience of the flows that wait for it: they may try another Connector.
constexpr base::Duration handshake_time = std::chrono::seconds(4);
constexpr std::size_t max_head = 4096;  // FlowOpen and FlowReply are a few dozen octets
// Flows a peer may have open in one session. The Connector's own quota comes on top.
constexpr std::uint64_t max_flows = 4096;

proto::FlowRejection to_wire(FlowEnd end) {
  switch (end) {
    case FlowEnd::denied: return proto::FLOW_REJECTION_DENIED;
    case FlowEnd::backend_refused: return proto::FLOW_REJECTION_BACKEND_REFUSED;
    case FlowEnd::backend_unreachable: return proto::FLOW_REJECTION_BACKEND_UNREACHABLE;
    case FlowEnd::backend_timeout: return proto::FLOW_REJECTION_BACKEND_TIMEOUT;
    case FlowEnd::quota: return proto::FLOW_REJECTION_QUOTA;
    case FlowEnd::shutting_down: return proto::FLOW_REJECTION_SHUTTING_DOWN;
    case FlowEnd::protocol_error: return proto::FLOW_REJECTION_MALFORMED;
    default: return proto::FLOW_REJECTION_UNKNOWN_SERVICE;
  }
}

FlowEnd from_wire(proto::FlowRejection rejection) {
  switch (rejection) {
    case proto::FLOW_REJECTION_DENIED: return FlowEnd::denied;
    case proto::FLOW_REJECTION_UNKNOWN_SERVICE: return FlowEnd::unknown_service;
    case proto::FLOW_REJECTION_BACKEND_REFUSED: return FlowEnd::backend_refused;
    case proto::FLOW_REJECTION_BACKEND_UNREACHABLE: return FlowEnd::backend_unreachable;
    case proto::FLOW_REJECTION_BACKEND_TIMEOUT: return FlowEnd::backend_timeout;
    case proto::FLOW_REJECTION_QUOTA: return FlowEnd::quota;
    case proto::FLOW_REJECTION_SHUTTING_DOWN: return FlowEnd::shutting_down;
    default: return FlowEnd::protocol_error;
  }
}

base::Bytes encode(const google::protobuf::MessageLite& message) {
  base::Bytes out;
  wire::append_message(out, message);
  return out;
}

// A peer's text, for logs: printable and short.
std::string tame(const std::string& text) {
  std::string out = text.substr(0, 200);
  std::ranges::replace_if(out, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return out;
}

}  // namespace

std::string_view to_string(FlowEnd end) {
  switch (end) {
    case FlowEnd::finished: return "finished";
    case FlowEnd::reset: return "reset";
    case FlowEnd::denied: return "denied";
    case FlowEnd::unknown_service: return "unknown_service";
    case FlowEnd::unavailable: return "unavailable";
    case FlowEnd::untrusted: return "untrusted";
    case FlowEnd::backend_refused: return "backend_refused";
    case FlowEnd::backend_unreachable: return "backend_unreachable";
    case FlowEnd::backend_timeout: return "backend_timeout";
    case FlowEnd::quota: return "quota";
    case FlowEnd::session_lost: return "session_lost";
    case FlowEnd::timed_out: return "timed_out";
    case FlowEnd::shutting_down: return "shutting_down";
    case FlowEnd::protocol_error: return "protocol_error";
  }
  return "unknown";
}

Session::Flow::Flow(Protocol p) : protocol(p), head(max_head) {}

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
  // only the client sends any: on the path that it uses.
  if (role_ == Role::agent) config.keep_alive = std::chrono::seconds(20);
  // Only the Agent opens streams; the control stream is one of them.
  config.peer_streams = role_ == Role::connector ? max_flows + 1 : 0;
  config.max_connection_window = std::uint64_t{24} << 20;
  return config;
}

void Session::set_relay(RelayPort* port, base::Time now, base::WallTime wall) {
  now_ = now;
  relay_ = port;
  wake();
  if (port == nullptr) return;
  relay_name_ = port->name();
  relay_path_ = quic::PathId{++last_path_};
  if (state_ == State::handshaking && !connection_) {
    start_client(now, wall);
  } else if (state_ == State::ready && role_ == Role::agent) {
    // The server follows: it hears the new path's first packet on the same relay.
    if (const auto moved =
            connection_->migrate(relay_path_, quic::Connection::Migration::immediate, now);
        !moved) {
      // Out of connection ids for the moment: the old label goes on, on the new channel.
      relay_path_ = connection_->path();
    }
  }
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
  connection_->receive(relay_path_, ecn, packet, now);
  wake();
}

void Session::expire(base::Time now) {
  now_ = now;
  // Without a way out the connection is frozen: it must not count probes that nobody sent.
  if (!connection_ || (relay_ == nullptr && !connection_->closed())) return;
  if (connection_->next_deadline() <= now) {
    connection_->expire(now);
    wake();
  }
}

base::Time Session::next_deadline() const {
  if (!connection_ || relay_ == nullptr || !relay_->writable()) return base::never;
  return connection_->next_deadline();
}

void Session::transmit(base::MutableBytes scratch, base::Time now) {
  now_ = now;
  if (!connection_) {
    wants_transmit_ = false;
    return;
  }
  datagrams_.age(now);
  while (relay_ != nullptr && relay_->writable()) {
    const quic::Batch batch = connection_->transmit(scratch, now);
    if (batch.size == 0) {
      wants_transmit_ = false;
      return;
    }
    for (std::size_t at = 0; at < batch.size; at += batch.segment) {
      const auto packet =
          base::BytesView(scratch.data() + at, std::min(batch.segment, batch.size - at));
      ++counters_.relay_packets_sent;
      counters_.relay_bytes_sent += packet.size();
      // A packet above the current size is a path MTU probe: it must not pass in halves, or the
      // path would look wider than one frame.
      const bool probe = packet.size() > connection_->max_udp_payload();
      if ((probe && packet.size() > relay_->mtu()) || !relay_->send(packet, batch.ecn, !probe)) {
        ++counters_.relay_send_refused;
      }
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
  if (role_ == Role::agent) {
    const auto control = connection_->open_stream();
    if (!control || *control != control_stream) return;
    connection_->set_urgent(control_stream);
  }
  proto::SessionMessage hello;
  hello.mutable_hello()->set_version(config_.version);
  if (role_ == Role::agent) {
    const base::Bytes bytes = encode(hello);
    std::ignore = connection_->write(control_stream, bytes);
  }
  handler_.on_session_ready(*this);
}

void Session::on_connection_id_added(const quic::ConnectionId& id) { endpoint_.add(id, handle_); }
void Session::on_connection_id_removed(const quic::ConnectionId& id) { endpoint_.remove(id); }

void Session::on_closed(const quic::CloseInfo& info) {
  if (state_ == State::closed) return;
  state_ = State::closed;
  flows_.clear();
  wake();
  handler_.on_session_closed(*this, info);
}

// --- flows

Session::Flow* Session::flow(StreamId id) {
  const auto found = flows_.find(id);
  return found == flows_.end() ? nullptr : &found->second;
}

const Session::Flow* Session::flow(StreamId id) const {
  const auto found = flows_.find(id);
  return found == flows_.end() ? nullptr : &found->second;
}

base::Result<StreamId> Session::open_flow(const std::string& service, Protocol protocol) {
  if (state_ != State::ready) {
    return base::fail(base::ErrorCode::unavailable, "the session is not ready");
  }
  const auto id = connection_->open_stream();
  if (!id) return tl::unexpected(id.error());
  proto::FlowOpen open;
  open.set_service(service);
  open.set_protocol(protocol == Protocol::tcp ? proto::FLOW_PROTOCOL_TCP
                                              : proto::FLOW_PROTOCOL_UDP);
  const base::Bytes bytes = encode(open);
  std::ignore = connection_->write(*id, bytes);
  // A UDP flow's stream carries the FlowOpen and nothing else: it goes before the first payload,
  // which would find no flow otherwise.
  if (protocol == Protocol::udp) connection_->set_urgent(*id);
  flows_.emplace(*id, Flow(protocol));
  wake();
  return *id;
}

void Session::accept_flow(StreamId id) {
  Flow* const f = flow(id);
  if (f == nullptr || f->answered || f->over) return;
  f->answered = true;
  const base::Bytes bytes = encode(proto::FlowReply{});
  std::ignore = connection_->write(id, bytes);
  wake();
}

void Session::reject_flow(StreamId id, FlowEnd why, std::string_view text) {
  Flow* const f = flow(id);
  if (f == nullptr || f->answered || f->over) return;
  f->answered = true;
  f->over = true;
  proto::FlowReply reply;
  reply.set_rejection(to_wire(why));
  reply.set_text(std::string(text.substr(0, 200)));
  const base::Bytes bytes = encode(reply);
  std::ignore = connection_->write(id, bytes);
  // No STOP_SENDING: it would overtake the reply. The Agent resets its side when it has read it.
  connection_->finish(id);
  wake();
}

std::size_t Session::writable(StreamId id) const {
  const Flow* const f = flow(id);
  return f == nullptr || f->over || !connection_ ? 0 : connection_->writable(id);
}

std::size_t Session::write(StreamId id, base::BytesView data) {
  const Flow* const f = flow(id);
  if (f == nullptr || f->over || !connection_) return 0;
  wake();
  return connection_->write(id, data);
}

void Session::finish(StreamId id) {
  if (flow(id) == nullptr || !connection_) return;
  connection_->finish(id);
  wake();
}

void Session::reset(StreamId id) {
  Flow* const f = flow(id);
  if (f == nullptr || !connection_) return;
  break_flow(id, *f);
}

void Session::break_flow(StreamId id, Flow& f) {
  f.over = true;
  connection_->reset(id, stream_reset_code);
  connection_->stop_sending(id, stream_reset_code);
  datagrams_.drop_flow(wire::flow_of_stream(id));
  wake();
}

void Session::consume(StreamId id, std::size_t size) {
  if (!connection_) return;
  connection_->consume(id, size);
  wake();
}

bool Session::send_datagram(StreamId id, base::BytesView payload) {
  const Flow* const f = flow(id);
  if (f == nullptr || f->over || f->protocol != Protocol::udp) return false;
  wake();
  datagrams_.push(wire::flow_of_stream(id), payload);
  return true;
}

void Session::on_stream_opened(StreamId id) {
  if (role_ != Role::connector) return;
  if (id == control_stream) {
    connection_->set_urgent(id);
    proto::SessionMessage hello;
    hello.mutable_hello()->set_version(config_.version);
    const base::Bytes bytes = encode(hello);
    std::ignore = connection_->write(id, bytes);
    return;
  }
  flows_.emplace(id, Flow(Protocol::tcp));  // the FlowOpen says which
}

void Session::on_control_data(base::BytesView data) {
  connection_->consume(control_stream, data.size());
  control_.feed(data);
  while (control_.next()) {
    // Hello is for people; nothing else is defined yet, and unknown messages are ignored.
  }
}

base::BytesView Session::read_head(StreamId id, Flow& f, base::BytesView data) {
  f.head.feed(data);
  const auto message = f.head.next();
  if (!message) {
    connection_->consume(id, data.size());
    if (f.head.error() != nullptr) {
      break_flow(id, f);
      handler_.on_flow_reset(*this, id);
    }
    return {};
  }
  f.head_done = true;
  // What is behind the head came with this very chunk: the head was incomplete before it.
  const base::BytesView rest = data.last(std::min(f.head.rest().size(), data.size()));
  connection_->consume(id, data.size() - rest.size());
  if (role_ == Role::connector) {
    read_open(id, f, *message);
  } else {
    read_reply(id, f, *message);
  }
  return rest;
}

void Session::read_open(StreamId id, Flow& f, base::BytesView message) {
  proto::FlowOpen open;
  const bool known =
      wire::parse_message(message, open) && identity::is_valid_name(open.service()) &&
      (open.protocol() == proto::FLOW_PROTOCOL_TCP || open.protocol() == proto::FLOW_PROTOCOL_UDP);
  if (!known) {
    reject_flow(id, FlowEnd::protocol_error, "malformed FlowOpen");
    return;
  }
  f.protocol = open.protocol() == proto::FLOW_PROTOCOL_TCP ? Protocol::tcp : Protocol::udp;
  handler_.on_flow_opened(*this, id, open.service(), f.protocol);
}

void Session::read_reply(StreamId id, Flow& f, base::BytesView message) {
  proto::FlowReply reply;
  if (!wire::parse_message(message, reply)) {
    break_flow(id, f);
    handler_.on_flow_reset(*this, id);
    return;
  }
  if (reply.rejection() == proto::FLOW_REJECTION_UNSPECIFIED) {
    handler_.on_flow_accepted(*this, id);
    return;
  }
  f.over = true;
  connection_->reset(id, stream_reset_code);
  handler_.on_flow_rejected(*this, id, from_wire(reply.rejection()), tame(reply.text()));
}

void Session::on_stream_data(StreamId id, base::BytesView data, bool fin) {
  if (id == control_stream) return on_control_data(data);
  Flow* f = flow(id);
  if (f == nullptr || f->over) {
    connection_->consume(id, data.size());
    return;
  }
  if (!f->head_done) {
    data = read_head(id, *f, data);
    f = flow(id);
    if (f == nullptr || f->over) {
      connection_->consume(id, data.size());
      return;
    }
    if (!f->head_done) {
      if (!fin) return;
      break_flow(id, *f);  // the peer ended before it said what it wants
      return handler_.on_flow_reset(*this, id);
    }
  }
  if (f->protocol == Protocol::udp) {
    connection_->consume(id, data.size());
  } else if (!data.empty()) {
    handler_.on_flow_data(*this, id, data);
  }
  f = flow(id);
  if (fin && f != nullptr && !f->over) handler_.on_flow_fin(*this, id);
}

void Session::on_stream_writable(StreamId id) {
  const Flow* const f = flow(id);
  if (f != nullptr && !f->over) handler_.on_flow_writable(*this, id);
}

void Session::on_stream_reset(StreamId id, std::uint64_t /*code*/) {
  Flow* const f = flow(id);
  if (f == nullptr || f->over) return;
  break_flow(id, *f);
  handler_.on_flow_reset(*this, id);
}

void Session::on_stop_sending(StreamId id, std::uint64_t code) { on_stream_reset(id, code); }

void Session::on_stream_closed(StreamId id) {
  if (flows_.erase(id) == 0) return;
  reassembler_.forget(wire::flow_of_stream(id));
  datagrams_.drop_flow(wire::flow_of_stream(id));
  handler_.on_flow_closed(*this, id);
}

void Session::on_datagram(base::BytesView datagram) {
  const auto parsed = wire::parse_flow_datagram(datagram);
  if (!parsed) {
    ++counters_.datagrams_dropped;
    return;
  }
  const StreamId id = wire::stream_of_flow(parsed->header.flow);
  const Flow* const f = flow(id);
  // A payload may overtake its FlowOpen; it is dropped, as a network may drop any datagram.
  if (f == nullptr || f->over || f->protocol != Protocol::udp) {
    ++counters_.datagrams_dropped;
    return;
  }
  if (!parsed->header.fragmented) return handler_.on_flow_datagram(*this, id, parsed->payload);
  if (const auto whole = reassembler_.add(*parsed, now_)) {
    handler_.on_flow_datagram(*this, id, *whole);
  }
}

}  // namespace ztna::session
