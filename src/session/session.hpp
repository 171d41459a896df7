// A session: the end-to-end QUIC connection between one Agent and one Connector instance, the paths
// it can take, and the flows in it. Pure: packets and `now` come in, packets go to the RelayPort.
//
// The Agent is the QUIC client. Its first stream is the control stream; each further one is a flow
// (proto/session.proto). Threading: one owner, one thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/datagram.hpp"
#include "base/ids.hpp"
#include "identity/principal.hpp"
#include "nat/prober.hpp"
#include "proof/lease.hpp"
#include "proof/statement.hpp"
#include "quic/connection.hpp"
#include "quic/endpoint.hpp"
#include "session.pb.h"
#include "session/close_code.hpp"
#include "session/datagram_queue.hpp"
#include "session/early_datagrams.hpp"
#include "session/flow.hpp"
#include "session/relay_port.hpp"
#include "wire/flow_reassembler.hpp"
#include "wire/message_stream.hpp"

namespace ztna::session {

class Session;
using StreamId = quic::StreamId;

inline constexpr StreamId control_stream = 0;

enum class PathKind : std::uint8_t { relay, direct };

// Why: a direct path proved itself; another is better; the one in use is in doubt, or loses far
// more than the relay; the Agent has moved and the Connector follows.
enum class SwitchReason : std::uint8_t { proven, better, doubt, loss, peer_moved };
[[nodiscard]] std::string_view to_string(PathKind kind);        // "RELAY" | "DIRECT"
[[nodiscard]] std::string_view to_string(SwitchReason reason);  // "proven" …

struct SwitchKind {
  PathKind from = PathKind::relay, to = PathKind::relay;
  SwitchReason reason = SwitchReason::proven;
  friend auto operator<=>(const SwitchKind&, const SwitchKind&) = default;
};

// A move of a session from one path to another.
struct PathSwitch : SwitchKind {
  std::string peer;  // the relay's name, or the peer's address
  base::Duration rtt{};
  base::Time at{};
};

// What the owner of sessions hears. Spans are valid during the call only. The owner may call the
// flow methods of the session from inside, but must not destroy it.
class SessionHandler {
 public:
  virtual ~SessionHandler() = default;
  virtual void on_session_ready(Session& session) = 0;
  // Connector: the Agent opened a flow; answer with accept_flow() or reject_flow().
  virtual void on_flow_opened(Session&, StreamId, const std::string& /*service*/, Protocol) {}
  // Agent: the Connector answered.
  virtual void on_flow_accepted(Session&, StreamId) {}
  virtual void on_flow_rejected(Session&, StreamId, FlowEnd, const std::string& /*text*/) {}
  virtual void on_flow_data(Session&, StreamId, base::BytesView) = 0;
  virtual void on_flow_fin(Session&, StreamId) = 0;
  virtual void on_flow_writable(Session&, StreamId) = 0;
  virtual void on_flow_datagram(Session&, StreamId, base::BytesView) = 0;
  // The peer reset the flow, or broke its framing. The session has reset its own side too.
  virtual void on_flow_reset(Session&, StreamId) = 0;
  // Both directions are over; the stream id is dead.
  virtual void on_flow_closed(Session&, StreamId) = 0;
  // What the peer says on the control stream besides what the session itself needs.
  virtual void on_control_message(Session&, const v1::SessionMessage& /*message*/) {}
  // Packets of the session leave by another path now.
  virtual void on_path_switched(Session&, const PathSwitch&) {}
  // Last call about this session; its flows get no further one.
  virtual void on_session_closed(Session& session, const quic::CloseInfo& info) = 0;
};

// What a session needs for direct paths: the process's sockets, and the tag by which answers to its
// checks find it.
struct DirectConfig {
  std::optional<base::SocketId> socket_v4, socket_v6;
  std::uint32_t tag = 0;
  bool required = false;  // flows take no other path (--direct-only)
};

struct SessionConfig {
  base::SessionId id;
  std::string peer_uri;          // SPIFFE id the Intermediate named
  identity::Expectation expect;  // what the handshake must prove: that name, and what we know
  base::IncarnationId peer_incarnation;
  std::shared_ptr<const identity::Credentials> credentials;
  base::Random* random = nullptr;
  quic::ConnectionIdLayout cid_layout;
  base::Secret<32> reset_key;
  base::Duration initial_rtt{};        // what the two uplinks measured; 0: unknown
  std::string version;                 // for the Hello
  std::optional<DirectConfig> direct;  // none: the relay only
  std::function<void()> wake;          // something may be sent: call transmit() soon
};

class Session final : private quic::Handler {
 public:
  enum class Role { agent, connector };
  // The table of a session's life. `waiting`: a Connector whose Agent has not sent its Initial.
  enum class State { waiting, handshaking, ready, closed };

