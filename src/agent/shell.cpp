#include "agent/shell.hpp"

#include <nlohmann/json.hpp>

#include "agent/shell_report.hpp"
#include "bridge/node_report.hpp"
#include "io/system_random.hpp"
#include "logging/logging.hpp"

namespace ztna::agent {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration wall_interval = 60s;
// After SIGTERM the farewells leave at once, unless the kernel has no room for them.
constexpr base::Duration drain_limit = 1s;
constexpr base::Duration drain_step = 20ms;

io::SystemRandom& random() {
  static io::SystemRandom source;
  return source;
}

std::unique_ptr<Engine> make_engine(const daemon::Frame& frame, const config::AgentOptions& options,
                                    const std::string& version, Handler& handler) {
  EngineConfig config;
  config.node.intermediates = options.intermediates;
  config.node.web_pki = true;
  config.node.credentials = frame.trust().credentials;
  config.node.incarnation = base::IncarnationId::make(random());
  config.node.random = &random();
  config.node.version = version;
  config.node.direct_paths = !options.no_p2p;
  config.node.direct_only = options.direct_only;
  return std::make_unique<Engine>(std::move(config), handler, bridge::NodeDriver::wall());
}

}  // namespace

Shell::Shell(daemon::Frame& frame, const config::AgentOptions& options, const std::string& version)
    : frame_(frame),
      options_(options),
      pump_(frame.loop(), *this),
      pings_(flows_, [this](FlowId id) { return engine_->session_of(id); }),
      quality_(frame.loop(), flows_, [this](FlowId id) { return engine_->session_of(id); }),
      engine_(make_engine(frame, options, version, flows_)),
      proofs_(frame.loop(), *engine_, pump_),
      driver_(frame.loop(), engine_->node(), pump_),
      tcp_flows_(frame.loop(), flows_),
      context_{frame.loop(), flows_, tcp_flows_, options.udp_flow_idle},
      wall_timer_(frame.loop(), [this] { refresh_wall(); }),
      drain_timer_(frame.loop(), [this] { drain_further(); }) {
  flows_.attach(*engine_, pump_);
  flows_.set_proofs(proofs_);
}

Shell::~Shell() = default;

base::Result<std::unique_ptr<Shell>> Shell::create(daemon::Frame& frame,
                                                   const config::AgentOptions& options,
                                                   const std::string& version) {
  std::unique_ptr<Shell> shell(new Shell(frame, options, version));
  const auto bound =
      shell->driver_.bind(options.p2p_listen_address, options.p2p_listen_port, "--p2p-listen-port");
  if (!bound) return tl::unexpected(bound.error());
  if (auto opened = shell->open_doors(); !opened) return tl::unexpected(opened.error());
  return shell;
}

base::Status Shell::open_doors() {
  for (const config::Forward& wanted : options_.forwards) {
    const Protocol protocol =
        wanted.transport == config::Transport::tcp ? Protocol::tcp : Protocol::udp;
    auto forward = Forward::create(context_, ++last_door_, protocol, wanted.listen, wanted.service);
    if (!forward) {
      base::Error error = forward.error();
      error.where = "--forward " + wanted.to_string();
      return tl::unexpected(error);
    }
    forwards_.push_back(std::move(*forward));
  }
  if (options_.socks) {
    auto socks = SocksServer::create(context_, ++last_door_, *options_.socks);
    if (!socks) {
      base::Error error = socks.error();
      error.where = "--socks " + options_.socks->to_string();
      return tl::unexpected(error);
    }
    socks_ = std::move(*socks);
  }
  if (options_.auto_forward) auto_forward_ = std::make_unique<AutoForward>(context_, last_door_);
  // Only now: a start that fails says one line, what failed.
  for (const auto& forward : forwards_) {
    logging::info("Forwarding " + forward->to_string() + " to service " + forward->service());
  }
  if (socks_) logging::info("SOCKS5 on " + socks_->local_address().to_string());
  if (forwards_.empty() && !socks_ && !auto_forward_) {
    logging::warn("No service can be reached here: give --forward, --socks or --auto-forward");
  }
  return {};
}

