// A session: the end-to-end QUIC connection between one Agent and one Connector instance, the paths
// it can take, and the flows in it. Pure: packets and `now` come in, packets go to the RelayPort.
//
// The Agent is the QUIC client. Its first stream is the control stream; each further one is a flow
// (proto/session.proto). Threading: one owner, one thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/datagram.hpp"
#include "base/ids.hpp"
#include "identity/principal.hpp"
#include "quic/connection.hpp"
#include "quic/endpoint.hpp"
#include "session/close_code.hpp"
#include "session/datagram_queue.hpp"
#include "session/flow.hpp"
#include "session/relay_port.hpp"
#include "wire/flow_reassembler.hpp"
#include "wire/message_stream.hpp"

namespace ztna::session {

class Session;
using StreamId = quic::StreamId;

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
  // Last call about this session; its flows get no further one.
  virtual void on_session_closed(Session& session, const quic::CloseInfo& info) = 0;
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
  base::Duration initial_rtt{};  // what the two uplinks measured; 0: unknown
  std::string version;           // for the Hello
  std::function<void()> wake;    // something may be sent: call transmit() soon
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

  // --- engine
  // A packet that came by this session's relay channel.
  void receive_relayed(base::BytesView packet, std::uint8_t ecn, base::Time now,
                       base::WallTime wall);
  void expire(base::Time now);
  [[nodiscard]] base::Time next_deadline() const;
  // Hands every packet that may leave now to the relay. `scratch`: base::transmit_buffer_size.
  void transmit(base::MutableBytes scratch, base::Time now);
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
    std::uint64_t datagrams_dropped = 0;  // malformed, or of a flow that is not here
    std::uint64_t packets_dropped = 0;    // before QUIC saw them
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] const DatagramQueue::Counters& datagram_counters() const {
    return datagrams_.counters();
  }

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
  void on_control_data(base::BytesView data);

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
  wire::MessageReader control_;
  std::unique_ptr<quic::Connection> connection_;
  std::unordered_map<StreamId, Flow> flows_;
  base::Time now_{};  // of the call in progress, for callbacks
  base::Time ready_since_{};
  bool wants_transmit_ = false;
  Counters counters_;
};

}  // namespace ztna::session
