// Many real uplinks from one process, each with a UDP socket and a registration of its own, for
// measuring what an idle uplink costs the Intermediate.
//
//   idle_uplinks ADDRESS:PORT CERT_DIR COUNT    prints "up N" when all are up, then idles until
//   killed
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "agent/engine.hpp"
#include "bridge/node_driver.hpp"
#include "io/packet_pump.hpp"
#include "io/system_random.hpp"

namespace {

using namespace ztna;

std::string slurp(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class One final : private io::PacketPump::Engine, private agent::Handler {
 public:
  One(io::Loop& loop, agent::EngineConfig config)
      : engine_(std::move(config), *this, bridge::NodeDriver::wall()),
        pump_(loop, *this),
        driver_(loop, engine_.node(), pump_) {}

  bool start(const base::Address& local) {
    if (!driver_.bind(local, 0, "socket")) return false;
    pump_.pump();
    return true;
  }
  [[nodiscard]] bool up() const { return engine_.node().any_uplink_up(); }

 private:
  void receive(const base::Incoming& packet, base::Time now) override {
    engine_.set_now(now);
    engine_.node().receive(packet, now);
  }
  void expire(base::Time now) override {
    engine_.set_now(now);
    engine_.node().expire(now);
    engine_.expire(now);
  }
  [[nodiscard]] base::Time next_deadline() const override {
    return std::min(engine_.next_deadline(), engine_.node().next_deadline());
  }
  [[nodiscard]] base::Outgoing transmit(base::MutableBytes buffer, base::Time now) override {
    return engine_.node().transmit(buffer, now);
  }
  void after_round(base::Time /*now*/) override {
    for (const node::Notice& notice : engine_.take_notices()) {
      if (notice.warning) std::fprintf(stderr, "%s\n", notice.text.c_str());
    }
    driver_.resolve_names();
  }
  void on_flow_data(session::FlowId, base::BytesView) override {}
  void on_flow_fin(session::FlowId) override {}
  void on_flow_writable(session::FlowId) override {}
  void on_flow_datagram(session::FlowId, base::BytesView) override {}
  void on_flow_ended(session::FlowId, session::FlowEnd, const std::string&) override {}

  agent::Engine engine_;
  io::PacketPump pump_;
  bridge::NodeDriver driver_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: idle_uplinks ADDRESS:PORT CERT_DIR COUNT\n");
    return 2;
  }
  const std::string dir = argv[2];
  const auto intermediate = base::parse_host_port(argv[1]);
  const std::size_t count = std::strtoul(argv[3], nullptr, 10);
  const auto credentials =
      identity::Credentials::load({slurp(dir + "/cert.pem"), "cert.pem", slurp(dir + "/key.pem"),
                                   "key.pem", slurp(dir + "/ca-cert.pem"), "ca-cert.pem"},
                                  io::Loop::wall_now());
  if (!intermediate || !credentials) {
    std::fprintf(stderr, "%s\n",
                 (!intermediate ? intermediate.error() : credentials.error()).message().c_str());
    return 1;
  }
  io::Loop loop;
  io::SystemRandom random;
  std::vector<std::unique_ptr<One>> all;
  // Waves, so that the handshakes of one do not time out behind those of all.
  constexpr std::size_t wave = 50;
  const auto rising = [&] {
    std::size_t up = 0;
    for (const auto& one : all) up += one->up() ? 1U : 0U;
    return up;
  };
  std::unique_ptr<io::Timer> timer;
  timer = std::make_unique<io::Timer>(loop, [&] {
    const std::size_t up = rising();
    if (up == all.size() && all.size() < count) {
      for (std::size_t i = 0; i < wave && all.size() < count; ++i) {
        agent::EngineConfig config;
        config.node.intermediates = {*intermediate};
        config.node.credentials = *credentials;
        config.node.incarnation = base::IncarnationId::make(random);
        config.node.random = &random;
        config.node.version = "bench";
        all.push_back(std::make_unique<One>(loop, std::move(config)));
        // A loopback address of its own each few hundred, as different networks would have.
        const auto block = static_cast<std::uint8_t>(all.size() / 200);
        if (!all.back()->start(base::Address::v4({127, 1, block, 1}, 0))) std::exit(1);
      }
    }
    if (up == count) {
      std::printf("up %zu\n", up);
      std::fflush(stdout);
      return;
    }
    timer->set(io::Loop::now() + std::chrono::milliseconds(20));
  });
  timer->set(io::Loop::now());
  loop.run();
  return 0;
}
