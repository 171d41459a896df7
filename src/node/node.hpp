// What Agent and Connector share: the process's UDP sockets, uplinks to one or more Intermediates,
// and the sessions relayed over them. Pure: the shell or the simulator moves datagrams and resolves
// names. Threading: one owner, one thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/datagram.hpp"
#include "base/deadline_queue.hpp"
#include "base/ids.hpp"
#include "identity/credentials.hpp"
#include "node/uplink.hpp"
#include "quic/endpoint.hpp"
#include "session/session.hpp"

namespace ztna::node {

struct NodeConfig {
  session::Session::Role role = session::Session::Role::agent;
  std::vector<base::HostPort> intermediates;
  bool web_pki = false;
  std::shared_ptr<const identity::Credentials> credentials;
  base::IncarnationId incarnation;
  base::Random* random = nullptr;
  std::string version;
  quic::ConnectionIdLayout cid_layout;
  std::size_t max_sessions = 4096;
  std::size_t max_sessions_per_peer = 64;  // with one name; an honest one has one for each run
  bool direct_only = false;                // flows take no other path (--direct-only)
  bool direct_paths = true;                // false: sessions stay on the relay (--no-p2p)
  std::vector<base::Address> advertised;   // where others may reach us besides what we find out
};

// A name that the shell is to resolve, and whom to tell.
struct ResolveRequest {
  std::uint32_t uplink = 0;
  base::HostPort host;
};

// What a role adds. Sessions report to the same object.
class NodeOwner : public session::SessionHandler {
 public:
  virtual void on_uplink_up(Uplink& uplink) = 0;
  // Register is on its way; open_session() may follow, which saves a cold start a round trip.
  virtual void on_uplink_registering(Uplink& /*uplink*/) {}
  virtual void on_uplink_down(Uplink& uplink, const std::string& reason) = 0;
  virtual void on_uplink_attempt_failed(Uplink& uplink, const std::string& reason) = 0;
  // Messages that are not about sessions: Directory, Refused, ObservedAddress,
  // RelayState (a change), Drain.
  virtual void on_uplink_message(Uplink& uplink, const proto::Message& message) = 0;
  // Agent: the answer to open_session(). The session is handshaking; on_session_ready follows.
  virtual void on_session_opened(std::uint64_t /*request*/, session::Session&) {}
  virtual void on_session_refused(std::uint64_t /*request*/, proto::Reason,
                                  const std::string& /*text*/) {}
  // The session's relay channel came (true) or went.
  virtual void on_session_relay(session::Session& session, bool available) = 0;
};

class Node final : private UplinkHandler {
 public:
  Node(NodeConfig config, NodeOwner& owner, base::WallReference wall);
  ~Node() override;

  // Before the first expire(): which sockets there are. `local`: with the port that it got; the
  // address is unspecified when it serves all of the interfaces'.
  void add_socket(base::SocketId id, const base::Address& local);
  // The addresses of this machine's interfaces, ports aside; at the start and at every change.
  void set_interfaces(const std::vector<base::Address>& addresses, base::Time now);
  void set_wall(base::WallReference wall) { wall_ = wall; }
  // For new connections; live ones end when the new roots or the clock no longer bear their peer.
  // With another leaf of ours, the uplinks are dialled anew; their sessions are claimed back.
  void set_credentials(std::shared_ptr<const identity::Credentials> credentials, base::Time now);

  void receive(const base::Incoming& packet, base::Time now);
  void expire(base::Time now);
  [[nodiscard]] base::Time next_deadline() const;
  // `buffer`: base::transmit_buffer_size. Call until size is 0.
  [[nodiscard]] base::Outgoing transmit(base::MutableBytes buffer, base::Time now);
  [[nodiscard]] std::vector<ResolveRequest> take_resolve_requests();
  void resolved(std::uint32_t uplink, std::vector<base::Address> addresses,
                const std::string& error, base::Time now);

  // Agent: asks one uplink for a session; the answer names `request`. An empty incarnation leaves
  // the choice of the Connector to the Intermediate. False: that uplink may not be asked now.
  bool open_session(Uplink& uplink, std::uint64_t request, const std::string& service,
                    base::BytesView incarnation);
  void close_session(session::Session& session, std::uint64_t code, std::string_view reason,
                     base::Time now);
  // Closes all sessions and uplinks; transmit() then sends the farewells.
  void close(std::string_view reason, base::Time now);

  [[nodiscard]] const std::vector<std::unique_ptr<Uplink>>& uplinks() const { return uplinks_; }
  [[nodiscard]] std::vector<session::Session*> sessions() const;
  [[nodiscard]] session::Session* session(const base::SessionId& id) const;
  // The uplink that relays for this session, or null.
  [[nodiscard]] const Uplink* uplink_of(const session::Session& session) const;
  [[nodiscard]] bool any_uplink_up() const;
  // Where this node might be reached, as peers are told.
  [[nodiscard]] std::vector<nat::Candidate> candidates() const;

