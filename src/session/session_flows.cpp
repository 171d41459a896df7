// The flows of a session: TCP connections and UDP associations.
#include <algorithm>
#include <utility>

#include "session.pb.h"
#include "session/session.hpp"
#include "wire/flow_datagram.hpp"

namespace ztna::session {
namespace {

namespace proto = ztna::session::v1;

constexpr std::size_t max_head = 4096;  // FlowOpen and FlowReply are a few dozen octets

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

proto::FlowProtocol to_wire(Protocol protocol) {
  switch (protocol) {
    case Protocol::tcp: return proto::FLOW_PROTOCOL_TCP;
    case Protocol::udp: return proto::FLOW_PROTOCOL_UDP;
    case Protocol::ping: return proto::FLOW_PROTOCOL_PING;
    case Protocol::echo: return proto::FLOW_PROTOCOL_ECHO;
  }
  return proto::FLOW_PROTOCOL_UNSPECIFIED;
}

std::optional<Protocol> from_wire(proto::FlowProtocol protocol) {
  switch (protocol) {
    case proto::FLOW_PROTOCOL_TCP: return Protocol::tcp;
    case proto::FLOW_PROTOCOL_UDP: return Protocol::udp;
    case proto::FLOW_PROTOCOL_PING: return Protocol::ping;
    case proto::FLOW_PROTOCOL_ECHO: return Protocol::echo;
    default: return std::nullopt;
  }
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
  open.set_protocol(to_wire(protocol));
  write_message(*id, open);
  // A UDP flow's stream carries the FlowOpen and nothing else: it goes before the first payload,
  // which would find no flow otherwise. A ping measures the path, not what waits for it.
  if (protocol != Protocol::tcp) connection_->set_urgent(*id);
  flows_.emplace(*id, Flow(protocol));
  wake();
  return *id;
}

void Session::accept_flow(StreamId id) {
  Flow* const f = flow(id);
  if (f == nullptr || f->answered || f->over) return;
  f->answered = true;
  write_message(id, proto::FlowReply{});
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
  write_message(id, reply);
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
  note_progress();
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
  if (f == nullptr || f->over || !has_datagrams(f->protocol)) return false;
  wake();
  note_progress();
  datagrams_.push(wire::flow_of_stream(id), payload);
  return true;
}

void Session::on_stream_opened(StreamId id) {
  if (role_ != Role::connector) return;
  if (id == control_stream) return open_control();
  flows_.emplace(id, Flow(Protocol::tcp));  // the FlowOpen says which
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
  const bool parsed = wire::parse_message(message, open) && identity::is_valid_name(open.service());
  const auto protocol = parsed ? from_wire(open.protocol()) : std::nullopt;
  if (!protocol) {
    reject_flow(id, FlowEnd::protocol_error, "malformed FlowOpen");
    return;
  }
  f.protocol = *protocol;
  handler_.on_flow_opened(*this, id, open.service(), f.protocol);
  for (const base::Bytes& datagram : early_.take(wire::flow_of_stream(id), now_)) {
    on_datagram(datagram);
  }
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
  if (has_datagrams(f->protocol)) {
    connection_->consume(id, data.size());
  } else if (!data.empty()) {
    note_progress();
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
  if (role_ == Role::connector && (f == nullptr || !f->head_done)) {
    return early_.keep(parsed->header.flow, datagram, now_);
  }
  if (f == nullptr || f->over || !has_datagrams(f->protocol)) {
    ++counters_.datagrams_dropped;
    return;
  }
  note_progress();
  if (!parsed->header.fragmented) return handler_.on_flow_datagram(*this, id, parsed->payload);
  if (const auto whole = reassembler_.add(*parsed, now_)) {
    handler_.on_flow_datagram(*this, id, *whole);
  }
}

Session::DatagramDrops Session::datagram_drops() const {
  const DatagramQueue::Counters& out = datagrams_.counters();
  const wire::FlowReassembler::Drops& in = reassembler_.drops();
  return {{"queue_full", out.overflowed},
          {"too_old", out.too_old},
          {"too_large", out.too_large},
          {"no_flow", counters_.datagrams_dropped + early_.dropped()},
          {"incomplete", in.evicted + in.expired + in.inconsistent + in.oversize}};
}

}  // namespace ztna::session
