// Sessions as the Intermediate knows them: who may be introduced to whom, which relay channels
// belong together, and how a session finds its channels again after an uplink was lost. Every
// message is checked against the owner of the session it names. Pure.
//
// States of a session, by what its two legs are:
//   bound  both legs have an uplink: packets are relayed
//   half   one leg lost its uplink: packets for it are dropped; a claim by the same incarnation
//          makes it bound again, claim_grace without one ends it
// and of a claim nobody here knows the session of (this Intermediate restarted):
//   pending  until the other end claims the same, or unknown_claim_grace is over
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/ids.hpp"
#include "base/token_bucket.hpp"
#include "directory/directory.hpp"
#include "intermediate/peer.hpp"
#include "policy/audit.hpp"
#include "policy/policy.hpp"
#include "proof/lease.hpp"

namespace ztna::intermediate {

// What passes of one session, both ways together, while the relay is off (proto: RelayState). Nodes
// keep their flows back themselves; these bound what one gets that does not. A packet's form and
// size are all that tells what it may be.
struct RelayOffLimits {
  // Octets of packets with a long header, in the session's life: a handshake takes 3.6 KiB, and
  // three times that where some of it is lost.
  std::size_t handshake = 16 * 1024;
  // QUIC fills packets with data up to this size at least, or probes a path by larger ones.
  std::size_t full_packet = 1200;
  // No larger ones than these acknowledge or ask for an acknowledgement; they count as checks.
  std::size_t tiny_packet = 64;
  // All between: the control stream. Both ends' first messages take 0.4 KiB, with sixteen addresses
  // each 2 KiB; a round of checks none.
  double control_bytes_per_second = 32;
  double control_burst = 2 * 1024;
  // Checks, also while a proof suspends the relay. Two ends in doubt send 3 KiB a second.
  double check_bytes_per_second = 4 * 1024;
  double check_burst = 4 * 1024;
};

struct BrokerLimits {
  std::size_t max_sessions_per_agent = 256;
  std::size_t max_services_per_connector = 256;
  // Claims whose other end has not claimed yet: of one Agent no more than sessions, of one
  // Connector as many as it may have (node::NodeConfig), and of everyone together.
  std::size_t max_claims_per_connector = 4096;
  std::size_t max_pending_claims = 65536;
  base::Duration claim_grace = std::chrono::seconds(15);
  // A claim of a session that nobody here knows waits as long as its node does for a relay.
  base::Duration unknown_claim_grace = std::chrono::seconds(60);
  RelayOffLimits relay_off = {};
};

class Broker {
 public:
  // What the broker needs of its engine.
  class Host {
   public:
    virtual ~Host() = default;
    [[nodiscard]] virtual Peer* peer(PeerKey key) = 0;
    [[nodiscard]] virtual const policy::Policy& policy() const = 0;
    virtual void audit(policy::AuditRecord record) = 0;
    // Offers changed: Agents' directories are to be sent again.
    virtual void directory_changed() = 0;
  };
  struct Counters {
    std::uint64_t relayed_packets = 0, relayed_bytes = 0;
    std::uint64_t dropped_unknown_channel = 0;
    std::uint64_t dropped_peer_away = 0;  // the other leg has no uplink
    std::uint64_t dropped_relay_off = 0;
    std::uint64_t dropped_suspended = 0;  // ztna prove
    std::uint64_t not_owner = 0;
    std::uint64_t directories_cut = 0;  // longer than max_directory
    std::uint64_t sessions_opened = 0, sessions_denied = 0, sessions_reclaimed = 0;
  };

  Broker(Host& host, BrokerLimits limits, base::Random& random)
      : host_(host), limits_(limits), random_(random) {}

  // --- messages of registered peers
  void offer(Peer& connector, const proto::Offer& offer, base::Time now);
  void open(Peer& agent, const proto::OpenSession& open, base::Time now);
  void claim(Peer& peer, const proto::ClaimSession& claim, base::Time now);
  void close(Peer& peer, const proto::CloseSession& close, base::Time now);

  // --- proof, in broker_proof.cpp: answers an end of a session, refuses anyone else
  void statement(Peer& peer, const proof::v1::StatementRequest& request, base::Time now,
                 base::WallTime wall);
  void suspend(Peer& agent, const proof::v1::SuspendRequest& request, base::Time now);

  // --- the data path. True: queued at the other end's uplink.
  bool relay(Peer& from, const wire::RelayPacket& packet, base::Time now);

  // --- what happens to peers
  // `gone`: the process ended, its sessions end; else they wait for a claim.
  void peer_lost(Peer& peer, bool gone, const std::string& text, base::Time now);
  // Sessions of an earlier run of this node, at the same address, will never be claimed.
  void peer_restarted(const Peer& peer, base::Time now);
  void peer_silent();  // health as Agents see it has changed
  // This Intermediate goes away: for the record, sessions end here. Their ends may claim them
  // elsewhere, and are not told.
  void record_ends(const std::string& reason, base::Time now);
  // Policy changed: offers and sessions are decided anew.
  void reevaluate(base::Time now);
  // Once a second or so: claims and halves that waited too long.
  void expire(base::Time now);

  void set_relay(bool on) { relay_on_ = on; }
  [[nodiscard]] bool relay_on() const { return relay_on_; }

  // What this Agent may see, in messages that its reader takes; at least one.
  [[nodiscard]] std::vector<proto::Message> directory_for(const Peer& agent);

