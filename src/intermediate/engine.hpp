// The Intermediate: accepts uplinks, introduces Agents to Connectors, relays between them, tells
// everyone the address it sees them at. Pure: datagrams and `now` come in, datagrams, audit records
// and deadlines come out. Threading: one owner, one thread.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/datagram.hpp"
#include "base/deadline_queue.hpp"
#include "intermediate/admission.hpp"
#include "intermediate/broker.hpp"
#include "intermediate/peer.hpp"
#include "policy/audit.hpp"
#include "policy/policy.hpp"
#include "quic/endpoint.hpp"
#include "wire/stun_server.hpp"

namespace ztna::intermediate {

struct ListenAddress {
  base::SocketId socket = 0;
  base::Address address;  // concrete, with port
};

struct EngineConfig {
  std::shared_ptr<const identity::Credentials> credentials;
  std::shared_ptr<const policy::Policy> policy;
  base::Random* random = nullptr;
  std::string version;
  quic::ConnectionIdLayout cid_layout;
  std::vector<ListenAddress> listen;  // where STUN answers; the first ones are for uplinks
  bool relay = true;
  // Live uplinks under one certificate name: many instances are normal, a thousand are a theft.
  std::size_t max_uplinks_per_identity = 16;
  AdmissionLimits admission;
  BrokerLimits broker;
};

class Engine final : private PeerHandler, private Broker::Host {
 public:
  Engine(EngineConfig config, base::WallReference wall);
  ~Engine() override;

  void receive(const base::Incoming& packet, base::Time now);
  void expire(base::Time now);
  [[nodiscard]] base::Time next_deadline() const;
  // `buffer`: base::transmit_buffer_size. Call until size is 0.
  [[nodiscard]] base::Outgoing transmit(base::MutableBytes buffer, base::Time now);

  void set_wall(base::WallReference wall) { wall_ = wall; }
  // Who is no longer trusted, revoked or allowed is cut; nobody else notices.
  void reload(std::shared_ptr<const identity::Credentials> credentials,
              std::shared_ptr<const policy::Policy> policy, base::Time now);
  void set_relay(bool on, base::Time now);
  [[nodiscard]] bool relay_on() const { return broker_.relay_on(); }
  // Tells everyone to go elsewhere; no new uplinks. close() follows when the grace is over or
  // idle() says that nobody is left.
  void drain(base::Duration grace, base::Time now);
  void close(base::Time now);
  [[nodiscard]] bool idle() const { return peers_.empty(); }

  // Decisions since the last call, for the audit log.
  [[nodiscard]] std::vector<policy::AuditRecord> take_audit();

  struct Counters {
    std::uint64_t packets_received = 0;
    std::uint64_t packets_malformed = 0;  // neither QUIC nor STUN, or no connection of ours
    std::uint64_t initials_dropped = 0;   // limits before authentication
    std::uint64_t retries_sent = 0, resets_sent = 0, versions_sent = 0;
    std::uint64_t handshakes_started = 0, handshakes_failed = 0;
    std::uint64_t stun_answered = 0, stun_dropped = 0;
    std::uint64_t relay_malformed = 0;
    std::uint64_t registrations_refused = 0;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] const Broker& broker() const { return broker_; }
  [[nodiscard]] const relay::FairQueue::Counters& queue_counters() const { return queue_counters_; }
  struct UplinkView {
    std::string uri, address, incarnation;
    identity::Role role = identity::Role::agent;
    bool silent = false;
    base::Duration rtt{};
    std::size_t sessions = 0;
    std::vector<std::string> services;
  };
  [[nodiscard]] std::vector<UplinkView> uplinks() const;
  struct RoleCounts {
    std::size_t agents = 0, connectors = 0, handshakes = 0;
  };
  [[nodiscard]] RoleCounts role_counts() const;

 private:
  // PeerHandler
  void on_peer_established(Peer& peer) override;
  void on_peer_message(Peer& peer, const proto::Message& message) override;
  void on_peer_relayed(Peer& peer, const wire::RelayPacket& packet) override;
  void on_peer_malformed_relay(Peer& peer) override;
  void on_peer_moved(Peer& peer) override;
  void on_peer_closed(Peer& peer, const quic::CloseInfo& info) override;
  void on_peer_wake(Peer& peer) override;
  // Broker::Host
  [[nodiscard]] Peer* peer(PeerKey key) override;
  [[nodiscard]] const policy::Policy& policy() const override { return *config_.policy; }
  void audit(policy::AuditRecord record) override;
  void directory_changed() override;

  void accept(const base::Incoming& packet, const quic::Endpoint::Accept& accept, base::Time now);
  void answer_stun(const base::Incoming& packet, base::Time now);
  void reply(const base::Incoming& to, quic::Endpoint::Reply&& reply);
  void register_peer(Peer& peer, const proto::Register& body);
  void replace_older(Peer& peer);
  // Why this peer may not be here, whatever policy lets it reach; empty: it may.
  [[nodiscard]] std::string distrust(const Peer& peer, base::Time now) const;
  [[nodiscard]] bool has_duplicate(const Peer& peer) const;
  [[nodiscard]] const std::vector<Peer*>& uplinks_of(const std::string& uri) const;
  void forget(Peer& peer);
  void refuse(Peer& peer, proto::Reason reason, const std::string& text);
  void send_observed(Peer& peer);
  void send_relay_state(Peer& peer) const;
  void send_directory(Peer& agent);
  void send_directories();
  void watch_silence(base::Time now);
  void audit_uplink(const Peer& peer, bool allowed, const std::string& rule);

  EngineConfig config_;
  base::WallReference wall_;
  base::Time now_{};
  quic::Endpoint endpoint_;
  base::Secret<32> reset_key_;
  relay::PacketPool pool_;
  relay::FairQueue::Counters queue_counters_;
  Admission admission_;
  PrefixLimiter stun_limit_;
  wire::stun::StunServer stun_;
  Broker broker_;
  std::unordered_map<PeerKey, std::unique_ptr<Peer>> peers_;
  std::unordered_map<std::string, std::vector<Peer*>> by_uri_;  // those that showed who they are
  PeerKey last_peer_ = 0;
  std::deque<PeerKey> awake_;  // may have something to send, in turn
  base::DeadlineQueue<PeerKey> deadlines_;
  base::Time next_watch_{};
  base::Time directories_due_ = base::never, directories_sent_{};
  bool draining_ = false;
  struct Stateless {
    base::SocketId socket;
    base::Address to;
    base::Address from;
    base::Bytes packet;
  };
  std::vector<Stateless> stateless_;
  std::vector<policy::AuditRecord> audit_;
  Counters counters_;
};

}  // namespace ztna::intermediate
