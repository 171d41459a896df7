// The Agent: opens flows to services for local programs, over as few sessions as possible. Pure:
// the shell owns the local sockets.
//
// A flow's states and what leaves them:
//   for_uplink   no Intermediate is up, but one may be soon     → for_relay | for_session | ended
//   for_relay    a session to the service lost its relay, and
//                an Intermediate is there for it to come back   → opening | for_session | ended
//   for_session  a session was asked for, or is handshaking     → opening | for_direct | ended
//   for_direct   the session is on its relay, and that is off,
//                or --direct-only is set                        → opening | ended
//   opening      FlowOpen sent, octets may follow it at once    → open | ended
//   open         the Connector accepted                         → ended
// All but the last have a deadline: nothing hangs. Threading: one owner, one thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "agent/catalog.hpp"
#include "base/deadline_queue.hpp"
#include "base/token_bucket.hpp"
#include "node/node.hpp"
#include "node/notice.hpp"
#include "node/witness.hpp"
#include "policy/audit.hpp"
#include "session/flow.hpp"

namespace ztna::agent {

using session::FlowEnd;
using session::FlowId;
using session::Protocol;

class Handler : public session::FlowHandler {
 public:
  // The set of services, their ports or their health changed.
  virtual void on_services_changed() {}
  // What a Connector or an Intermediate stated, or why it did not: the answer to ask_ends() and
  // ask_relay().
  virtual void on_statement(const base::SessionId& /*session*/, identity::Role /*from*/,
                            const std::string& /*nonce*/,
                            const base::Result<identity::SignedText>& /*statement*/) {}
  // For how long that path of the session is suspended, from now: the answer to ask_suspension().
  virtual void on_suspended(const base::SessionId& /*session*/, session::PathKind /*path*/,
                            const base::Result<base::Duration>& /*granted*/) {}
};

struct EngineConfig {
  node::NodeConfig node;  // the role is set here
  std::size_t max_flows = 8192;
};

class Engine final : private node::NodeOwner {
 public:
  Engine(EngineConfig config, Handler& handler, base::WallReference wall);
  ~Engine() override;

  [[nodiscard]] node::Node& node() { return *node_; }
  [[nodiscard]] const node::Node& node() const { return *node_; }
  // Set by the shell before each call into engine or node.
  void set_now(base::Time now) { now_ = now; }
  // After node().expire(): the flows' own deadlines.
  void expire(base::Time now);
  [[nodiscard]] base::Time next_deadline() const;

  // --- flows (engine_flows.cpp); unknown ids are ignored
  // Starts a flow. The answer is on_flow_accepted or on_flow_ended, never from inside this call.
  [[nodiscard]] FlowId open_flow(const std::string& service, Protocol protocol, base::Time now);
  // Octets that flow_write() would take now; 0 before the flow is opening. on_flow_writable
  // follows.
  [[nodiscard]] std::size_t flow_writable(FlowId id);
  [[nodiscard]] std::size_t flow_write(FlowId id, base::BytesView data);
  void flow_finish(FlowId id);
  void flow_reset(FlowId id);
  void flow_consume(FlowId id, std::size_t size);
  // Kept (a few of them) until the flow is opening.
  void flow_datagram(FlowId id, base::BytesView payload);

  // --- proof (engine_proof.cpp)
  // What this end has seen of the session, signed; the Connector is asked for the same, and
  // on_statement() follows when it answers.
  [[nodiscard]] base::Result<identity::SignedText> ask_ends(const base::SessionId& id,
                                                            const std::string& nonce,
                                                            base::Time now);
  // Asks the Intermediate that relays for the session; on_statement() follows.
  [[nodiscard]] base::Status ask_relay(const base::SessionId& id, const std::string& nonce,
                                       base::Time now);
  // Asks for that path of the session to be suspended, at all who handle its packets;
  // on_suspended() follows. `service`: one that the policy lets this Agent do so for. One question
  // for a path at a time.
  [[nodiscard]] base::Status ask_suspension(const base::SessionId& id, session::PathKind path,
                                            const std::string& service, base::Duration time,
                                            base::Time now);
  // No answer to what was asked of the session will be taken any more.
  void forget_questions(const base::SessionId& id);

