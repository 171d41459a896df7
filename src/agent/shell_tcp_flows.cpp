#include "agent/shell_tcp_flows.hpp"

#include <algorithm>

namespace ztna::agent {

class TcpFlows::Connection final : public session::FlowHandler, public bridge::TcpBridge::Owner {
 public:
  Connection(TcpFlows& set, DoorId door) : set_(set), door_(door) {}

  void join(FlowId id, io::TcpStream stream) {
    bridge_ = std::make_unique<bridge::TcpBridge>(set_.flows_, *this, id);
    bridge_->adopt(std::move(stream));
    // Reading may have been paused by whoever had the stream before.
    bridge_->flow_writable();
  }
  [[nodiscard]] DoorId door() const { return door_; }

 private:
  void on_flow_data(FlowId /*id*/, base::BytesView data) override { bridge_->flow_data(data); }
  void on_flow_fin(FlowId /*id*/) override { bridge_->flow_fin(); }
  void on_flow_writable(FlowId /*id*/) override { bridge_->flow_writable(); }
  void on_flow_datagram(FlowId /*id*/, base::BytesView /*payload*/) override {}
  void on_flow_ended(FlowId /*id*/, FlowEnd end, const std::string& /*text*/) override {
    bridge_->flow_ended(end);
  }
  void on_bridge_over(FlowId id) override { set_.over(id); }

  TcpFlows& set_;
  DoorId door_;
  std::unique_ptr<bridge::TcpBridge> bridge_;
};

void TcpFlows::carry(DoorId door, const std::string& service, io::TcpStream stream) {
  auto connection = std::make_shared<Connection>(*this, door);
  const FlowId id = flows_.open(service, Protocol::tcp, *connection);
  connections_[id.value] = connection;
  connection->join(id, std::move(stream));
  flows_.pump();
}

void TcpFlows::adopt(DoorId door, FlowId id, io::TcpStream stream) {
  auto connection = std::make_shared<Connection>(*this, door);
  flows_.hand_over(id, connection.get());
  connections_[id.value] = connection;
  connection->join(id, std::move(stream));
}

std::size_t TcpFlows::count(DoorId door) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      connections_, [door](const auto& entry) { return entry.second->door() == door; }));
}

void TcpFlows::over(FlowId id) {
  const auto found = connections_.find(id.value);
  if (found == connections_.end()) return;
  flows_.hand_over(id, nullptr);
  graveyard_.bury(std::move(found->second));
  connections_.erase(found);
}

}  // namespace ztna::agent
