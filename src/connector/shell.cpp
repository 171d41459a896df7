#include "connector/shell.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "bridge/node_report.hpp"
#include "io/system_random.hpp"
#include "logging/logging.hpp"

namespace ztna::connector {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration farewell = 150ms;  // for the last packets to leave
constexpr base::Duration wall_interval = 60s;

io::SystemRandom& random() {
  static io::SystemRandom source;
  return source;
}

// Descriptors that are no flow's: sockets, logs, both doors with their clients, name look-ups.
constexpr std::size_t other_descriptors = 192;
// What one Agent may hold of all flows: no Agent can shut the others out.
constexpr std::size_t agents_share = 4;

// A flow needs a descriptor, so the limit on flows is to be reached before the one on descriptors:
// a refusal says "too many flows", where running out would look like a backend that is down.
std::size_t flows_that_fit(std::size_t wanted, std::size_t descriptors) {
  const std::size_t fit = descriptors - std::min(descriptors / 2, other_descriptors);
  if (wanted <= fit) return wanted;
  logging::warn("--max-flows does not fit: each flow needs a descriptor",
                {{"max_flows", wanted}, {"descriptors", descriptors}, {"used", fit}});
  return fit;
}

EngineConfig engine_config(const daemon::Frame& frame, const config::ConnectorOptions& options,
                           const std::string& version) {
  EngineConfig config;
  config.node.intermediates = options.intermediates;
  config.node.web_pki = true;
  config.node.credentials = frame.trust().credentials;
  config.node.incarnation = base::IncarnationId::make(random());
  config.node.random = &random();
  config.node.version = version;
  config.node.direct_paths = !options.no_p2p;
  config.node.advertised = options.p2p_advertise;
  config.policy = frame.trust().policy;
  config.max_flows = flows_that_fit(options.max_flows, frame.descriptor_limit());
  config.max_flows_per_agent = std::max<std::size_t>(1, config.max_flows / agents_share);
  for (const config::Service& service : options.services) {
    config.services.push_back(
        {service.name, service.transport == config::Transport::tcp ? Protocol::tcp : Protocol::udp,
         service.backend});
  }
  return config;
}

FlowEnd to_flow_end(io::ConnectError error) {
  switch (error) {
    case io::ConnectError::refused: return FlowEnd::backend_refused;
    case io::ConnectError::timed_out: return FlowEnd::backend_timeout;
    default: return FlowEnd::backend_unreachable;
  }
}

}  // namespace

Shell::Shell(daemon::Frame& frame, const config::ConnectorOptions& options,
             const std::string& version)
    : frame_(frame),
      options_(options),
      engine_(engine_config(frame, options, version), *this, bridge::NodeDriver::wall()),
      pump_(frame.loop(), *this),
      driver_(frame.loop(), engine_.node(), pump_),
      wall_timer_(frame.loop(), [this] { refresh_wall(); }),
      drain_timer_(frame.loop(), [this] { drained_(); }) {}

Shell::~Shell() = default;

base::Result<std::unique_ptr<Shell>> Shell::create(daemon::Frame& frame,
                                                   const config::ConnectorOptions& options,
                                                   const std::string& version) {
  std::unique_ptr<Shell> shell(new Shell(frame, options, version));
  const auto bound =
      shell->driver_.bind(options.p2p_listen_address, options.p2p_listen_port, "--p2p-listen-port");
  if (!bound) return tl::unexpected(bound.error());
  for (const config::Service& service : options.services) {
    logging::info("Offering", {{"service", service.name},
                               {"backend", service.backend.to_string()},
                               {"protocol", config::to_string(service.transport)}});
    if (service.health != config::Service::Health::tcp) continue;
    shell->health_.push_back(std::make_unique<HealthCheck>(
        frame.loop(), service.backend, [raw = shell.get(), name = service.name](bool healthy) {
          raw->engine_.set_health(name, healthy);
          raw->pump_.poke();
        }));
  }
  return shell;
}

int Shell::run() {
  daemon::Callbacks callbacks;
  callbacks.on_reload = [this](const daemon::Trust& trust) {
    engine_.reload(trust.credentials, trust.policy, io::Loop::now());
    pump_.pump();
  };
  callbacks.on_drain = [this](std::function<void()> done) { drain(std::move(done)); };
  callbacks.status = [this] { return status(); };
  callbacks.metrics = [this](io::MetricsWriter& out) { metrics(out); };
  callbacks.ready = [this] { return ready(); };
  refresh_wall();
  pump_.pump();
  return frame_.run(std::move(callbacks));
}

