// A connection's life, and the calls its owner makes.
#include "quic/connection.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "quic/close_info.hpp"
#include "quic/connection_impl.hpp"
#include "quic/synthetic_path.hpp"

namespace ztna::quic {
namespace {

constexpr ngtcp2_duration timer_granularity = NGTCP2_MILLISECONDS;  // RFC 9002 §6.1.2
// ngtcp2 would have a lone ACK leave after an eighth of the RTT: on a short path long before the
// answer that it could travel with. It may take max_ack_delay (25 ms, RFC 9000 §13.2.1), less a
// margin for a peer whose PTO is just that. A second packet to acknowledge is never kept waiting.
constexpr ngtcp2_duration ack_patience = 15 * NGTCP2_MILLISECONDS;

base::Error closed_error() {
  return {base::ErrorCode::closed, "the connection is closed", "quic", {}};
}

}  // namespace

// --- ends

ngtcp2_tstamp Connection::Impl::stamp(base::Time now) {
  // ngtcp2 takes time that goes back for a bug.
  last_ts = std::max(last_ts, base::to_ns(now));
  return last_ts;
}

void Connection::Impl::announce_close(CloseInfo info) {
  if (announced_close) return;
  announced_close = true;
  close_info = std::move(info);
  handler.on_closed(close_info);
}

void Connection::Impl::end(CloseInfo info, bool send_close) {
  if (phase != Phase::open) return;
  phase = send_close ? Phase::closing : Phase::finished;
  close_wanted = send_close;
  announce_close(std::move(info));
}

void Connection::Impl::fail(int library_error) {
  if (phase != Phase::open) return;
  switch (library_error) {
    case NGTCP2_ERR_DRAINING: {
      CloseInfo info;
      if (was_reset) {
        info.cause = CloseCause::reset;
        info.reason = "the peer has lost this connection's state (stateless reset)";
      } else {
        info = closed_by_peer(*ngtcp2_conn_get_ccerr(conn.get()));
      }
      phase = Phase::draining;
      over_at = base::from_ns(last_ts + 3 * ngtcp2_conn_get_pto(conn.get()));
      announce_close(std::move(info));
      return;
    }
    case NGTCP2_ERR_IDLE_CLOSE:
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY: end(closed_by_error(library_error, 0, {}, established), false); return;
    default:
      end(closed_by_error(library_error, ngtcp2_conn_get_tls_alert(conn.get()),
                          tls ? tls->error() : std::nullopt, established),
          true);
      return;
  }
}

void Connection::Impl::note_path() {
  const PathId now_on = SyntheticPath::id_of(*ngtcp2_conn_get_path(conn.get()));
  if (now_on == current_path) return;
  current_path = now_on;
  black_hole.path_changed();
  standing_queue.path_changed();
  if (!announced_close) handler.on_path_changed(now_on);
}

void Connection::Impl::note_window() {
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(conn.get(), &info);
  const bool full = info.bytes_in_flight > 0 && info.bytes_in_flight + BlackHole::floor > info.cwnd;
  stall.window(full, info.bytes_in_flight, base::from_ns(last_ts));
  standing_queue.sample(base::Duration(info.latest_rtt), info.bytes_in_flight,
                        base::from_ns(last_ts));
}

void Connection::Impl::after_input() {
  if (phase != Phase::open) return;
  if (ngtcp2_conn_get_handshake_completed(conn.get()) != 0 && tls) {
    if (!established) {
      end({CloseCause::handshake, false, NGTCP2_INTERNAL_ERROR,
           "the handshake ended without a peer"},
          true);
      return;
    }
    tls.reset();  // tens of kilobytes that nothing will ask for again
  }
  note_path();
}

std::size_t Connection::Impl::room(const Stream& stream) const {
  // Twice what is on its way, so that the buffer never limits the rate: on a long line a window is
  // more than what a short one needs. Not more than what all streams together may hold.
  const std::size_t used = stream.out.size();
  std::size_t limit = config.send_buffer;
  if (streams.held() < config.max_connection_window) {
    limit = std::clamp<std::size_t>(2 * (used - stream.out.unsent()), limit,
                                    std::max<std::size_t>(limit, config.max_stream_window));
  }
  return used < limit ? limit - used : 0;
}

std::size_t Connection::Impl::max_packet() const {
  const std::size_t known = ngtcp2_conn_get_path_max_tx_udp_payload_size(conn.get());
  return black_hole.capped(base::from_ns(last_ts)) ? std::min(known, BlackHole::floor) : known;
}

std::size_t Connection::Impl::datagram_room(std::size_t packet) const {
  // In a short-header packet: first octet, packet number at its longest, frame type, frame length,
  // AEAD tag; and the connection id.
  constexpr std::size_t overhead = 1 + 4 + 1 + 2 + aead_tag_length;
  const std::size_t around = overhead + ngtcp2_conn_get_dcid(conn.get())->datalen;
  return packet > around ? packet - around : 0;
}

std::size_t Connection::Impl::max_datagram() const {
  if (!established || phase != Phase::open) return 0;
  const auto* peer = ngtcp2_conn_get_remote_transport_params(conn.get());
  if (peer == nullptr || peer->max_datagram_frame_size == 0) return 0;
  return datagram_room(max_packet());
}

// --- life

Connection::Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::~Connection() = default;

base::Result<std::unique_ptr<Connection>> Connection::connect(Config config, PathId path,
                                                              Handler& handler,
                                                              DatagramSource* datagrams,
                                                              base::Time now) {
  if (auto ok = Impl::check(config); !ok) return tl::unexpected(std::move(ok.error()));
  auto impl = std::make_unique<Impl>(std::move(config), false, handler, datagrams);
  if (auto ok = impl->start_client(path, now); !ok) return tl::unexpected(std::move(ok.error()));
  return std::unique_ptr<Connection>(new Connection(std::move(impl)));
}

base::Result<std::unique_ptr<Connection>> Connection::accept(Config config, const Initial& initial,
                                                             PathId path, Handler& handler,
                                                             DatagramSource* datagrams,
                                                             base::Time now) {
  if (auto ok = Impl::check(config); !ok) return tl::unexpected(std::move(ok.error()));
  auto impl = std::make_unique<Impl>(std::move(config), true, handler, datagrams);
  if (auto ok = impl->start_server(initial, path, now); !ok) {
    return tl::unexpected(std::move(ok.error()));
  }
  return std::unique_ptr<Connection>(new Connection(std::move(impl)));
}

void Connection::receive(PathId path, Ecn ecn, base::BytesView datagram, base::Time now) {
  auto& impl = *impl_;
  const ngtcp2_tstamp ts = impl.stamp(now);
  if (impl.phase == Impl::Phase::closing) {
    // Repeat CONNECTION_CLOSE, ever more rarely (RFC 9000 §10.2.1).
    if (std::has_single_bit(++impl.packets_while_closing)) impl.close_wanted = true;
    return;
  }
  if (impl.phase != Impl::Phase::open) return;
  ++impl.counters.packets_received;
  impl.counters.bytes_received += datagram.size();
  // What a server sent on a path that the client has left since is late, not stray. ngtcp2 forgets
  // such a path after a PTO of the new one, which may be less than what the old one's packets need.
  const bool left = !impl.server && path != impl.newest_path;
  SyntheticPath address(left ? impl.current_path : path);
  ngtcp2_pkt_info info{};
  info.ecn = ecn;
  const int rv = ngtcp2_conn_read_pkt(impl.conn.get(), address.get(), &info, datagram.data(),
                                      datagram.size(), ts);
  if (rv != 0) impl.fail(rv);
  impl.stall.heard();
  impl.stop_checks_due = impl.streams.count();
  impl.after_input();
}

void Connection::expire(base::Time now) {
  auto& impl = *impl_;
  const ngtcp2_tstamp ts = impl.stamp(now);
  if (impl.phase != Impl::Phase::open) {
    if (now >= impl.over_at) impl.phase = Impl::Phase::finished;
    return;
  }
  if (impl.phase == Impl::Phase::open) impl.note_window();
  if (ngtcp2_conn_get_expiry(impl.conn.get()) > ts) return;
  if (const int rv = ngtcp2_conn_handle_expiry(impl.conn.get(), ts); rv != 0) impl.fail(rv);
  impl.after_input();
}

base::Time Connection::next_deadline() const {
  const auto& impl = *impl_;
  if (impl.phase == Impl::Phase::finished) return base::never;
  if (impl.phase != Impl::Phase::open) return impl.over_at;
  ngtcp2_tstamp expiry = ngtcp2_conn_get_expiry(impl.conn.get());
  if (impl.stop_checks_due > 0) expiry = std::min(expiry, impl.last_ts + NGTCP2_MILLISECONDS);
  const base::Time stall = impl.stall.deadline(base::from_ns(impl.last_ts));
  if (expiry == UINT64_MAX) return stall;
  return std::min(base::from_ns(expiry + impl.lateness()), stall);
}

ngtcp2_duration Connection::Impl::lateness() const {
  // Some of ngtcp2's timers want to be late, not punctual: a clock that returns exactly `expiry`
  // would be sent round in circles.
  if (held_back) return NGTCP2_MICROSECONDS;
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(conn.get(), &info);
  if (info.bytes_in_flight > 0) return timer_granularity;
  // No loss to detect: at most an ACK to send.
  const ngtcp2_duration patience = ack_patience - std::min(ack_patience, info.smoothed_rtt / 8);
  return std::max(timer_granularity, patience);
}

Batch Connection::transmit(base::MutableBytes buffer, base::Time now) {
  return impl_->transmit(buffer, now);
}

void Connection::set_keep_alive(base::Duration interval) {
  if (impl_->phase != Impl::Phase::open) return;
  ngtcp2_conn_set_keep_alive_timeout(
      impl_->conn.get(),
      interval.count() > 0 ? static_cast<ngtcp2_duration>(interval.count()) : UINT64_MAX);
}

void Connection::close(std::uint64_t application_code, std::string_view reason, base::Time now) {
  (void)impl_->stamp(now);
  // Before the handshake is over an application code may not be sent (RFC 9000 §10.2.3).
  CloseInfo info;
  info.cause = CloseCause::local;
  info.application = impl_->established;
  info.code = impl_->established ? application_code : NGTCP2_APPLICATION_ERROR;
  info.reason = printable(base::as_bytes(reason));
  impl_->end(std::move(info), true);
}

bool Connection::established() const {
  return impl_->established && impl_->phase == Impl::Phase::open;
}
bool Connection::finished() const { return impl_->phase == Impl::Phase::finished; }
bool Connection::closed() const { return impl_->announced_close; }

// --- streams

base::Result<StreamId> Connection::open_stream() {
  auto& impl = *impl_;
  if (impl.phase != Impl::Phase::open) return tl::unexpected(closed_error());
  if (!impl.established) {
    return base::fail(base::ErrorCode::unavailable, "the connection is not established", "quic");
  }
  StreamId id = -1;
  const int rv = ngtcp2_conn_open_bidi_stream(impl.conn.get(), &id, nullptr);
  if (rv == NGTCP2_ERR_STREAM_ID_BLOCKED) {
    return base::fail(base::ErrorCode::exhausted, "the peer allows no more streams now", "quic");
  }
  if (rv != 0) {
    return base::fail(base::ErrorCode::internal, "cannot open a stream", "quic",
                      ngtcp2_strerror(rv));
  }
  ngtcp2_conn_set_stream_user_data(impl.conn.get(), id, &impl.streams.add(id));
  return id;
}

std::size_t Connection::write(StreamId id, base::BytesView data) {
  auto& impl = *impl_;
  Stream* stream = impl.may_use_streams() ? impl.streams.find(id) : nullptr;
  if (stream == nullptr || stream->fin || stream->write_over) return 0;
  const std::size_t taken = std::min(data.size(), impl.room(*stream));
  if (taken < data.size()) stream->wants_room = true;
  stream->out.append(data.first(taken));
  impl.streams.update(*stream);
  return taken;
}

std::size_t Connection::writable(StreamId id) const {
  Stream* stream = impl_->may_use_streams() ? impl_->streams.find(id) : nullptr;
  if (stream == nullptr || stream->fin || stream->write_over) return 0;
  const std::size_t room = impl_->room(*stream);
  if (room == 0) stream->wants_room = true;
  return room;
}

void Connection::finish(StreamId id) {
  Stream* stream = impl_->may_use_streams() ? impl_->streams.find(id) : nullptr;
  if (stream == nullptr || stream->write_over) return;
  stream->fin = true;
  impl_->streams.update(*stream);
}

void Connection::reset(StreamId id, std::uint64_t code) {
  Stream* stream = impl_->may_use_streams() ? impl_->streams.find(id) : nullptr;
  if (stream == nullptr) return;
  stream->write_over = true;
  stream->out.drop_unsent();
  impl_->streams.update(*stream);
  (void)ngtcp2_conn_shutdown_stream_write(impl_->conn.get(), 0, id, code);
}

void Connection::stop_sending(StreamId id, std::uint64_t code) {
  if (!impl_->may_use_streams() || impl_->streams.find(id) == nullptr) return;
  (void)ngtcp2_conn_shutdown_stream_read(impl_->conn.get(), 0, id, code);
}

void Connection::consume(StreamId id, std::size_t size) {
  Stream* stream = impl_->may_use_streams() ? impl_->streams.find(id) : nullptr;
  if (stream == nullptr) return;
  const auto credit = std::min<std::uint64_t>(size, stream->unconsumed);
  stream->unconsumed -= credit;
  (void)ngtcp2_conn_extend_max_stream_offset(impl_->conn.get(), id, credit);
  ngtcp2_conn_extend_max_offset(impl_->conn.get(), credit);
}

void Connection::hold_data(bool held) { impl_->data_held = held; }

void Connection::set_urgent(StreamId id) {
  if (Stream* stream = impl_->streams.find(id)) impl_->streams.set_urgent(*stream);
}

// --- datagrams and paths

std::size_t Connection::max_datagram() const { return impl_->max_datagram(); }

bool Connection::stalled(base::Time now) const { return impl_->stall.stalled(now); }

PathId Connection::path() const { return impl_->current_path; }

base::Status Connection::migrate(PathId path, Migration mode, base::Time now) {
  auto& impl = *impl_;
  if (impl.phase != Impl::Phase::open) return tl::unexpected(closed_error());
  if (impl.server) {
    return base::fail(base::ErrorCode::invalid_argument, "only the client migrates (RFC 9000 §9)",
                      "quic");
  }
  SyntheticPath address(path);
  const auto start = mode == Migration::validated ? ngtcp2_conn_initiate_migration
                                                  : ngtcp2_conn_initiate_immediate_migration;
  const int rv = start(impl.conn.get(), address.get(), impl.stamp(now));
  if (rv != 0) {
    return base::fail(rv == NGTCP2_ERR_CONN_ID_BLOCKED ? base::ErrorCode::exhausted
                                                       : base::ErrorCode::unavailable,
                      "cannot migrate now", "quic",
                      rv == NGTCP2_ERR_CONN_ID_BLOCKED
                          ? "no unused connection id of the peer is left"
                          : ngtcp2_strerror(rv));
  }
  impl.newest_path = path;
  impl.note_path();
  return {};
}

// --- what is known

std::vector<ConnectionId> Connection::connection_ids() const {
  std::vector<ngtcp2_cid> ids(ngtcp2_conn_get_scid(impl_->conn.get(), nullptr));
  ngtcp2_conn_get_scid(impl_->conn.get(), ids.data());
  std::vector<ConnectionId> out;
  for (const auto& id : ids) out.push_back(ConnectionId::from({id.data, id.datalen}));
  if (impl_->initial_dcid) out.push_back(*impl_->initial_dcid);
  return out;
}

const identity::Principal* Connection::peer() const {
  return impl_->established ? &impl_->outcome->peer : nullptr;
}

const std::string& Connection::peer_certificate() const {
  static const std::string none;
  return impl_->established ? impl_->outcome->certificate : none;
}

bool Connection::expects_answer() const {
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(impl_->conn.get(), &info);
  return info.bytes_in_flight > 0;
}

base::Duration Connection::pto() const {
  return base::Duration(ngtcp2_conn_get_pto(impl_->conn.get()));
}

base::Duration Connection::round_trip() const {
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(impl_->conn.get(), &info);
  return base::Duration(std::max(info.latest_rtt, info.smoothed_rtt));
}

Stats Connection::stats() const {
  const auto& impl = *impl_;
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(impl.conn.get(), &info);
  Stats stats = impl.counters;
  stats.latest_rtt = base::Duration(info.latest_rtt);
  stats.min_rtt = info.min_rtt == UINT64_MAX ? base::Duration{} : base::Duration(info.min_rtt);
  stats.smoothed_rtt = base::Duration(info.smoothed_rtt);
  stats.rtt_var = base::Duration(info.rttvar);
  stats.pto = base::Duration(ngtcp2_conn_get_pto(impl.conn.get()));
  stats.cwnd = info.cwnd;
  stats.slow_start = info.cwnd < info.ssthresh;
  stats.bytes_in_flight = info.bytes_in_flight;
  stats.packets_lost = impl.datagrams_lost + impl.closed_stream_losses;
  impl.streams.each([&](const Stream& stream) {
    stats.packets_lost += ngtcp2_conn_get_stream_loss_count(impl.conn.get(), stream.id);
  });
  return stats;
}

std::size_t Connection::max_udp_payload() const { return impl_->max_packet(); }

base::Result<base::Secret<32>> Connection::export_key(std::string_view label,
                                                      base::BytesView context) const {
  if (!impl_->established) {
    return base::fail(base::ErrorCode::unavailable, "the connection is not established", "quic");
  }
  return tls_export(impl_->outcome->exporter.expose(), label, context);
}

}  // namespace ztna::quic