  Session(Role role, SessionConfig config, SessionHandler& handler, quic::Endpoint& endpoint,
          quic::Endpoint::Handle handle);
  ~Session() override;

  // --- the relay
  // The relay channel exists (again). A null port: it is gone, and nothing is sent until another
  // comes. Each call with a port is a new allocation, a path of its own.
  void set_relay(RelayPort* port, base::Time now, base::WallTime wall);
  [[nodiscard]] bool has_relay() const { return relay_ != nullptr; }
  // What the port says of carries_flows() has changed.
  void relay_state_changed(base::Time now, base::WallTime wall);
  // There is a relay, and it carries no flows.
  [[nodiscard]] bool relay_off() const { return relay_ != nullptr && !relay_->carries_flows(); }
  // On such a relay: what flows have to send waits for a direct path, or for the relay to be on.
  [[nodiscard]] bool holds_flows() const {
    return !on_direct() && (relay_off() || requires_direct());
  }
  // When a packet of the peer's last came, by any path.
  [[nodiscard]] base::Time last_heard() const { return last_heard_; }

  // --- direct paths
  // Where this node might be reached; told to the peer.
  void set_candidates(const std::vector<nat::Candidate>& candidates, base::Time now);
  // A STUN message that names this session. False: not authentic.
  bool receive_check(const base::Incoming& packet, const wire::stun::Message& message,
                     base::Time now);
  // A packet of this session's that came by UDP. False: from an address that no check has proven;
  // QUIC has not seen it.
  bool receive_direct(const base::Incoming& packet, base::Time now);
  // RFC 9000 §10.3.1: a stateless reset carries no id of ours. Could this be one, on the path in
  // use?
  [[nodiscard]] bool may_be_reset(const base::Incoming& packet) const;
  [[nodiscard]] PathKind path_kind() const {
    return on_direct() ? PathKind::direct : PathKind::relay;
  }
  // Packets have a way out now.
  [[nodiscard]] bool has_path() const { return on_direct() || relay_ != nullptr; }
  // Null where this session takes no direct paths, or is not ready.
  [[nodiscard]] const nat::Prober* prober() const { return prober_ ? &*prober_ : nullptr; }
  // The pair in use, or null: the relay.
  [[nodiscard]] const nat::Pair* direct_pair() const;
  // Agent: somebody waits for a direct path. A round of checks is due, however long the next one
  // would have been away.
  void seek_direct(base::Time now);
  // The last ones, newest last.
  [[nodiscard]] const std::deque<PathSwitch>& switches() const { return switches_; }

  // --- proof
  // While it runs nothing of this session leaves or is taken directly, checks included, as if the
  // network swallowed it. Afterwards the direct path is tried at once.
  [[nodiscard]] base::Result<base::Duration> suspend_direct(base::Duration time, base::Time now);
  // As the peer has granted it.
  void direct_suspended_until(base::Time until);
  [[nodiscard]] bool direct_suspended(base::Time now) const;
  // What this end has seen, for a statement. `nonce`: a valid one.
  [[nodiscard]] base::Result<proof::EndView> testify(std::string_view nonce, base::Time now) const;
  // False: dropped; the session is not ready, or its peer does not read what it is told.
  bool send_control(const v1::SessionMessage& message);