void Shell::refresh_wall() {
  engine_.set_wall(bridge::NodeDriver::wall());
  wall_timer_.set(io::Loop::now() + wall_interval);
}

void Shell::drain(std::function<void()> done) {
  drained_ = std::move(done);
  engine_.node().close("the Connector is shutting down", io::Loop::now());
  pump_.pump();
  drain_timer_.set(io::Loop::now() + farewell);
}

// --- io::PacketPump::Engine

void Shell::receive(const base::Incoming& packet, base::Time now) {
  engine_.set_now(now);
  engine_.node().receive(packet, now);
}

void Shell::expire(base::Time now) {
  engine_.set_now(now);
  engine_.node().expire(now);
}

base::Time Shell::next_deadline() const { return engine_.node().next_deadline(); }

base::Outgoing Shell::transmit(base::MutableBytes buffer, base::Time now) {
  engine_.set_now(now);
  return engine_.node().transmit(buffer, now);
}

void Shell::after_round(base::Time now) {
  for (const policy::AuditRecord& record : engine_.take_audit()) {
    frame_.audit(record);
    // An Agent may ask as often as it likes: the audit log has all of them.
    if (record.allowed && !*record.allowed) {
      logging::log(refusals_, now, logging::Level::warn, "Refused: flow",
                   {{"agent", record.agent}, {"service", record.service}, {"rule", record.rule}});
    }
  }
  for (const node::Notice& notice : engine_.take_notices()) bridge::log_notice(notice);
  driver_.resolve_names();
}

// --- flows: what the Agent does

void Shell::on_flow_request(FlowId id, const ServiceConfig& service) {
  bridge::FlowPort& port = *this;
  if (service.protocol == Protocol::udp) {
    UdpBackend::Owner& owner = *this;
    udp_[id.value] = std::make_unique<UdpBackend>(frame_.loop(), service.backend,
                                                  options_.connect_timeout, port, owner, id);
    return;
  }
  bridge::TcpBridge::Owner& owner = *this;
  auto& bridge = tcp_[id.value];
  bridge = std::make_unique<bridge::TcpBridge>(port, owner, id);
  bridge->connect(frame_.loop(), service.backend, options_.connect_timeout);
}

void Shell::on_flow_data(FlowId id, base::BytesView data) {
  if (const auto found = tcp_.find(id.value); found != tcp_.end()) found->second->flow_data(data);
}
void Shell::on_flow_fin(FlowId id) {
  if (const auto found = tcp_.find(id.value); found != tcp_.end()) found->second->flow_fin();
}
void Shell::on_flow_writable(FlowId id) {
  if (const auto found = tcp_.find(id.value); found != tcp_.end()) found->second->flow_writable();
}
void Shell::on_flow_datagram(FlowId id, base::BytesView payload) {
  if (const auto found = udp_.find(id.value); found != udp_.end()) found->second->send(payload);
}

void Shell::on_flow_ended(FlowId id, FlowEnd end, const std::string& /*text*/) {
  if (const auto found = tcp_.find(id.value); found != tcp_.end()) found->second->flow_ended(end);
  bury_udp(id);
}

// --- flows: what the backend does

std::size_t Shell::flow_writable(FlowId id) { return engine_.flow_writable(id); }
std::size_t Shell::flow_write(FlowId id, base::BytesView data) {
  return engine_.flow_write(id, data);
}
void Shell::flow_finish(FlowId id) { engine_.flow_finish(id); }
void Shell::flow_reset(FlowId id) {
  engine_.set_now(io::Loop::now());  // for the audit record of its end, here and below
  engine_.flow_reset(id);
}
void Shell::flow_consume(FlowId id, std::size_t size) { engine_.flow_consume(id, size); }
void Shell::flow_datagram(FlowId id, base::BytesView payload) {
  engine_.flow_datagram(id, payload);
}

void Shell::on_bridge_connected(FlowId id) { engine_.accept_flow(id); }

void Shell::on_bridge_connect_failed(FlowId id, io::ConnectFailure failure) {
  engine_.set_now(io::Loop::now());
  engine_.reject_flow(id, to_flow_end(failure.error), io::to_string(failure.error));
}

void Shell::on_bridge_over(FlowId id) {
  const auto found = tcp_.find(id.value);
  if (found == tcp_.end()) return;
  std::unique_ptr<bridge::TcpBridge> bridge = std::move(found->second);
  tcp_.erase(found);
  graveyard_.push_back(std::move(bridge));
  post_burial();
}

