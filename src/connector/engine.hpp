// The Connector: offers services, and decides for every flow, from the identity that the session
// proved, whether it may reach its backend. Pure: the shell connects to backends and moves octets.
//
// A flow's life: (asked) → policy → on_flow_request → accept_flow or reject_flow → octets →
// on_flow_ended. Threading: one owner, one thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "node/node.hpp"
#include "node/notice.hpp"
#include "policy/audit.hpp"
#include "policy/policy.hpp"
#include "session/flow.hpp"

namespace ztna::connector {

using session::FlowEnd;
using session::FlowId;
using session::Protocol;

struct ServiceConfig {
  std::string name;
  Protocol protocol = Protocol::tcp;
  base::HostPort backend;
};

class Handler : public session::FlowHandler {
 public:
  // Policy allows it: connect to the backend, then accept_flow() or reject_flow().
  virtual void on_flow_request(FlowId id, const ServiceConfig& service) = 0;
};

struct EngineConfig {
  node::NodeConfig node;  // the role is set here
  std::shared_ptr<const policy::Policy> policy;
  std::vector<ServiceConfig> services;
  std::size_t max_flows = 4096;
  std::size_t max_flows_per_agent = 1024;
};

class Engine final : private node::NodeOwner {
 public:
  Engine(EngineConfig config, Handler& handler, base::WallReference wall);
  ~Engine() override;

  [[nodiscard]] node::Node& node() { return *node_; }
  [[nodiscard]] const node::Node& node() const { return *node_; }

  // --- flows; unknown ids are ignored
  void accept_flow(FlowId id);
  void reject_flow(FlowId id, FlowEnd why, std::string_view text);
  // Octets that flow_write() would take now; 0 before the flow is opening. on_flow_writable
  // follows.
  [[nodiscard]] std::size_t flow_writable(FlowId id);
  [[nodiscard]] std::size_t flow_write(FlowId id, base::BytesView data);
  void flow_finish(FlowId id);
  void flow_reset(FlowId id);
  void flow_consume(FlowId id, std::size_t size);
  void flow_datagram(FlowId id, base::BytesView payload);

  // --- operators
  // What the health check of a backend found; an unhealthy service is not offered to Agents.
  void set_health(const std::string& service, bool healthy);
  // Live flows that the new policy denies are cut.
  void reload(std::shared_ptr<const identity::Credentials> credentials,
              std::shared_ptr<const policy::Policy> policy, base::Time now);
  [[nodiscard]] std::vector<policy::AuditRecord> take_audit();
  [[nodiscard]] std::vector<node::Notice> take_notices();

  struct ServiceView {
    ServiceConfig config;
    bool healthy = true;
    std::map<std::string, std::string> refused;  // by which Intermediate, why
    std::uint64_t flows_total = 0;
    std::size_t flows = 0;
  };
  [[nodiscard]] std::vector<ServiceView> services() const;
  struct Counters {
    std::uint64_t flows_accepted = 0, flows_denied = 0, flows_failed = 0;
    std::uint64_t bytes_to_backend = 0, bytes_from_backend = 0;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] std::size_t flow_count() const { return flows_.size(); }
  // Set by the shell before each call into the engine or node, for audit times.
  void set_now(base::Time now) { now_ = now; }
  void set_wall(base::WallReference wall) {
    wall_ = wall;
    node_->set_wall(wall);
  }

 private:
  struct Flow {
    session::Session* session = nullptr;
    session::StreamId stream = -1;
    std::string service, agent;
    Protocol protocol = Protocol::tcp;
    bool allowed = false;  // by policy
    bool accepted = false;
    bool counted = false;  // in ServiceView::flows
    session::FlowCounters counters;
    base::Time since;
  };
  using StreamKey = std::pair<session::Session*, session::StreamId>;

  // node::NodeOwner
  void on_uplink_up(node::Uplink& uplink) override;
  void on_uplink_down(node::Uplink& uplink, const std::string& reason) override;
  void on_uplink_attempt_failed(node::Uplink& uplink, const std::string& reason) override;
  void on_uplink_message(node::Uplink& uplink, const node::proto::Message& message) override;
  void on_session_relay(session::Session& session, bool available) override;
  void on_session_ready(session::Session& session) override;
  void on_path_switched(session::Session& session, const session::PathSwitch& change) override;
  void on_control_message(session::Session& session,
                          const session::v1::SessionMessage& message) override;
  void on_flow_opened(session::Session& session, session::StreamId stream,
                      const std::string& service, Protocol protocol) override;
  void on_flow_data(session::Session& session, session::StreamId stream,
                    base::BytesView data) override;
  void on_flow_fin(session::Session& session, session::StreamId stream) override;
  void on_flow_writable(session::Session& session, session::StreamId stream) override;
  void on_flow_datagram(session::Session& session, session::StreamId stream,
                        base::BytesView payload) override;
  void on_flow_reset(session::Session& session, session::StreamId stream) override;
  void on_flow_closed(session::Session& session, session::StreamId stream) override;
  void on_session_closed(session::Session& session, const quic::CloseInfo& info) override;

  [[nodiscard]] Flow* find(FlowId id);
  [[nodiscard]] FlowId id_of(const session::Session& session, session::StreamId stream) const;
  void send_offer(node::Uplink& uplink);
  void on_offer_state(const node::Uplink& uplink, const node::proto::OfferState& state);
  void state(session::Session& session, const std::string& nonce);
  void suspend_direct(session::Session& session, const proof::v1::SuspendRequest& request);
  [[nodiscard]] proof::Allowance& allowance_of(const session::Session& session);
  void end(FlowId id, FlowEnd why, const std::string& text, bool tell_shell);
  [[nodiscard]] policy::AuditRecord record_of(const Flow& flow, policy::AuditEvent event) const;
  void audit_flow(const Flow& flow, const policy::Decision& decision);

  EngineConfig config_;
  Handler& handler_;
  base::WallReference wall_;
  base::Time now_{};
  std::map<std::string, ServiceView> services_;
  std::unordered_map<std::uint64_t, Flow> flows_;
  std::map<StreamKey, FlowId> by_stream_;
  std::uint64_t last_flow_ = 0;
  std::map<std::string, proof::Allowance> allowances_;  // by Agent's name
  std::vector<policy::AuditRecord> audit_;
  std::vector<node::Notice> notices_;
  Counters counters_;
  std::unique_ptr<node::Node> node_;
};

}  // namespace ztna::connector