int Shell::run() {
  daemon::Callbacks callbacks;
  callbacks.on_reload = [this](const daemon::Trust& trust) {
    engine_->set_now(io::Loop::now());
    engine_->reload(trust.credentials, io::Loop::now());
    pump_.pump();
  };
  callbacks.on_drain = [this](std::function<void()> done) { drain(std::move(done)); };
  callbacks.status = [this] {
    return status_report(*engine_, {forwards_, socks_.get(), auto_forward_.get()}, io::Loop::now());
  };
  callbacks.metrics = [this](io::MetricsWriter& out) { write_metrics(out, *engine_, pump_); };
  callbacks.ready = [this] { return readiness(); };
  frame_.route_async("GET", "/v1/ping",
                     [this](const io::HttpRequest& request, const io::HttpReply& reply) {
                       pings_.ask(request, reply);
                     });
  frame_.route_async("GET", "/v1/quality",
                     [this](const io::HttpRequest& request, const io::HttpReply& reply) {
                       quality_.ask(request, reply);
                     });
  frame_.route_async("GET", "/v1/prove/statements",
                     [this](const io::HttpRequest& request, const io::HttpReply& reply) {
                       proofs_.statements(request, reply);
                     });
  frame_.route_async("POST", "/v1/prove/suspend",
                     [this](const io::HttpRequest& request, const io::HttpReply& reply) {
                       proofs_.suspend(request, reply);
                     });
  refresh_wall();
  pump_.pump();
  return frame_.run(std::move(callbacks));
}

daemon::Readiness Shell::readiness() const {
  if (engine_->node().any_uplink_up()) return {true, {}};
  return {false, "not connected: " + uplink_troubles(engine_->node())};
}

void Shell::refresh_wall() {
  engine_->set_wall(bridge::NodeDriver::wall());
  wall_timer_.set(io::Loop::now() + wall_interval);
}

// --- the end

void Shell::drain(std::function<void()> done) {
  drained_ = std::move(done);
  forwards_.clear();
  socks_.reset();
  auto_forward_.reset();
  const base::Time now = io::Loop::now();
  engine_->set_now(now);
  engine_->node().close("shutting down", now);
  drain_deadline_ = now + drain_limit;
  drain_further();
}

void Shell::drain_further() {
  sent_before_ = sent_;
  pump_.pump();
  const base::Time now = io::Loop::now();
  if (sent_ == sent_before_ || now >= drain_deadline_) return drained_();
  drain_timer_.set(now + drain_step);
}

// --- io::PacketPump::Engine

void Shell::receive(const base::Incoming& packet, base::Time now) {
  engine_->set_now(now);
  engine_->node().receive(packet, now);
}

void Shell::expire(base::Time now) {
  engine_->set_now(now);
  engine_->node().expire(now);
  engine_->expire(now);
}

base::Time Shell::next_deadline() const {
  return std::min(engine_->node().next_deadline(), engine_->next_deadline());
}

base::Outgoing Shell::transmit(base::MutableBytes buffer, base::Time now) {
  engine_->set_now(now);
  const base::Outgoing out = engine_->node().transmit(buffer, now);
  if (out.size > 0) ++sent_;
  return out;
}

void Shell::after_round(base::Time now) {
  for (const policy::AuditRecord& record : engine_->take_audit()) frame_.audit(record);
  for (const node::Notice& notice : engine_->take_notices()) bridge::log_notice(notice);
  driver_.resolve_names();
  // With no uplink up the catalogue is empty, but nothing has been withdrawn.
  const bool changed = flows_.take_services_changed() && engine_->node().any_uplink_up();
  if (changed && auto_forward_) auto_forward_->update(engine_->catalog().services(), now);
}

}  // namespace ztna::agent