  // --- engine
  // A packet that came by this session's relay channel.
  void receive_relayed(base::BytesView packet, std::uint8_t ecn, base::Time now,
                       base::WallTime wall);
  void expire(base::Time now);
  [[nodiscard]] base::Time next_deadline() const;
  // Hands packets to the relay until one batch is to leave directly, which is in `buffer` then
  // (base::transmit_buffer_size). Call until size is 0.
  [[nodiscard]] base::Outgoing transmit(base::MutableBytes buffer, base::Time now);
  void close(std::uint64_t code, std::string_view reason, base::Time now);
  // Kept from sending by the relay: transmit() again when the uplink has sent.
  [[nodiscard]] bool blocked() const { return wants_transmit_; }

  // --- flows
  [[nodiscard]] base::Result<StreamId> open_flow(const std::string& service, Protocol protocol);
  void accept_flow(StreamId id);
  void reject_flow(StreamId id, FlowEnd why, std::string_view text);
  [[nodiscard]] std::size_t writable(StreamId id) const;
  [[nodiscard]] std::size_t write(StreamId id, base::BytesView data);
  void finish(StreamId id);
  void reset(StreamId id);
  void consume(StreamId id, std::size_t size);
  // False: dropped, there is no such flow.
  bool send_datagram(StreamId id, base::BytesView payload);

  // --- what people ask
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] base::Time ready_since() const { return ready_since_; }  // in State::ready
  [[nodiscard]] Role role() const { return role_; }
  [[nodiscard]] const SessionConfig& config() const { return config_; }
  [[nodiscard]] const identity::Principal* peer() const;
  [[nodiscard]] const std::string& peer_certificate() const;
  [[nodiscard]] quic::Stats stats() const;
  [[nodiscard]] std::size_t max_udp_payload() const;
  [[nodiscard]] std::size_t flow_count() const { return flows_.size(); }
  // "host:port" of the relay in use, or of the last one.
  [[nodiscard]] const std::string& relay_name() const { return relay_name_; }

  struct Counters {
    std::uint64_t relay_packets_sent = 0, relay_packets_received = 0;
    std::uint64_t relay_bytes_sent = 0, relay_bytes_received = 0;
    std::uint64_t relay_send_refused = 0;
    std::uint64_t direct_packets_sent = 0, direct_packets_received = 0;
    std::uint64_t direct_bytes_sent = 0, direct_bytes_received = 0;
    std::uint64_t datagrams_dropped = 0;  // malformed, or of no flow
    std::uint64_t packets_dropped = 0;    // before QUIC saw them
    std::uint64_t direct_suspended = 0;   // not sent or not taken, direct path suspended
    std::map<SwitchKind, std::uint64_t> switches;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }
  // UDP payloads that did not pass through this end, by reason.
  using DatagramDrops = std::map<std::string_view, std::uint64_t>;
  [[nodiscard]] DatagramDrops datagram_drops() const;

 private:
  struct Flow {
    Protocol protocol = Protocol::tcp;
    wire::MessageReader head;  // FlowOpen (Connector) or FlowReply (Agent)
    bool head_done = false;    // the peer's head message was read
    bool answered = false;     // Connector: accepted or rejected
    bool over = false;         // rejected or reset: swallow what still comes
    explicit Flow(Protocol p);
  };

  // quic::Handler
  void on_established(const identity::Principal& peer) override;
  void on_stream_opened(StreamId id) override;
  void on_stream_data(StreamId id, base::BytesView data, bool fin) override;
  void on_stream_writable(StreamId id) override;
  void on_stream_reset(StreamId id, std::uint64_t code) override;
  void on_stop_sending(StreamId id, std::uint64_t code) override;
  void on_stream_closed(StreamId id) override;
  void on_datagram(base::BytesView datagram) override;
  void on_path_changed(quic::PathId path) override;
  void on_path_validated(quic::PathId path, bool ok) override;
  void on_connection_id_added(const quic::ConnectionId& id) override;
  void on_connection_id_removed(const quic::ConnectionId& id) override;
  void on_closed(const quic::CloseInfo& info) override;