  // --- operators
  [[nodiscard]] const Catalog& catalog() const { return catalog_; }
  [[nodiscard]] std::vector<node::Notice> take_notices();
  // Decisions since the last call, for the audit log.
  [[nodiscard]] std::vector<policy::AuditRecord> take_audit();
  void set_wall(base::WallReference wall) {
    wall_ = wall;
    node_->set_wall(wall);
  }
  void reload(std::shared_ptr<const identity::Credentials> credentials, base::Time now);

  struct FlowView {
    FlowId id;
    std::string service, connector, state;
    std::string session;            // hexadecimal; empty: none yet
    session::StreamId stream = -1;  // in it, as in the audit logs
    Protocol protocol = Protocol::tcp;
    session::FlowCounters counters;
    base::Time since;
  };
  [[nodiscard]] std::vector<FlowView> flows() const;
  struct Ended {
    FlowId id;
    std::string service, text;
    FlowEnd why = FlowEnd::finished;
    base::Time at;
  };
  // The session that carries the flow; null before it has one.
  [[nodiscard]] const session::Session* session_of(FlowId id) const;
  // The last failures, newest last, for `ztna status`.
  [[nodiscard]] const std::deque<Ended>& failures() const { return failures_; }
  struct Counters {
    std::uint64_t flows_opened = 0, flows_accepted = 0;
    std::map<FlowEnd, std::uint64_t> ended;
    std::uint64_t bytes_to_backend = 0, bytes_from_backend = 0;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  enum class State { for_uplink, for_relay, for_session, for_direct, opening, open };
  struct Flow {
    FlowId id;
    std::string service;
    Protocol protocol = Protocol::tcp;
    State state = State::for_uplink;
    session::Session* session = nullptr;
    session::StreamId stream = -1;
    session::Session* waits_on = nullptr;  // in for_direct
    std::vector<base::IncarnationId> tried;
    std::vector<base::Bytes> early;  // UDP payloads from before the session was there
    bool finish_early = false;       // flow_finish() came before the stream was there
    bool waited_for_relay = false;   // in vain
    session::FlowCounters counters;
    base::Time since, opened;  // opened: its FlowOpen was sent
  };
  // An OpenSession under way, and who waits for it.
  struct Request {
    std::uint32_t uplink = 0;
    std::string service;
    base::IncarnationId incarnation;  // all zero: the Intermediate chooses
    std::vector<FlowId> flows;
  };
  using StreamKey = std::pair<session::Session*, session::StreamId>;

  // node::NodeOwner
  void on_uplink_up(node::Uplink& uplink) override;
  void on_uplink_registering(node::Uplink& uplink) override;
  void on_uplink_down(node::Uplink& uplink, const std::string& reason) override;
  void on_uplink_attempt_failed(node::Uplink& uplink, const std::string& reason) override;
  void on_uplink_message(node::Uplink& uplink, const node::proto::Message& message) override;
  void on_session_opened(std::uint64_t number, session::Session& session) override;
  void on_session_refused(std::uint64_t number, node::proto::Reason reason,
                          const std::string& text) override;
  void on_session_relay(session::Session& session, bool available) override;
  void on_session_ready(session::Session& session) override;
  void on_path_switched(session::Session& session, const session::PathSwitch& change) override;
  void on_control_message(session::Session& session,
                          const session::v1::SessionMessage& message) override;
  void on_flow_accepted(session::Session& session, session::StreamId stream) override;
  void on_flow_rejected(session::Session& session, session::StreamId stream, FlowEnd why,
                        const std::string& text) override;
  void on_flow_data(session::Session& session, session::StreamId stream,
                    base::BytesView data) override;
  void on_flow_fin(session::Session& session, session::StreamId stream) override;
  void on_flow_writable(session::Session& session, session::StreamId stream) override;
  void on_flow_datagram(session::Session& session, session::StreamId stream,
                        base::BytesView payload) override;
  void on_flow_reset(session::Session& session, session::StreamId stream) override;
  void on_flow_closed(session::Session& session, session::StreamId stream) override;
  void on_session_closed(session::Session& session, const quic::CloseInfo& info) override;

