// One QUIC connection (RFC 9000, 9001, 9002, 9221) without any I/O, for either role, over ngtcp2
// and GnuTLS. Bytes and `now` come in, packets and the next deadline come out.
//
// Addresses do not appear here: a path is a PathId, a number that the owner binds to (socket,
// remote) or to a relay channel. Give every new allocation a fresh number; it is never reused.
//
// Threading: one owner, one thread. Not reentrant: a Handler may call write(), finish(), reset(),
// stop_sending(), consume() and open_stream(), but not receive(), expire(), transmit(), migrate(),
// or destroy the connection.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"
#include "identity/credentials.hpp"
#include "identity/principal.hpp"
#include "quic/connection_id.hpp"

namespace ztna::quic {

using StreamId = std::int64_t;

struct PathId {
  std::uint32_t value = 0;  // 0: none
  friend auto operator<=>(PathId, PathId) = default;
};

// The two ECN bits of the IP header (RFC 3168): 0 not-ECT, 1 ECT(1), 2 ECT(0), 3 CE.
using Ecn = std::uint8_t;

// Wall clock for certificates; the simulator hands in a virtual one.
using WallClock = base::WallTime (*)();

// CUBIC (RFC 9438) is the default: it fills any path, but takes each lost packet for congestion.
// Over 40 ms with 1 % random loss BBR carried ten times as much (48 against 4.6 Mbit/s), with
// shorter queues; on paths of microseconds ngtcp2's BBR reaches a twentieth of CUBIC's rate.
enum class CongestionControl { cubic, bbr };

struct Config {
  std::string alpn;
  std::shared_ptr<const identity::Credentials> credentials;
  identity::Expectation expect;  // of the peer
  base::Random* random = nullptr;
  base::WallTime wall_now;  // when the handshake starts
  ConnectionIdLayout cid_layout;
  base::Secret<32> reset_key;  // derives stateless reset tokens (RFC 9000 §10.3.2)

  base::Duration idle_timeout = std::chrono::seconds(60);
  base::Duration keep_alive{};   // 0: none. On sessions the client's only: the server follows PINGs
  base::Duration initial_rtt{};  // 0: RFC 9002's 333 ms
  base::Duration handshake_timeout = std::chrono::seconds(10);
  CongestionControl congestion = CongestionControl::cubic;

