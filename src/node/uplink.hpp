// A node's uplink to one Intermediate: dials, registers, carries control messages and relayed
// packets, notices death and dials again, for ever. Pure; names are resolved by the owner.
//
// States and what leaves them:
//   waiting      retry timer            → resolving
//   resolving    addresses              → connecting   | failure, time-out → waiting
//   connecting   handshake              → registering  | failure, time-out → waiting
//   registering  Registered             → up           | refusal, time-out → waiting
//   up           Drain from the peer    → draining     | death → waiting
//   draining     end of the connection, or of the grace that the peer gave → waiting
// Packets are relayed while it is up or draining; only one that is up may be asked for more.
//   stopped      (after close())
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/datagram.hpp"
#include "base/ids.hpp"
#include "identity/credentials.hpp"
#include "nat/address_discovery.hpp"
#include "quic/connection.hpp"
#include "quic/endpoint.hpp"
#include "relay/fair_queue.hpp"
#include "uplink.pb.h"
#include "wire/message_stream.hpp"
#include "wire/relay.hpp"
#include "wire/relay_reassembler.hpp"

namespace ztna::node {

namespace proto = ztna::uplink::v1;

class Uplink;

class UplinkHandler {
 public:
  virtual ~UplinkHandler() = default;
  virtual void on_uplink_up(Uplink& uplink) = 0;
  // The identity of both ends is proven and Register is on its way: questions may follow at once.
  virtual void on_uplink_registering(Uplink& /*uplink*/) {}
  // It was up and is not any more.
  virtual void on_uplink_down(Uplink& uplink, const std::string& reason) = 0;
  // An attempt failed; another follows.
  virtual void on_uplink_attempt_failed(Uplink& uplink, const std::string& reason) = 0;
  virtual void on_uplink_message(Uplink& uplink, const proto::Message& message) = 0;
  // mapped_address() is another, or none any more.
  virtual void on_mapped_address(Uplink& /*uplink*/) {}
  virtual void on_relayed(Uplink& uplink, std::uint32_t channel, std::uint8_t ecn,
                          base::BytesView packet) = 0;
};

struct UplinkConfig {
  base::HostPort intermediate;
  bool web_pki = false;  // the Intermediate may prove itself by a public certificate for its name
  std::string version;
  base::IncarnationId incarnation;
  bool always_keep_alive = false;  // Connectors
  bool learn_addresses = false;    // those that it does not dial from too, for direct paths
  base::Random* random = nullptr;
  quic::ConnectionIdLayout cid_layout;
  base::Secret<32> reset_key;
};

class Uplink final : private quic::Handler {
 public:
  enum class State { waiting, resolving, connecting, registering, up, draining, stopped };

  Uplink(std::uint32_t index, UplinkConfig config, UplinkHandler& handler, quic::Endpoint& endpoint,
         relay::PacketPool& pool);
  ~Uplink() override;

  // Used for the next dial; a live connection is untouched.
  void set_credentials(std::shared_ptr<const identity::Credentials> credentials);
  // Our own certificate was renewed: a connection from before `at` is dialled anew then. The
  // Intermediate knows it by the old certificate, and would end it when that expires.
  void renew(base::Time at);
  // Sessions of this node, and its questions without an answer: with any, the Intermediate is asked
  // every second whether it lives.
  void set_sessions(std::size_t count, base::Time now);

  // True once when a name must be resolved now; answer with resolved().
  [[nodiscard]] bool take_resolve_request();
  void resolved(std::vector<base::Address> addresses, const std::string& error, base::Time now);

  void receive(const base::Incoming& packet, base::Time now);
  // False: no answer to a question of this uplink's.
  bool receive_stun(const base::Incoming& packet, const wire::stun::Message& message,
                    base::Time now);
  void expire(base::Time now, base::WallTime wall);
  [[nodiscard]] base::Time next_deadline() const;
  [[nodiscard]] base::Outgoing transmit(base::MutableBytes buffer, base::Time now);

  // False when there is no control channel.
  bool send(const proto::Message& message);
  // Queues a session packet. False: dropped.
  bool send_relayed(std::uint32_t channel, std::uint8_t ecn, bool may_split,
                    base::BytesView packet);
  void remove_channel(std::uint32_t channel) { queue_.remove(channel); }
  // Nothing more will come for it; what waits still leaves.
  void retire_channel(std::uint32_t channel) { queue_.retire(channel); }
  // Largest packet that one frame carries on `channel`; 0 while down.
  [[nodiscard]] std::size_t relay_mtu(std::uint32_t channel) const;
  [[nodiscard]] bool relay_writable(std::uint32_t channel) const;

  // Tells the Intermediate and stops for good.
  void close(std::string_view reason, base::Time now);
  // Could this packet, which names no connection of ours, be the Intermediate's stateless reset?
  [[nodiscard]] bool may_be_reset(const base::Incoming& packet) const;

  // Ends the connection (its peer is no longer trusted) and dials again.
  void drop(const std::string& reason, base::Time now);
  // The network changed under us: dial again now rather than after the pause.
  void hurry(base::Time now);
  // Addresses of this machine have changed.
  void interfaces_changed(base::Time now) { discovery_.ask(now); }
  // A session has lost its direct path.
  void direct_path_lost(base::Time now) { discovery_.suspect(now); }

