// One uplink as the Intermediate sees it: the QUIC connection of an Agent or a Connector, its
// control channel, its relay queue, and the addresses its packets come from. Pure.
//
// States: handshaking → unregistered (identity proven) → registered → closed.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/datagram.hpp"
#include "base/ids.hpp"
#include "base/token_bucket.hpp"
#include "policy/audit.hpp"
#include "proof/lease.hpp"
#include "quic/connection.hpp"
#include "quic/endpoint.hpp"
#include "relay/fair_queue.hpp"
#include "uplink.pb.h"
#include "wire/message_stream.hpp"
#include "wire/relay.hpp"

namespace ztna::intermediate {

namespace proto = ztna::uplink::v1;
using PeerKey = std::uint64_t;

class Peer;

class PeerHandler {
 public:
  virtual ~PeerHandler() = default;
  virtual void on_peer_established(Peer& peer) = 0;
  virtual void on_peer_message(Peer& peer, const proto::Message& message) = 0;
  virtual void on_peer_relayed(Peer& peer, const wire::RelayPacket& packet) = 0;
  virtual void on_peer_malformed_relay(Peer& peer) = 0;
  // Its packets come from another address now.
  virtual void on_peer_moved(Peer& peer) = 0;
  virtual void on_peer_closed(Peer& peer, const quic::CloseInfo& info) = 0;
  // It may have something to send.
  virtual void on_peer_wake(Peer& peer) = 0;
};

// Where packets come from and go to.
struct Route {
  base::SocketId socket = 0;
  base::Address remote;
  base::Address local;
  friend bool operator==(const Route&, const Route&) = default;
};

class Peer final : private quic::Handler {
 public:
  enum class State { handshaking, unregistered, registered, closed };

  Peer(PeerKey key, PeerHandler& handler, quic::Endpoint& endpoint, relay::PacketPool& pool,
       relay::FairQueue::Counters& relay_counters);
  ~Peer() override;

  [[nodiscard]] base::Status accept(quic::Config config, const quic::Initial& initial,
                                    const Route& route, base::Time now);

  void receive(const base::Incoming& packet, base::Time now);
  void expire(base::Time now);
  [[nodiscard]] base::Time next_deadline() const;
  [[nodiscard]] base::Outgoing transmit(base::MutableBytes buffer, base::Time now);
  void close(std::uint64_t code, std::string_view reason, base::Time now);

  // Ends the connection as soon as the call in progress is over: for use inside callbacks.
  void fail(std::string reason);
  void send(const proto::Message& message);
  // Queues a relayed packet; false: dropped and counted by the queue.
  bool push_relayed(std::uint32_t channel, const wire::RelayHeader& header, base::BytesView packet);
  // A fresh relay channel number for a session on this uplink.
  [[nodiscard]] std::uint32_t add_channel(const base::SessionId& session);
  void remove_channel(std::uint32_t channel);
  [[nodiscard]] const base::SessionId* session_of(std::uint32_t channel) const;
  [[nodiscard]] const std::unordered_map<std::uint32_t, base::SessionId>& channels() const {
    return channels_;
  }
  [[nodiscard]] std::size_t channel_count() const { return channels_.size(); }

  // Which run of which node this is, and which of its uplinks (proto: Register).
  void set_identity(const base::IncarnationId& incarnation, std::uint32_t uplink) {
    incarnation_ = incarnation;
    uplink_ = uplink;
  }
  void set_registered() { state_ = State::registered; }
  void set_silent(bool silent) { silent_ = silent; }
  // Is it among those that may have something to send? What was so before.
  bool set_awake(bool awake) { return std::exchange(awake_, awake); }
  // Is a directory with this digest news to the Agent? From now on it is not.
  [[nodiscard]] bool directory_is_news(std::size_t digest) {
    return std::exchange(directory_, digest) != digest;
  }
  // Octets said and not yet taken by the connection.
  [[nodiscard]] std::size_t backlog() const { return writer_.unsent().size(); }

