// The Agent as a daemon: UDP sockets, doors for local programs, doors for operators and signals
// around the engine.
//
// The local listeners are up from the start, whether an Intermediate is within reach or not: flows
// fail at once, with a reason, until one is.
//
// Threading: the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/engine.hpp"
#include "agent/shell_auto_forward.hpp"
#include "agent/shell_flows.hpp"
#include "agent/shell_forward.hpp"
#include "agent/shell_ping.hpp"
#include "agent/shell_prove.hpp"
#include "agent/shell_quality.hpp"
#include "agent/shell_socks.hpp"
#include "agent/shell_tcp_flows.hpp"
#include "bridge/node_driver.hpp"
#include "config/options.hpp"
#include "daemon/frame.hpp"
#include "io/packet_pump.hpp"

namespace ztna::agent {

class Shell final : private io::PacketPump::Engine {
 public:
  // Binds every socket. Errors name the flag. `frame` outlives the shell.
  [[nodiscard]] static base::Result<std::unique_ptr<Shell>> create(
      daemon::Frame& frame, const config::AgentOptions& options, const std::string& version);
  ~Shell() override;

  // Until the frame stops; the process's exit code.
  [[nodiscard]] int run();

 private:
  Shell(daemon::Frame& frame, const config::AgentOptions& options, const std::string& version);

  // io::PacketPump::Engine
  void receive(const base::Incoming& packet, base::Time now) override;
  void expire(base::Time now) override;
  [[nodiscard]] base::Time next_deadline() const override;
  [[nodiscard]] base::Outgoing transmit(base::MutableBytes buffer, base::Time now) override;
  void deliver() override { flows_.write_gathered(); }
  void after_round(base::Time now) override;

  [[nodiscard]] base::Status open_doors();
  [[nodiscard]] daemon::Readiness readiness() const;
  void drain(std::function<void()> done);
  void drain_further();
  void refresh_wall();

  daemon::Frame& frame_;
  config::AgentOptions options_;
  io::PacketPump pump_;
  EngineFlows flows_;
  Pings pings_;
  QualityProbes quality_;
  std::unique_ptr<agent::Engine> engine_;
  Proofs proofs_;
  bridge::NodeDriver driver_;
  TcpFlows tcp_flows_;
  DoorContext context_;
  DoorId last_door_ = 0;
  std::vector<std::unique_ptr<Forward>> forwards_;
  std::unique_ptr<SocksServer> socks_;         // null: no --socks
  std::unique_ptr<AutoForward> auto_forward_;  // null: no --auto-forward
  io::Timer wall_timer_, drain_timer_;
  std::function<void()> drained_;
  base::Time drain_deadline_{};
  std::uint64_t sent_ = 0, sent_before_ = 0;  // batches that left
};

}  // namespace ztna::agent