  struct Counters {
    std::uint64_t packets_unknown = 0;   // no connection of ours
    std::uint64_t packets_filtered = 0;  // a session's id from an address that no check has proven
    std::uint64_t packets_stun = 0;      // of no session, or not authentic
    std::uint64_t resets_sent = 0;
    std::uint64_t relay_unknown_channel = 0;
    // Offered by an Intermediate beyond max_sessions, or with a peer that cannot be one.
    std::uint64_t sessions_refused = 0;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }
  // Of all sessions, those that have ended included, so that totals never go back.
  struct PathCounters {
    std::uint64_t relay_packets = 0, relay_bytes = 0;
    std::uint64_t direct_packets = 0, direct_bytes = 0;
    nat::Prober::Counters checks;
    session::Session::DatagramDrops datagram_drops;
    std::map<session::SwitchKind, std::uint64_t> switches;
  };
  [[nodiscard]] PathCounters path_counters() const;

 private:
  class RelayLeg;
  struct Slot;
  using SlotKey = std::uint64_t;  // also the Endpoint handle of the session

  void on_uplink_up(Uplink& uplink) override;
  void on_uplink_registering(Uplink& uplink) override { owner_.on_uplink_registering(uplink); }
  void on_uplink_down(Uplink& uplink, const std::string& reason) override;
  void on_uplink_attempt_failed(Uplink& uplink, const std::string& reason) override;
  void on_uplink_message(Uplink& uplink, const proto::Message& message) override;
  void on_mapped_address(Uplink& /*uplink*/) override { update_candidates(); }
  void on_relayed(Uplink& uplink, std::uint32_t channel, std::uint8_t ecn,
                  base::BytesView packet) override;

  void on_session_ready_message(Uplink& uplink, const proto::SessionReady& ready);
  void on_session_closed_message(Uplink& uplink, const proto::SessionClosed& closed);
  // Who may be at the other end: our counterpart, of our trust domain, with the name given.
  [[nodiscard]] std::optional<identity::Expectation> expected(const std::string& peer_uri) const;
  [[nodiscard]] bool take_request(std::uint64_t request, const Uplink& uplink);
  void forget_requests(const Uplink& uplink);
  [[nodiscard]] bool has_room_for(const std::string& peer_uri) const;
  Slot* create_session(const proto::SessionReady& ready, const base::SessionId& id,
                       const base::IncarnationId& incarnation);
  void bind_relay(Slot& slot, Uplink& uplink, std::uint32_t channel);
  void lose_relay(Slot& slot);
  // Ends what stands on a certificate that is no longer valid.
  void end_expired(base::Time now);
  void claim(Slot& slot);
  void claim_at(Slot& slot, Uplink& uplink);
  void on_claim_refused(Uplink& uplink, const proto::SessionRefused& refused);
  void on_drain(Uplink& uplink);
  void on_relay_state(Uplink& uplink);
  static void tell_closed(Uplink& uplink, const base::SessionId& id);
  Slot* slot_of(const base::SessionId& id) const;
  void touch(SlotKey key);
  [[nodiscard]] base::Outgoing transmit_sessions(base::MutableBytes buffer, base::Time now);
  void notice_sleep(base::Time now);
  void receive_stun(const base::Incoming& packet, base::Time now);
  void update_candidates();
  void watch_path(Slot& slot);
  void forget(Slot& slot);
  void refresh_deadline(Slot& slot);
  void count_sessions();

  NodeConfig config_;
  NodeOwner& owner_;
  base::WallReference wall_;
  base::Time awake_at_{};  // the latest receive() or expire()
  base::Time now_{};
  base::Time expiry_check_{};
  quic::Endpoint endpoint_;
  base::Secret<32> reset_key_;
  relay::PacketPool pool_;
  std::optional<base::SocketId> socket_v4_, socket_v6_;
  base::Address local_v4_, local_v6_;  // of these sockets
  std::vector<base::Address> interfaces_;
  std::vector<std::unique_ptr<Uplink>> uplinks_;
  std::unordered_map<SlotKey, std::unique_ptr<Slot>> slots_;
  std::unordered_map<base::SessionId, SlotKey> by_id_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, SlotKey> by_channel_;  // (uplink, channel)
  std::unordered_map<std::uint64_t, std::uint32_t> pending_requests_;      // and whom we asked
  std::vector<SlotKey> touched_, working_;  // sessions that may have something to send
  std::size_t work_at_ = 0;
  std::string closing_;  // the reason given to close(), until it is carried out
  base::DeadlineQueue<SlotKey> deadlines_;
  SlotKey last_key_;
  struct Reply {
    base::SocketId socket;
    base::Address to;
    base::Address from;
    base::Bytes packet;
  };
  std::vector<Reply> replies_;
  Counters counters_;
  PathCounters ended_;
};

}  // namespace ztna::node