void Shell::bury_udp(FlowId id) {
  const auto found = udp_.find(id.value);
  if (found == udp_.end()) return;
  udp_graveyard_.push_back(std::move(found->second));
  udp_.erase(found);
  post_burial();
}

void Shell::post_burial() {
  if (std::exchange(burial_posted_, true)) return;
  frame_.loop().post([this] {
    burial_posted_ = false;
    graveyard_.clear();
    udp_graveyard_.clear();
  });
}

void Shell::on_udp_settled(FlowId id) {
  engine_.accept_flow(id);
  pump_.poke();
}

void Shell::on_udp_failed(FlowId id, io::ConnectFailure failure) {
  engine_.set_now(io::Loop::now());
  engine_.reject_flow(id, to_flow_end(failure.error), io::to_string(failure.error));
  bury_udp(id);  // no on_flow_ended follows a rejection
  pump_.poke();
}

void Shell::on_udp_refused(const base::HostPort& backend) {
  logging::log(backend_refusals_, io::Loop::now(), logging::Level::warn, "Backend refuses",
               {{"backend", backend.to_string()}, {"protocol", "udp"}});
}

// --- what people ask

namespace {

// Why none of them can be reached through here; empty when one can, as far as backends are
// concerned.
std::string nothing_served(const std::vector<Engine::ServiceView>& services) {
  std::string why = "no service can be reached";
  for (const Engine::ServiceView& service : services) {
    if (service.healthy) return {};
    why += "; service " + service.config.name + ": its backend " +
           service.config.backend.to_string() + " is down";
  }
  return why;
}

std::string refusals(const Engine::ServiceView& service) {
  std::string text;
  for (const auto& [intermediate, why] : service.refused) {
    if (!text.empty()) text += "; ";
    text.append(why).append(" (").append(intermediate).append(")");
  }
  return text;
}

}  // namespace

daemon::Readiness Shell::ready() const {
  if (engine_.node().any_uplink_up()) {
    const std::string why = nothing_served(engine_.services());
    return {why.empty(), why};
  }
  std::string why = "not connected to an Intermediate";
  for (const auto& uplink : engine_.node().uplinks()) {
    if (!uplink->last_error().empty()) why += "; " + uplink->name() + ": " + uplink->last_error();
  }
  return {false, why};
}

nlohmann::json Shell::status() const {
  nlohmann::json report = bridge::node_report(engine_.node());
  nlohmann::json services = nlohmann::json::array();
  for (const connector::Engine::ServiceView& view : engine_.services()) {
    services.push_back({{"name", view.config.name},
                        {"protocol", session::to_string(view.config.protocol)},
                        {"backend", view.config.backend.to_string()},
                        {"healthy", view.healthy},
                        {"refused", refusals(view)},
                        {"flows", view.flows},
                        {"flows_total", view.flows_total}});
  }
  report["services"] = std::move(services);
  nlohmann::json listen = nlohmann::json::array();
  for (base::SocketId id = 0; id < pump_.socket_count(); ++id) {
    listen.push_back(pump_.local_address(id).to_string());
  }
  report["listen"] = std::move(listen);
  return report;
}

void Shell::metrics(io::MetricsWriter& out) const {
  using io::MetricType;
  bridge::node_metrics(out, engine_.node());
  const connector::Engine::Counters& c = engine_.counters();
  out.family("ztna_flows_total", MetricType::counter, "Flows by what became of them.");
  out.sample(c.flows_accepted, {{"result", "accepted"}});
  out.sample(c.flows_denied, {{"result", "denied"}});
  out.sample(c.flows_failed, {{"result", "failed"}});
  out.family("ztna_flows_active", MetricType::gauge, "Flows that are open.");
  out.sample(engine_.flow_count());
  out.family("ztna_backend_connections", MetricType::gauge, "Sockets towards backends.");
  out.sample(tcp_.size(), {{"protocol", "tcp"}});
  out.sample(udp_.size(), {{"protocol", "udp"}});
  out.family("ztna_flow_bytes_total", MetricType::counter, "Octets of users' data.");
  out.sample(c.bytes_to_backend, {{"direction", "to_service"}});
  out.sample(c.bytes_from_backend, {{"direction", "to_agent"}});
  out.family("ztna_service_healthy", MetricType::gauge, "1 while the backend answers.");
  for (const connector::Engine::ServiceView& view : engine_.services()) {
    out.sample(view.healthy ? 1 : 0, {{"service", view.config.name}});
  }
  pump_.metrics(out);
}

}  // namespace ztna::connector