  struct SessionView {
    std::string id, agent, connector;
    bool bound = false;
    std::uint64_t packets = 0, bytes = 0, checks = 0;
    base::Time since;
  };
  [[nodiscard]] std::vector<SessionView> sessions() const;
  [[nodiscard]] std::size_t session_count() const { return sessions_.size(); }
  [[nodiscard]] const directory::Directory& directory() const { return directory_; }
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Leg {
    PeerKey peer = 0;  // 0: no uplink now
    std::string uri;
    base::IncarnationId incarnation;
    std::uint32_t channel = 0;
    base::Address address = {};  // of its latest uplink
    [[nodiscard]] bool is(const Peer& p) const {
      return uri == p.uri() && incarnation == p.incarnation();
    }
  };
  struct Session {
    base::SessionId id;
    Leg agent, connector;
    base::Time since;
    base::Time half_since = base::never;
    std::size_t handshake_left = 0;  // these three: while the relay is off
    base::TokenBucket control, checks_left;
    std::uint64_t packets = 0, bytes = 0;
    std::uint64_t checks = 0;     // STUN, not among `packets`
    std::uint64_t suspended = 0;  // packets not relayed during a lease
    proof::Lease lease;
    [[nodiscard]] Leg* leg_of(const Peer& peer) {
      return agent.is(peer) ? &agent : connector.is(peer) ? &connector : nullptr;
    }
    [[nodiscard]] Leg& other(const Leg& leg) { return &leg == &agent ? connector : agent; }
    [[nodiscard]] bool bound() const { return agent.peer != 0 && connector.peer != 0; }
  };
  struct Claim {
    PeerKey peer = 0;
    std::string peer_uri;
    base::IncarnationId peer_incarnation;
    base::Time until;
  };
  struct ClaimKey {  // in this order: those of one certificate name lie together
    std::string uri;
    base::IncarnationId incarnation;
    base::SessionId id;
    friend auto operator<=>(const ClaimKey&, const ClaimKey&) = default;
  };

  struct Offered {  // as last offered, and what became of it
    std::vector<directory::Service> services;
    std::map<std::string, std::string> refused;  // service, why
    bool contradicts = false;                    // another's protocol: why some are refused
  };

  static void refuse_offer(Peer& connector, proto::Reason reason, const std::string& text);
  // What of it may be served by today's policy goes to the directory; the Connector is told of the
  // rest, and both are recorded, when they are news. False: the directory is what it was.
  bool decide_offer(Peer& connector, Offered& offered, base::Time now);
  // What an offer contradicted may be gone.
  void decide_contradicting(base::Time now);
  // Does another Connector offer it with the other protocol?
  [[nodiscard]] bool contradicts(const Peer& connector, const directory::Service& service) const;
  [[nodiscard]] std::vector<directory::Service> well_formed_offer(Peer& connector,
                                                                  const proto::Offer& offer) const;
  [[nodiscard]] Peer* choose(const std::string& service, base::BytesView incarnation) const;
  Session& create(const base::SessionId& id, Peer& agent, Peer& connector, base::Time now);
  Session* between(const Peer& agent, const Peer& connector);
  enum class PacketKind : std::uint8_t { check, handshake, other };
  [[nodiscard]] static PacketKind kind_of(const wire::RelayPacket& packet);
  // Not while relaying is off or suspended: then checks pass, and little else or nothing.
  [[nodiscard]] bool may_relay(Session& session, std::size_t size, PacketKind kind, base::Time now);
  [[nodiscard]] bool may_pass_off(Session& session, std::size_t size, PacketKind kind,
                                  base::Time now) const;
  // The session, if this peer is one of its ends; else null, and `refusal` says why.
  Session* owned(Peer& peer, const std::string& id, std::string_view what, std::string& refusal);
  [[nodiscard]] std::string grant(Session& session, const Peer& agent,
                                  const proof::v1::SuspendRequest& request,
                                  proof::v1::SuspendReply& reply, base::Time now);
  void bind(Session& session, Leg& leg, Peer& peer);
  void unbind(Leg& leg);
  void announce(Session& session, Leg& leg, std::uint64_t request);
  // `how`: for the record.
  void claim_known(Session& session, Peer& peer, std::string_view how, base::Time now);
  // A Connector is back: sessions of this very run that lost its uplink, also those whose
  // SessionReady never reached it and which it therefore cannot claim.
  void resume(Peer& connector, base::Time now);
  void audit_end(const Session& session, const std::string& reason, base::Time now);
  void end(const base::SessionId& id, const Leg* except, proto::Reason reason,
           const std::string& text, base::Time now);
  void refuse_open(Peer& agent, const proto::OpenSession& open, proto::Reason reason,
                   const std::string& text);
  [[nodiscard]] bool may_wait(const Peer& peer) const;
  // With a record of it.
  void deny_claim(Peer& peer, const proto::ClaimSession& claim, proto::Reason reason,
                  const std::string& text, base::Time now);
  void refuse_claim(Peer& peer, const std::string& id, proto::Reason reason,
                    const std::string& text);
  [[nodiscard]] static policy::AuditRecord record_of_session(const Session& session,
                                                             policy::AuditEvent event);
  void audit_claim(const Session& session, std::string_view how,
                   const std::optional<policy::Decision>& decision);
  void not_owner(Peer& peer, const std::string& id, std::string_view what);
  // May this Agent reach anything that this Connector offers now?
  [[nodiscard]] policy::Decision decide(const Peer& agent, const Peer& connector) const;

  Host& host_;
  BrokerLimits limits_;
  base::Random& random_;
  bool relay_on_ = true;
  directory::Directory directory_;
  std::map<PeerKey, Offered> offers_;  // the longest connected first
  std::unordered_map<base::SessionId, std::unique_ptr<Session>> sessions_;
  std::unordered_set<base::SessionId> halves_;  // those in sessions_ that have one leg or none
  std::map<ClaimKey, Claim> claims_;
  Counters counters_;
};

}  // namespace ztna::intermediate