  [[nodiscard]] PeerKey key() const { return key_; }
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool registered() const { return state_ == State::registered; }
  // The handshake has proven who it is, and it is still here.
  [[nodiscard]] bool proven() const {
    return state_ == State::unregistered || state_ == State::registered;
  }
  [[nodiscard]] bool failing() const { return !broken_.empty(); }
  [[nodiscard]] bool finished() const { return !connection_ || connection_->finished(); }
  [[nodiscard]] const identity::Principal& principal() const { return *connection_->peer(); }
  [[nodiscard]] const std::string& uri() const { return uri_; }
  [[nodiscard]] const std::string& certificate() const { return connection_->peer_certificate(); }
  [[nodiscard]] const base::IncarnationId& incarnation() const { return incarnation_; }
  [[nodiscard]] std::uint32_t uplink() const { return uplink_; }
  [[nodiscard]] const base::Address& address() const { return current_.remote; }
  // What it was met with; a reload gives others to new connections.
  [[nodiscard]] const identity::Credentials& credentials() const { return *credentials_; }
  // Of statements and suspensions.
  [[nodiscard]] proof::Allowance& allowance() { return allowance_; }
  // May another refusal for asking too much be on record? The log is not the peer's to fill.
  [[nodiscard]] bool may_be_on_record(base::Time now) { return quota_records_.take(1, now); }
  // The same of what became of its offers.
  [[nodiscard]] bool may_record_offer(base::Time now) { return offer_records_.take(1, now); }
  // Where its first packet came from.
  [[nodiscard]] const base::Address& origin() const { return origin_; }
  [[nodiscard]] base::Time accepted_at() const { return accepted_at_; }
  [[nodiscard]] base::Time last_heard() const { return last_heard_; }
  [[nodiscard]] bool silent() const { return silent_; }
  [[nodiscard]] quic::Stats stats() const { return connection_->stats(); }
  [[nodiscard]] const relay::FairQueue& queue() const { return queue_; }

 private:
  void on_established(const identity::Principal& peer) override;
  void on_stream_opened(quic::StreamId id) override;
  void on_stream_data(quic::StreamId id, base::BytesView data, bool fin) override;
  void on_stream_writable(quic::StreamId id) override;
  void on_stream_reset(quic::StreamId id, std::uint64_t code) override;
  void on_datagram(base::BytesView payload) override;
  void on_path_changed(quic::PathId path) override;
  void on_connection_id_added(const quic::ConnectionId& id) override;
  void on_connection_id_removed(const quic::ConnectionId& id) override;
  void on_closed(const quic::CloseInfo& info) override;

  [[nodiscard]] quic::PathId path_of(const Route& route);
  void keep_path(quic::PathId path);
  [[nodiscard]] const Route* route_of(quic::PathId path) const;
  void flush_control();

  PeerKey key_;
  PeerHandler& handler_;
  quic::Endpoint& endpoint_;
  State state_ = State::handshaking;
  std::unique_ptr<quic::Connection> connection_;
  std::shared_ptr<const identity::Credentials> credentials_;
  std::string uri_;
  base::IncarnationId incarnation_;
  std::uint32_t uplink_ = 0;
  base::Address origin_;
  base::Time now_{};
  base::Time accepted_at_{}, last_heard_{};
  bool silent_ = false, awake_ = false;
  std::optional<std::size_t> directory_;  // digest of the last one sent
  std::string broken_;                    // a protocol error found inside a callback

  // The latest addresses of this connection; the oldest that is not in use makes room.
  struct KnownPath {
    quic::PathId id;
    Route route;
  };
  std::array<KnownPath, 4> paths_{};
  // The latest packet's, when it came from none of those: anyone can send one from anywhere, so it
  // gets a place there only when the connection uses it.
  KnownPath stranger_{};
  std::uint32_t last_path_ = 0;
  Route current_;

  quic::StreamId control_ = -1;
  wire::MessageReader reader_;
  wire::MessageWriter writer_;
  base::TokenBucket messages_;  // from the peer
  proof::Allowance allowance_;
  base::TokenBucket quota_records_{0.1, 5};  // a second, at once
  base::TokenBucket offer_records_{1, 1024};

  std::unordered_map<std::uint32_t, base::SessionId> channels_;
  std::uint32_t last_channel_ = 0;
  relay::FairQueue queue_;
};

// A record of this event that names the node and where it is.
[[nodiscard]] policy::AuditRecord record_of(const Peer& peer, policy::AuditEvent event);

}  // namespace ztna::intermediate
