// The three real engines as Parts of a World, each in the place of its shell.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/engine.hpp"
#include "connector/engine.hpp"
#include "intermediate/engine.hpp"
#include "sim/programs.hpp"
#include "sim/world.hpp"

namespace ztna::sim {

class IntermediatePart final : public Part {
 public:
  IntermediatePart(World& world, intermediate::EngineConfig config);
  void receive(const base::Incoming& packet, Time now) override { engine_->receive(packet, now); }
  void expire(Time now) override { engine_->expire(now); }
  [[nodiscard]] Time next_deadline() override { return engine_->next_deadline(); }
  [[nodiscard]] base::Outgoing transmit(base::MutableBytes buffer, Time now) override;
  [[nodiscard]] intermediate::Engine& engine() { return *engine_; }
  [[nodiscard]] const std::vector<policy::AuditRecord>& audit();

 private:
  SeededRandom random_;
  std::unique_ptr<intermediate::Engine> engine_;
  std::vector<policy::AuditRecord> audit_;
};

class ConnectorPart final : public Part, private connector::Handler {
 public:
  // `relays`: what every Intermediate's name resolves to, in their order.
  ConnectorPart(World& world, std::string name, connector::EngineConfig config,
                std::vector<std::vector<base::Address>> relays);
  ~ConnectorPart() override;
  void addresses(const std::vector<LocalAddress>& local, Time now) override;
  void receive(const base::Incoming& packet, Time now) override;
  void expire(Time now) override;
  [[nodiscard]] Time next_deadline() override;
  [[nodiscard]] base::Outgoing transmit(base::MutableBytes buffer, Time now) override;
  [[nodiscard]] connector::Engine& engine() { return *engine_; }
  [[nodiscard]] const std::vector<policy::AuditRecord>& audit();
  // How long a backend takes to accept.
  Duration accept_delay{};

 private:
  class Port;
  void on_flow_request(FlowId id, const connector::ServiceConfig& service) override;
  void on_flow_data(FlowId id, base::BytesView data) override;
  void on_flow_fin(FlowId id) override;
  void on_flow_writable(FlowId id) override;
  void on_flow_datagram(FlowId id, base::BytesView payload) override;
  void on_flow_ended(FlowId id, FlowEnd end, const std::string& text) override;
  [[nodiscard]] Backend* backend(FlowId id);

  World& world_;
  std::string name_;  // of its machine
  SeededRandom random_;
  std::vector<std::vector<base::Address>> relays_;
  std::set<base::SocketId> sockets_;
  std::unique_ptr<connector::Engine> engine_;
  std::map<FlowId, std::unique_ptr<Backend>> backends_;
  std::vector<policy::AuditRecord> audit_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class AgentPart final : public Part, private agent::Handler {
 public:
  AgentPart(World& world, std::string name, agent::EngineConfig config,
            std::vector<std::vector<base::Address>> relays);
  ~AgentPart() override;
  void addresses(const std::vector<LocalAddress>& local, Time now) override;
  void receive(const base::Incoming& packet, Time now) override;
  void expire(Time now) override;
  [[nodiscard]] Time next_deadline() override;
  [[nodiscard]] base::Outgoing transmit(base::MutableBytes buffer, Time now) override;
  [[nodiscard]] agent::Engine& engine() { return *engine_; }
  // A local program connects, at this moment of the machine's clock. The client outlives this part.
  void open(Client& client, Time now);

 private:
  class Port;
  void on_flow_accepted(FlowId id) override;
  void on_flow_data(FlowId id, base::BytesView data) override;
  void on_flow_fin(FlowId id) override;
  void on_flow_writable(FlowId id) override;
  void on_flow_datagram(FlowId id, base::BytesView payload) override;
  void on_flow_ended(FlowId id, FlowEnd end, const std::string& text) override;
  [[nodiscard]] Client* client(FlowId id);

  World& world_;
  std::string name_;  // of its machine
  SeededRandom random_;
  std::vector<std::vector<base::Address>> relays_;
  std::set<base::SocketId> sockets_;
  std::unique_ptr<agent::Engine> engine_;
  std::map<FlowId, Client*> clients_;
};

}  // namespace ztna::sim