  std::uint64_t peer_streams = 0;             // bidirectional streams the peer may have open
  std::uint64_t stream_window = 256 * 1024;   // initial receive window of a stream, octets
  std::uint64_t max_stream_window = 8 << 20;  // and what it may grow to
  std::uint64_t connection_window = 1 << 20;
  std::uint64_t max_connection_window = 16 << 20;  // bounds the peer's congestion window too
  // Unacknowledged octets a stream may hold; on long lines more, up to max_stream_window, while all
  // streams together hold less than max_connection_window.
  std::size_t send_buffer = 1 << 20;
  bool pmtud = true;
  std::uint16_t max_udp_payload = 1452;  // the largest packet to try; ≥ 1200
  // Packets sent under one key before a key update. RFC 9001 §6.6 allows AES-GCM 2^23; half of
  // that leaves as much again for the updates that must wait (one per 3 PTO).
  std::uint64_t key_update_after = std::uint64_t{1} << 22;
};

enum class CloseCause {
  local,      // close() here
  peer,       // CONNECTION_CLOSE from the peer
  idle,       // nothing heard for idle_timeout
  handshake,  // TLS or identity refused, or the handshake took too long
  reset,      // stateless reset
  protocol,   // the peer broke QUIC, or the library failed
};
[[nodiscard]] std::string_view to_string(CloseCause cause);

struct CloseInfo {
  CloseCause cause = CloseCause::local;
  bool application = false;  // `code` is an application code, else a transport code
  std::uint64_t code = 0;
  std::string reason;  // for people; from the peer it is untrusted and cut to 256 printable octets
  bool certificate_refused = false;  // by us: the peer showed one, and it was not accepted
};

// What the owner hears. Spans are valid during the call only.
class Handler {
 public:
  virtual ~Handler() = default;
  // The peer proved who it is; application data may flow both ways.
  virtual void on_established(const identity::Principal& /*peer*/) {}
  virtual void on_stream_opened(StreamId /*id*/) {}
  // In order. The octets count against flow control until consume().
  virtual void on_stream_data(StreamId /*id*/, base::BytesView /*data*/, bool /*fin*/) {}
  // write() had been cut short or writable() was 0, and there is room again.
  virtual void on_stream_writable(StreamId /*id*/) {}
  virtual void on_stream_reset(StreamId /*id*/, std::uint64_t /*code*/) {}  // RESET_STREAM
  // STOP_SENDING. ngtcp2 keeps the code to itself: it is 0 here. Comes with the next transmit().
  virtual void on_stop_sending(StreamId /*id*/, std::uint64_t /*code*/) {}
  // Both directions are over and acknowledged; the id is dead.
  virtual void on_stream_closed(StreamId /*id*/) {}
  virtual void on_datagram(base::BytesView /*payload*/) {}
  virtual void on_datagram_acked(std::uint64_t /*tag*/) {}
  virtual void on_datagram_lost(std::uint64_t /*tag*/) {}
  // A validated migration (client) ended, or the peer's new address was validated (server).
  virtual void on_path_validated(PathId /*path*/, bool /*ok*/) {}
  // The path that packets leave by is now `path` (server: the client moved).
  virtual void on_path_changed(PathId /*path*/) {}
  // Ids by which packets of this connection may arrive from now on / no longer.
  virtual void on_connection_id_added(const ConnectionId& /*id*/) {}
  virtual void on_connection_id_removed(const ConnectionId& /*id*/) {}
  // Last call. What was not delivered never will be.
  virtual void on_closed(const CloseInfo& /*info*/) {}
};

// Where DATAGRAM frames (RFC 9221) come from: the connection asks for the next one when it may send
// it, so a queueing discipline can stand behind this without a second queue.
class DatagramSource {
 public:
  struct Item {
    base::BytesView header;  // sent in front of payload, in the same frame
    base::BytesView payload;
    std::uint64_t tag = 0;  // comes back in on_datagram_acked/lost; 0: do not tell
  };
  enum class Fate { sent, too_large };
  virtual ~DatagramSource() = default;
  // The next frame, or false. The spans stay valid until done(); asking again returns the same one.
  [[nodiscard]] virtual bool peek(Item& item) = 0;
  // The peeked frame was written into a packet, or can never be on this path: forget it.
  virtual void done(Fate fate) = 0;
};

// Packets back to back in the caller's buffer: equal `segment` sizes, the last one may be shorter.
// All travel on one path with one ECN mark: one GSO send.
struct Batch {
  PathId path;
  Ecn ecn = 0;
  std::size_t segment = 0;
  std::size_t size = 0;  // 0: nothing to send
};

struct Stats {
  base::Duration latest_rtt{}, min_rtt{}, smoothed_rtt{}, rtt_var{};
  base::Duration pto{};  // current probe time-out (RFC 9002 §6.2.1)
  std::uint64_t cwnd = 0, bytes_in_flight = 0;
  bool slow_start = false;  // the window doubles in a round trip (RFC 9002 §7.3.1)
  // Lost: packets that carried stream data or a DATAGRAM and were declared lost.
  std::uint64_t packets_sent = 0, packets_received = 0, packets_lost = 0;
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::uint64_t datagrams_refused = 0;  // too large for the path: a sign of an MTU trap
  std::uint64_t key_updates = 0;        // initiated here (RFC 9001 §6)
};

// A client's first packet, as the Endpoint parsed it.
struct Initial {
  std::uint32_t version = 0;
  ConnectionId dcid, scid;
  std::optional<ConnectionId> original_dcid;  // after a Retry: what the client asked for first
  std::optional<ConnectionId> retry_scid;
  base::Bytes token;  // the Retry token that was verified; empty without one
};

class Connection {
 public:
  // The first PathId is the one the connection starts on. `handler` and `datagrams` (may be null:
  // this end sends none) outlive the connection.
  [[nodiscard]] static base::Result<std::unique_ptr<Connection>> connect(Config config, PathId path,
                                                                         Handler& handler,
                                                                         DatagramSource* datagrams,
                                                                         base::Time now);
  // After this, pass the same Initial datagram to receive().
  [[nodiscard]] static base::Result<std::unique_ptr<Connection>> accept(
      Config config, const Initial& initial, PathId path, Handler& handler,
      DatagramSource* datagrams, base::Time now);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void receive(PathId path, Ecn ecn, base::BytesView datagram, base::Time now);
  void expire(base::Time now);
  [[nodiscard]] base::Time next_deadline() const;
  // Fills `buffer` (≥ one packet; at most ~62 KiB is used) with one batch. Call again until empty.
  [[nodiscard]] Batch transmit(base::MutableBytes buffer, base::Time now);

