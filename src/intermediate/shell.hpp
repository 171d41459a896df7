// The Intermediate as a daemon: sockets, doors and signals around the engine.
#pragma once

#include <memory>
#include <string>

#include "config/options.hpp"
#include "daemon/frame.hpp"
#include "intermediate/engine.hpp"
#include "io/packet_pump.hpp"

namespace ztna::intermediate {

class Shell final : private io::PacketPump::Engine {
 public:
  // Binds every listen address. `frame` outlives the shell.
  [[nodiscard]] static base::Result<std::unique_ptr<Shell>> create(
      daemon::Frame& frame, const config::IntermediateOptions& options, const std::string& version);

  // Until the frame stops; the process's exit code.
  [[nodiscard]] int run();

 private:
  Shell(daemon::Frame& frame, config::IntermediateOptions options);

  void receive(const base::Incoming& packet, base::Time now) override;
  void expire(base::Time now) override;
  [[nodiscard]] base::Time next_deadline() const override;
  [[nodiscard]] base::Outgoing transmit(base::MutableBytes buffer, base::Time now) override;
  void after_round(base::Time now) override;

  [[nodiscard]] base::Status bind();
  void add_routes();
  void drain(std::function<void()> done);
  void drain_further();
  void refresh_wall();

  daemon::Frame& frame_;
  config::IntermediateOptions options_;
  io::PacketPump pump_;
  std::vector<ListenAddress> listen_;
  std::unique_ptr<intermediate::Engine> engine_;
  base::Time started_;
  io::Timer wall_timer_, drain_timer_;
  std::function<void()> drained_;
  base::Time drain_deadline_{};
  bool closing_ = false;
};

}  // namespace ztna::intermediate
