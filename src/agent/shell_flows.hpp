// How the Agent's doors for local programs (forwards, SOCKS, loopback addresses) get flows: each
// flow has one user, who hears what happens to it. Tests stand in for the engine here.
//
// Threading: the loop's thread.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/engine.hpp"
#include "bridge/flow_port.hpp"
#include "io/loop.hpp"
#include "io/packet_pump.hpp"

namespace ztna::agent {

class Proofs;

class Flows : public bridge::FlowPort {
 public:
  // Starts a flow; call pump() afterwards. The answer, on_flow_accepted or on_flow_ended, goes to
  // `user` and never comes from inside this call.
  [[nodiscard]] virtual FlowId open(const std::string& service, Protocol protocol,
                                    session::FlowHandler& user) = 0;
  // From now on another user hears of this flow; null: nobody. It does not end the flow.
  virtual void hand_over(FlowId id, session::FlowHandler* user) = 0;
};

// Objects that ended inside one of their own callbacks are put here, and are destroyed from the
// loop, when no call into them is in progress any more.
class Graveyard {
 public:
  explicit Graveyard(io::Loop& loop) : loop_(loop) {}
  ~Graveyard() { *alive_ = false; }
  Graveyard(const Graveyard&) = delete;
  Graveyard& operator=(const Graveyard&) = delete;

  void bury(std::shared_ptr<void> object);

 private:
  io::Loop& loop_;
  std::vector<std::shared_ptr<void>> objects_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// Flows of the real engine, which reports to this object.
class EngineFlows final : public Flows, public Handler {
 public:
  // Before anything else: the engine is made with this object as its handler.
  void attach(Engine& engine, io::PacketPump& pump) {
    engine_ = &engine;
    pump_ = &pump;
  }
  // Who hears of statements and suspensions.
  void set_proofs(Proofs& proofs) { proofs_ = &proofs; }
  // True once after the set of services changed.
  [[nodiscard]] bool take_services_changed() { return std::exchange(services_changed_, false); }

  [[nodiscard]] FlowId open(const std::string& service, Protocol protocol,
                            session::FlowHandler& user) override;
  void hand_over(FlowId id, session::FlowHandler* user) override;

  // bridge::FlowPort
  [[nodiscard]] std::size_t flow_writable(FlowId id) override;
  [[nodiscard]] std::size_t flow_write(FlowId id, base::BytesView data) override;
  void flow_finish(FlowId id) override;
  void flow_reset(FlowId id) override;
  void flow_consume(FlowId id, std::size_t size) override;
  void flow_datagram(FlowId id, base::BytesView payload) override;
  void pump() override { pump_->pump(); }

 private:
  // agent::Handler
  void on_flow_accepted(FlowId id) override;
  void on_flow_data(FlowId id, base::BytesView data) override;
  void on_flow_fin(FlowId id) override;
  void on_flow_writable(FlowId id) override;
  void on_flow_datagram(FlowId id, base::BytesView payload) override;
  void on_flow_ended(FlowId id, FlowEnd end, const std::string& text) override;
  void on_services_changed() override { services_changed_ = true; }
  void on_statement(const base::SessionId& session, identity::Role from, const std::string& nonce,
                    const base::Result<identity::SignedText>& statement) override;
  void on_suspended(const base::SessionId& session, session::PathKind path,
                    const base::Result<base::Duration>& granted) override;

  [[nodiscard]] Engine& engine();
  [[nodiscard]] session::FlowHandler* user_of(FlowId id) const;

  Engine* engine_ = nullptr;
  io::PacketPump* pump_ = nullptr;
  Proofs* proofs_ = nullptr;
  std::unordered_map<std::uint64_t, session::FlowHandler*> users_;
  bool services_changed_ = false;
};

}  // namespace ztna::agent
