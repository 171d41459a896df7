// The Connector as a daemon: connects flows to backends, watches their health, owns sockets, doors
// and signals around the engine.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "bridge/node_driver.hpp"
#include "bridge/tcp_bridge.hpp"
#include "config/options.hpp"
#include "connector/engine.hpp"
#include "connector/shell_health.hpp"
#include "connector/shell_udp.hpp"
#include "daemon/frame.hpp"
#include "io/packet_pump.hpp"
#include "logging/logging.hpp"

namespace ztna::connector {

class Shell final : private io::PacketPump::Engine,
                    private Handler,
                    private bridge::FlowPort,
                    private bridge::TcpBridge::Owner,
                    private UdpBackend::Owner {
 public:
  // Binds the UDP port. `frame` outlives the shell.
  [[nodiscard]] static base::Result<std::unique_ptr<Shell>> create(
      daemon::Frame& frame, const config::ConnectorOptions& options, const std::string& version);
  ~Shell() override;

  // Until the frame stops; the process's exit code.
  [[nodiscard]] int run();

 private:
  Shell(daemon::Frame& frame, const config::ConnectorOptions& options, const std::string& version);

  // io::PacketPump::Engine
  void receive(const base::Incoming& packet, base::Time now) override;
  void expire(base::Time now) override;
  [[nodiscard]] base::Time next_deadline() const override;
  [[nodiscard]] base::Outgoing transmit(base::MutableBytes buffer, base::Time now) override;
  void deliver() override { write_gathered(); }
  void after_round(base::Time now) override;
  // connector::Handler
  void on_flow_request(FlowId id, const ServiceConfig& service) override;
  void on_flow_data(FlowId id, base::BytesView data) override;
  void on_flow_fin(FlowId id) override;
  void on_flow_writable(FlowId id) override;
  void on_flow_datagram(FlowId id, base::BytesView payload) override;
  void on_flow_ended(FlowId id, FlowEnd end, const std::string& text) override;
  // bridge::FlowPort
  [[nodiscard]] std::size_t flow_writable(FlowId id) override;
  [[nodiscard]] std::size_t flow_write(FlowId id, base::BytesView data) override;
  void flow_finish(FlowId id) override;
  void flow_reset(FlowId id) override;
  void flow_consume(FlowId id, std::size_t size) override;
  void flow_datagram(FlowId id, base::BytesView payload) override;
  void pump() override { pump_.pump(); }
  // bridge::TcpBridge::Owner
  void on_bridge_connected(FlowId id) override;
  void on_bridge_connect_failed(FlowId id, io::ConnectFailure failure) override;
  void on_bridge_over(FlowId id) override;

  // UdpBackend::Owner
  void on_udp_settled(FlowId id) override;
  void on_udp_failed(FlowId id, io::ConnectFailure failure) override;
  void on_udp_refused(const base::HostPort& backend) override;

  [[nodiscard]] nlohmann::json status() const;
  void metrics(io::MetricsWriter& out) const;
  [[nodiscard]] daemon::Readiness ready() const;
  void drain(std::function<void()> done);
  void refresh_wall();
  void bury_udp(FlowId id);
  void post_burial();

  daemon::Frame& frame_;
  config::ConnectorOptions options_;
  connector::Engine engine_;
  io::PacketPump pump_;
  bridge::NodeDriver driver_;
  std::unordered_map<std::uint64_t, std::unique_ptr<bridge::TcpBridge>> tcp_;
  std::unordered_map<std::uint64_t, std::unique_ptr<UdpBackend>> udp_;
  // Bridges that are over, until no call of theirs is on the stack.
  std::vector<std::unique_ptr<bridge::TcpBridge>> graveyard_;
  std::vector<std::unique_ptr<UdpBackend>> udp_graveyard_;
  bool burial_posted_ = false;
  std::vector<std::unique_ptr<HealthCheck>> health_;
  logging::Throttle refusals_{std::chrono::seconds(1)}, backend_refusals_{std::chrono::seconds(1)};
  io::Timer wall_timer_, drain_timer_;
  std::function<void()> drained_;
};

}  // namespace ztna::connector