  [[nodiscard]] quic::Config quic_config(base::WallTime wall) const;
  void start_client(base::Time now, base::WallTime wall);
  void accept_client(base::BytesView packet, base::Time now, base::WallTime wall);
  void wake();
  void fail(std::string reason);
  [[nodiscard]] Flow* flow(StreamId id);
  [[nodiscard]] const Flow* flow(StreamId id) const;
  // Reads the flow's head message; returns the octets behind it.
  base::BytesView read_head(StreamId id, Flow& flow, base::BytesView data);
  void read_open(StreamId id, Flow& flow, base::BytesView message);
  void read_reply(StreamId id, Flow& flow, base::BytesView message);
  void break_flow(StreamId id, Flow& flow);
  void write_message(StreamId id, const google::protobuf::MessageLite& message);
  [[nodiscard]] bool may_send() const;
  void send_relayed(const quic::Batch& batch, base::BytesView buffer);

  // session_control.cpp
  void open_control();
  void on_control_data(base::BytesView data);
  void send_candidates();

  // session_paths.cpp
  [[nodiscard]] bool on_direct() const { return direct_ != 0; }
  // As a way for flows: one that is off is no alternative to a direct path, however doubtful.
  [[nodiscard]] bool relay_usable() const {
    return relay_ != nullptr && relay_->carries_flows() && !requires_direct();
  }
  [[nodiscard]] bool requires_direct() const { return config_.direct && config_.direct->required; }
  void give_up_without_direct(base::Time now);
  void start_prober();
  void receive_relayed_check(base::BytesView packet, base::Time now);
  void watch_paths(base::Time now);
  void choose_path(base::Time now);
  void escape_stall(base::Time now);
  void move_to_pair(nat::PairId pair, base::Time now);
  void wait_for_relayed();
  void move_to_relay(SwitchReason reason, base::Time now);
  void begin_round(base::Time now);
  void send_punch(std::uint32_t round);
  void note_progress();
  [[nodiscard]] base::Time silence_deadline() const;
  [[nodiscard]] base::Time paths_deadline() const;
  [[nodiscard]] base::Outgoing transmit_probe(base::MutableBytes buffer);
  [[nodiscard]] base::Outgoing send_direct(nat::PairId id, const quic::Batch& batch);
  [[nodiscard]] quic::PathId label_of(nat::PairId pair) const;

  Role role_;
  SessionConfig config_;
  SessionHandler& handler_;
  quic::Endpoint& endpoint_;
  quic::Endpoint::Handle handle_;
  State state_;
  RelayPort* relay_ = nullptr;
  std::string relay_name_;
  quic::PathId relay_path_{0};
  std::uint32_t last_path_ = 0;
  DatagramQueue datagrams_;
  wire::FlowReassembler reassembler_;
  EarlyDatagrams early_;  // at the Connector: the Agent opens the flows
  wire::MessageReader control_;
  std::unique_ptr<quic::Connection> connection_;
  std::unordered_map<StreamId, Flow> flows_;

  std::optional<nat::Prober> prober_;
  std::vector<nat::Candidate> candidates_;
  bool control_open_ = false;
  nat::PairId direct_ = 0;  // the pair in use; 0: the relay
  // ngtcp2's names for pairs. The Agent makes one for each move, the Connector one for each pair.
  std::map<quic::PathId, nat::PairId> pair_of_label_;
  struct Move {
    nat::PairId pair = 0;
    base::Time until;
  };
  std::optional<Move> move_;                // a validated migration under way
  base::Duration relayed_rtt_{};            // QUIC's on the relay, before a packet that may end it
  std::optional<base::Time> silent_until_;  // what left by the relay arrives first
  base::Time may_upgrade_at_{};
  proof::Lease direct_lease_;
  bool direct_was_suspended_ = false;  // and has not been tried since
  base::Time may_rename_at_{};
  SwitchReason reason_ = SwitchReason::proven;  // of the move that is being made
  base::Time last_heard_{};
  base::Time lost_since_ = base::never;        // a direct path that is required is in doubt
  base::Time unanswered_since_ = base::never;  // directly sent, and nothing heard since
  std::deque<PathSwitch> switches_;
  base::Time now_{};  // of the call in progress, for callbacks
  base::Time ready_since_{};
  bool wants_transmit_ = false;
  Counters counters_;
};

}  // namespace ztna::session