  // Replaces Config::keep_alive; 0: none.
  void set_keep_alive(base::Duration interval);

  // Ends the connection: CONNECTION_CLOSE leaves with the next transmit(). on_closed() is called
  // before this returns unless it was called already.
  void close(std::uint64_t application_code, std::string_view reason, base::Time now);
  [[nodiscard]] bool established() const;
  // Nothing more will ever come out; the object can be destroyed.
  [[nodiscard]] bool finished() const;
  // on_closed() was called.
  [[nodiscard]] bool closed() const;

  // --- streams
  [[nodiscard]] base::Result<StreamId> open_stream();
  // Takes what fits into the send buffer and says how much that was; the rest is the caller's, who
  // hears on_stream_writable(). 0 for a stream that is gone or finished.
  [[nodiscard]] std::size_t write(StreamId id, base::BytesView data);
  [[nodiscard]] std::size_t writable(StreamId id) const;  // octets write() would take now
  void finish(StreamId id);                               // FIN after what was written
  void reset(StreamId id, std::uint64_t code);            // RESET_STREAM: drops what is unsent
  void stop_sending(StreamId id, std::uint64_t code);
  // The owner is done with `size` octets of on_stream_data(): widens the peer's window.
  void consume(StreamId id, std::size_t size);
  // This stream's data goes before all others' (control channels).
  void set_urgent(StreamId id);
  // While held, only urgent streams send anything new, and no datagrams leave. What was lost before
  // is repeated all the same.
  void hold_data(bool held);

  // --- datagrams
  // The largest DATAGRAM payload that fits into a packet on the current path now; 0 before the
  // peer said it takes any.
  [[nodiscard]] std::size_t max_datagram() const;

  // --- paths
  [[nodiscard]] PathId path() const;
  // Client only. Validated: traffic stays where it is until `path` answered (then
  // on_path_validated). Immediate: traffic leaves by `path` at once.
  enum class Migration { validated, immediate };
  [[nodiscard]] base::Status migrate(PathId path, Migration mode, base::Time now);

  // All ids by which packets of this connection may arrive now: what on_connection_id_added() said
  // and on_connection_id_removed() did not take back. For clearing tables at the end.
  [[nodiscard]] std::vector<ConnectionId> connection_ids() const;

  [[nodiscard]] const identity::Principal* peer() const;      // null before on_established()
  [[nodiscard]] const std::string& peer_certificate() const;  // leaf, DER; empty before
  [[nodiscard]] Stats stats() const;
  // Something that the peer has to acknowledge is in flight.
  [[nodiscard]] bool expects_answer() const;
  // The window is full and will never open again, although the peer is heard: see stall.hpp.
  [[nodiscard]] bool stalled(base::Time now) const;
  [[nodiscard]] base::Duration pto() const;  // as in Stats, for less work
  // Of the path in use: the smoothed one or the latest sample, whichever is more.
  [[nodiscard]] base::Duration round_trip() const;
  // Largest UDP payload in use on the current path.
  [[nodiscard]] std::size_t max_udp_payload() const;
  // TLS exporter (RFC 8446 §7.5), equal at both ends. Established connections only.
  [[nodiscard]] base::Result<base::Secret<32>> export_key(std::string_view label,
                                                          base::BytesView context) const;

  struct Impl;  // for the .cpp files of this folder

 private:
  explicit Connection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// "ipsec-mb" or "gnutls": what new connections use. select_aead() in aead.hpp overrides it.
[[nodiscard]] std::string_view aead_backend();

}  // namespace ztna::quic