  void on_relay_statement(const node::Uplink& uplink, const proof::v1::StatementReply& reply);
  [[nodiscard]] base::Status send_to_relay(const base::SessionId& id,
                                           const node::proto::Message& message);
  void on_relay_suspended(const node::Uplink& uplink, const proof::v1::SuspendReply& reply);
  // Was this asked for? Once.
  [[nodiscard]] bool take_suspension(const base::SessionId& id, session::PathKind path);
  [[nodiscard]] bool take_statement(const base::SessionId& id, identity::Role from,
                                    const std::string& nonce);

  [[nodiscard]] Flow* find(FlowId id);
  [[nodiscard]] Flow* find(const session::Session& session, session::StreamId stream);
  // Moves a flow that waits for an uplink or a relay as far as it can go now.
  void advance(FlowId id);
  // Back to the first state; advance() follows.
  void begin_anew(Flow& flow);
  void advance_all();
  void ask_for_session(Flow& flow);
  void start_on(Flow& flow, session::Session& session);
  // As start_on(), once the session is where flows may go.
  void start_or_wait(Flow& flow, session::Session& session);
  // It may be there now.
  void start_waiting(const session::Session& session);
  [[nodiscard]] std::string no_relay(const session::Session& session) const;
  [[nodiscard]] bool looks_gone(const Flow& flow) const;
  void end_unanswered(const Flow& flow);
  [[nodiscard]] std::vector<FlowId> flows_on(session::Session& session) const;
  // What was asked there gets no answer any more.
  void ask_again(const node::Uplink& uplink);
  void end(FlowId id, FlowEnd why, const std::string& text);
  // Of a flow that is given to a session, refused or ended.
  [[nodiscard]] policy::AuditRecord record_of(const Flow& flow, policy::AuditEvent event) const;
  void audit_start(const Flow& flow);
  void audit_end(const Flow& flow, FlowEnd why, const std::string& text);
  void tell_failure(const std::string& service, FlowEnd why, const std::string& text);
  [[nodiscard]] std::vector<Candidate> candidates() const;
  [[nodiscard]] session::Session* session_with(const base::IncarnationId& instance) const;
  // May this flow go through that session? `choice`: what the directory says; after a restart of
  // the Intermediate it says nothing at first, and the Connector's certificate has to do.
  [[nodiscard]] static bool fits(const Flow& flow, const session::Session& session,
                                 const std::optional<Instance>& choice);
  [[nodiscard]] node::Uplink* uplink_for(std::uint32_t preferred) const;
  [[nodiscard]] std::string uplink_trouble() const;

  EngineConfig config_;
  Handler& handler_;
  base::WallReference wall_;
  base::Time now_{};
  Catalog catalog_;
  std::uint64_t spread_ = 0;
  std::unordered_map<std::uint64_t, Flow> flows_;
  std::map<StreamKey, FlowId> by_stream_;
  std::map<std::uint64_t, Request> requests_;
  std::uint64_t last_flow_ = 0, last_request_ = 0;
  base::DeadlineQueue<std::uint64_t> deadlines_;  // of flows, by id
  std::vector<FlowId> to_advance_;                // flows opened since the last expire()
  std::vector<FlowId> to_start_;                  // what they waited for may be there now
  std::map<session::Session*, base::Time> unused_since_;
  std::set<std::pair<base::SessionId, session::PathKind>> suspensions_asked_;
  std::set<std::tuple<base::SessionId, identity::Role, std::string>> statements_asked_;
  std::deque<Ended> failures_;
  std::vector<node::Notice> notices_;
  std::vector<policy::AuditRecord> audit_;
  base::TokenBucket failure_notices_{1, 20};  // a second, at once
  std::uint64_t failures_untold_ = 0;         // since the last notice of one
  Counters counters_;
  std::unique_ptr<node::Node> node_;
};

}  // namespace ztna::agent