  [[nodiscard]] std::uint32_t index() const { return index_; }
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool up() const { return state_ == State::up; }
  [[nodiscard]] bool relays() const { return up() || state_ == State::draining; }
  // Up, or Register is on its way: messages arrive behind it.
  [[nodiscard]] bool may_ask() const { return up() || (state_ == State::registering); }
  // Never yet failed, or was up a moment ago: worth a short wait.
  [[nodiscard]] bool hopeful(base::Time now) const;
  [[nodiscard]] const base::HostPort& intermediate() const { return config_.intermediate; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const identity::Principal* peer() const;
  [[nodiscard]] const std::string& peer_certificate() const;
  [[nodiscard]] quic::Stats stats() const;
  [[nodiscard]] std::size_t max_udp_payload() const;
  [[nodiscard]] const std::string& observed_address() const { return observed_; }
  // What the Intermediate sees of our socket of the other family, where its name has an address of
  // each.
  [[nodiscard]] const std::optional<base::Address>& mapped_address() const {
    return discovery_.mapped();
  }
  // What the Intermediate says of its relay (proto: RelayState).
  [[nodiscard]] bool carries_flows() const { return carries_flows_; }
  [[nodiscard]] const base::Address& remote() const { return remote_; }
  // The Intermediate ended the last connection because we may not be here (revoked, expired).
  [[nodiscard]] bool denied() const { return denied_; }
  [[nodiscard]] const std::string& last_error() const { return last_error_; }
  [[nodiscard]] const relay::FairQueue::Counters& relay_counters() const { return relay_counters_; }
  [[nodiscard]] std::uint64_t connects() const { return connects_; }
  // In a row, since it was last up.
  [[nodiscard]] std::uint64_t failed_attempts() const { return failed_attempts_; }
  [[nodiscard]] quic::Endpoint::Handle handle() const;
  // The sockets for each family; set by the owner before the first dial.
  void set_sockets(std::optional<base::SocketId> v4, std::optional<base::SocketId> v6);

 private:
  void on_established(const identity::Principal& peer) override;
  void on_stream_data(quic::StreamId id, base::BytesView data, bool fin) override;
  void on_stream_writable(quic::StreamId id) override;
  void on_stream_reset(quic::StreamId id, std::uint64_t code) override;
  void on_datagram(base::BytesView payload) override;
  void on_connection_id_added(const quic::ConnectionId& id) override;
  void on_connection_id_removed(const quic::ConnectionId& id) override;
  void on_closed(const quic::CloseInfo& info) override;

  [[nodiscard]] bool asks_often() const { return config_.always_keep_alive || sessions_ > 0; }
  [[nodiscard]] base::Duration keep_alive() const;
  [[nodiscard]] std::optional<base::SocketId> socket_for(const base::Address& remote) const;
  void dial(base::Time now, base::WallTime wall);
  void discover_other_family();
  void on_message(const proto::Message& message);
  void flush_control();
  void end(const std::string& reason);
  void schedule_retry(base::Time now);
  void settle(base::Time now);

  std::uint32_t index_;
  UplinkConfig config_;
  UplinkHandler& handler_;
  quic::Endpoint& endpoint_;
  std::shared_ptr<const identity::Credentials> credentials_;
  std::string name_;
  State state_ = State::waiting;
  base::Time now_{};
  base::Time state_deadline_{};  // retry, attempt or registration timer by state
  base::Time renew_at_ = base::never;
  bool wants_resolve_ = false;
  std::optional<base::SocketId> socket_v4_, socket_v6_;

  std::vector<base::Address> addresses_;
  std::size_t next_address_ = 0;
  base::Address remote_;
  base::SocketId socket_ = 0;
  std::unique_ptr<quic::Connection> connection_;
  // Ended connections that still have a CONNECTION_CLOSE to send.
  std::unique_ptr<quic::Connection> closing_;
  std::string end_reason_;  // set when the connection ended inside a callback
  std::uint32_t last_path_ = 0;
  quic::StreamId control_ = -1;
  wire::MessageReader reader_;
  wire::MessageWriter writer_;
  std::string observed_;
  nat::AddressDiscovery discovery_;
  std::string last_error_;
  base::Time last_heard_{};
  base::Time last_up_{};
  base::Time outage_since_{};
  base::Duration pause_ = {};
  base::Duration attempt_ = {};
  base::Duration last_rtt_{};
  bool carries_flows_ = true;
  bool ever_failed_ = false;
  bool duplicate_ = false;    // another uplink of ours is up at that Intermediate
  bool turned_away_ = false;  // by identity or policy: asking again soon would not help
  std::uint64_t failed_attempts_ = 0;
  bool denied_ = false;
  std::uint64_t connects_ = 0;
  std::size_t sessions_ = 0;

  relay::FairQueue::Counters relay_counters_;
  relay::FairQueue queue_;
  wire::RelayReassembler reassembler_;
};

[[nodiscard]] std::string_view to_string(Uplink::State state);

}  // namespace ztna::node
