// What is behind a Connection. Split over connection.cpp (life and calls from the owner),
// connection_setup.cpp (making one), connection_callbacks.cpp (what ngtcp2 tells us) and
// connection_transmit.cpp (packets out).
#pragma once

#include <ngtcp2/ngtcp2.h>

#include <memory>
#include <optional>

#include "quic/black_hole.hpp"
#include "quic/connection.hpp"
#include "quic/stall.hpp"
#include "quic/standing_queue.hpp"
#include "quic/streams.hpp"
#include "quic/tls_session.hpp"

namespace ztna::quic {

struct NgtcpDeleter {
  void operator()(ngtcp2_conn* conn) const { ngtcp2_conn_del(conn); }
};

struct Connection::Impl {
  Impl(Config c, bool is_server, Handler& h, DatagramSource* d)
      : config(std::move(c)), server(is_server), handler(h), datagrams(d) {}

  // --- making one (connection_setup.cpp)
  [[nodiscard]] static base::Status check(const Config& config);
  [[nodiscard]] base::Status start_client(PathId path, base::Time now);
  [[nodiscard]] base::Status start_server(const Initial& initial, PathId path, base::Time now);
  [[nodiscard]] base::Status start_tls();

  // --- what ngtcp2 tells us (connection_callbacks.cpp)
  static void set_callbacks(ngtcp2_callbacks& callbacks, bool server);
  void on_handshake_completed();
  void on_acknowledged(Stream& stream, std::size_t size);
  void on_stream_over(StreamId id);

  // --- packets out (connection_transmit.cpp)
  struct Packet {
    std::size_t size = 0;
    PathId path;
    Ecn ecn = 0;
  };
  [[nodiscard]] Batch transmit(base::MutableBytes buffer, base::Time now);
  [[nodiscard]] Batch transmit_close(base::MutableBytes buffer, base::Time now);
  [[nodiscard]] Packet write_packet(base::MutableBytes out, ngtcp2_tstamp ts);
  struct Writing;  // one packet being filled with frames
  enum class Step { packet_done, go_on };
  [[nodiscard]] Step write_stream(Writing& packet, Stream& stream);
  [[nodiscard]] Step write_datagram(Writing& packet);
  [[nodiscard]] Step write_rest(Writing& packet) const;
  [[nodiscard]] bool next_datagram(DatagramSource::Item& item);
  [[nodiscard]] bool has_content();
  // More of the streams' data may be under way.
  [[nodiscard]] bool streams_may_go_on(ngtcp2_tstamp ts) const;
  void update_keys_in_time(ngtcp2_tstamp ts);
  void look_for_stopped_streams(ngtcp2_tstamp ts);
  void stopped_by_peer(Stream& stream);

  // --- ends (connection.cpp)
  void fail(int library_error);
  void end(CloseInfo info, bool send_close);
  void announce_close(CloseInfo info);
  void after_input();  // what ngtcp2 must not be asked inside its callbacks
  void note_path();
  void note_window();
  [[nodiscard]] ngtcp2_tstamp stamp(base::Time now);
  [[nodiscard]] ngtcp2_tstamp stamp_round(base::Time now);
  // By how much a timer may be late.
  [[nodiscard]] ngtcp2_duration lateness() const;
  [[nodiscard]] bool may_use_streams() const { return established && phase == Phase::open; }
  [[nodiscard]] std::size_t room(const Stream& stream) const;
  // The largest packet to send now, and the largest DATAGRAM that fits into one of such a size.
  [[nodiscard]] std::size_t max_packet() const;
  [[nodiscard]] std::size_t datagram_room(std::size_t packet) const;
  [[nodiscard]] std::size_t max_datagram() const;
  void on_datagram_fate(std::uint64_t id, bool arrived);

  Config config;
  const bool server;
  Handler& handler;
  DatagramSource* datagrams;
  Streams streams;  // before conn: ngtcp2 points into their buffers until it is gone
  std::unique_ptr<TlsSession> tls;  // until the handshake is over
  std::optional<TlsSession::Outcome> outcome;
  std::unique_ptr<ngtcp2_conn, NgtcpDeleter> conn;

  // open → closing (we said CONNECTION_CLOSE) or draining (the peer did) → finished (RFC 9000 §10).
  enum class Phase { open, closing, draining, finished };
  Phase phase = Phase::open;
  bool established = false;
  bool announced_close = false;
  bool was_reset = false;                    // by a stateless reset
  std::optional<ConnectionId> initial_dcid;  // server: the id the client's first packets carry
  PathId current_path;
  PathId newest_path;  // the one the last move went to, or wanted to
  ngtcp2_tstamp last_ts = 0;

  // The end: what CONNECTION_CLOSE says, its packet for repetition, and when all is over.
  CloseInfo close_info;
  base::Bytes close_packet;
  Batch close_batch;
  bool close_wanted = false;
  std::uint32_t packets_while_closing = 0;
  base::Time over_at = base::never;

  // A packet that could not join the last batch (another path, a larger probe) and goes next.
  base::Bytes carried_octets;
  Packet carried;

  // The last transmit() left something that the windows or the pacer did not let go.
  bool held_back = true;

  bool data_held = false;  // hold_data()

  // Streams to check for STOP_SENDING since the last packet came in; a few for each batch out.
  static constexpr int stop_checks_at_once = 16;
  std::size_t stop_checks_due = 0;

  std::uint64_t packets_since_key_update = 0;
  Stats counters;  // the parts we count ourselves
  BlackHole black_hole;
  Stall stall;
  StandingQueue standing_queue;
  std::uint64_t datagrams_lost = 0;
  std::uint64_t closed_stream_losses = 0;
};

}  // namespace ztna::quic
