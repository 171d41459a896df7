#include "intermediate/shell.hpp"

#include <nlohmann/json.hpp>

#include "intermediate/shell_report.hpp"
#include "io/interfaces.hpp"
#include "io/json_response.hpp"
#include "io/system_random.hpp"
#include "logging/logging.hpp"

namespace ztna::intermediate {
namespace {

using namespace std::chrono_literals;

// How long peers have to go elsewhere after SIGTERM, how often to look whether they have, and how
// long the farewells have to leave.
constexpr base::Duration drain_grace = 3s;
constexpr base::Duration drain_step = 50ms;
constexpr base::Duration farewell = 100ms;
constexpr base::Duration wall_interval = 60s;

io::SystemRandom& random() {
  static io::SystemRandom source;
  return source;
}

base::WallReference wall_reference() { return {io::Loop::wall_now(), io::Loop::now()}; }

// What STUN may answer from: a wildcard socket answers on every address of this machine.
void add_concrete(std::vector<ListenAddress>& listen, base::SocketId socket,
                  const base::Address& bound) {
  if (!bound.is_unspecified()) {
    listen.push_back({socket, bound});
    return;
  }
  for (const base::Address& address : io::interface_addresses()) {
    if (bound.is_v4() && !address.is_v4()) continue;
    listen.push_back({socket, address.with_port(bound.port())});
  }
}

}  // namespace

Shell::Shell(daemon::Frame& frame, config::IntermediateOptions options)
    : frame_(frame),
      options_(std::move(options)),
      pump_(frame.loop(), *this),
      started_(io::Loop::now()),
      wall_timer_(frame.loop(), [this] { refresh_wall(); }),
      drain_timer_(frame.loop(), [this] { drain_further(); }) {}

base::Result<std::unique_ptr<Shell>> Shell::create(daemon::Frame& frame,
                                                   const config::IntermediateOptions& options,
                                                   const std::string& version) {
  std::unique_ptr<Shell> shell(new Shell(frame, options));
  const auto bound = shell->bind();
  if (!bound) return tl::unexpected(bound.error());
  EngineConfig config;
  config.credentials = frame.trust().credentials;
  config.policy = frame.trust().policy;
  config.random = &random();
  config.version = version;
  config.listen = shell->listen_;
  config.relay = options.relay;
  config.cid_layout.server_id = options.quic_lb_server_id;
  config.max_uplinks_per_identity = options.max_uplinks_per_identity;
  config.admission.max_uplinks = options.max_uplinks;
  config.admission.retry_threshold = options.retry_threshold;
  config.broker.max_sessions_per_agent = options.max_sessions_per_uplink;
  shell->engine_ = std::make_unique<intermediate::Engine>(std::move(config), wall_reference());
  shell->add_routes();
  return shell;
}

base::Status Shell::bind() {
  const auto add = [&](const base::Address& address, const char* flag) -> base::Status {
    auto id = pump_.add_socket(address, {});
    if (!id && address.is_unspecified() && !address.is_v4() &&
        id.error().code == base::ErrorCode::unavailable) {  // a kernel without IPv6
      id = pump_.add_socket(base::Address::v4({}, address.port()), {});
    }
    if (!id) {
      base::Error error = id.error();
      error.where = std::string(flag) + (error.where.empty() ? "" : ": " + error.where);
      return tl::unexpected(error);
    }
    add_concrete(listen_, *id, pump_.local_address(*id));
    return {};
  };
  for (const base::Address& address : options_.listen) {
    if (auto bound = add(address, "--listen"); !bound) return bound;
  }
  for (const base::Address& address : options_.alt_listen) {
    if (auto bound = add(address, "--alt-listen"); !bound) return bound;
  }
  // Only now: a start that fails says one line, what failed.
  for (base::SocketId id = 0; id < pump_.socket_count(); ++id) {
    const char* flag = id < options_.listen.size() ? "--listen" : "--alt-listen";
    logging::info("Listening", {{"address", pump_.local_address(id).to_string()}, {"for", flag}});
  }
  return {};
}

int Shell::run() {
  daemon::Callbacks callbacks;
  callbacks.on_reload = [this](const daemon::Trust& trust) {
    engine_->reload(trust.credentials, trust.policy, io::Loop::now());
    pump_.pump();
  };
  callbacks.on_drain = [this](std::function<void()> done) { drain(std::move(done)); };
  callbacks.status = [this] { return status_report(*engine_, pump_, io::Loop::now()); };
  callbacks.metrics = [this](io::MetricsWriter& out) { write_metrics(out, *engine_, pump_); };
  callbacks.ready = [] { return daemon::Readiness{true, {}}; };
  refresh_wall();
  pump_.pump();
  return frame_.run(std::move(callbacks));
}

void Shell::refresh_wall() {
  engine_->set_wall(wall_reference());
  wall_timer_.set(io::Loop::now() + wall_interval);
}

void Shell::drain(std::function<void()> done) {
  drained_ = std::move(done);
  const base::Time now = io::Loop::now();
  drain_deadline_ = now + drain_grace;
  engine_->drain(drain_grace, now);
  pump_.pump();
  drain_further();
}

void Shell::drain_further() {
  if (closing_) return drained_();
  const base::Time now = io::Loop::now();
  if (!engine_->idle() && now < drain_deadline_) {
    return drain_timer_.set(std::min(now + drain_step, drain_deadline_));
  }
  closing_ = true;
  engine_->close(now);
  pump_.pump();
  drain_timer_.set(now + farewell);
}

void Shell::add_routes() {
  const auto answer = [this] {
    return io::json_response(nlohmann::json{{"on", engine_->relay_on()}});
  };
  frame_.route("GET", "/v1/relay", [answer](const io::HttpRequest&) { return answer(); });
  frame_.route("POST", "/v1/relay", [this, answer](const io::HttpRequest& request) {
    const auto body = nlohmann::json::parse(request.body, nullptr, false);
    if (!body.is_object() || !body.contains("on") || !body["on"].is_boolean()) {
      return io::HttpResponse{400, "text/plain; charset=utf-8",
                              "expected {\"on\": true} or {\"on\": false}\n"};
    }
    engine_->set_relay(body["on"].get<bool>(), io::Loop::now());
    logging::info(engine_->relay_on() ? "Relay switched on" : "Relay switched off");
    pump_.poke();
    return answer();
  });
}

// --- PacketPump::Engine

void Shell::receive(const base::Incoming& packet, base::Time now) { engine_->receive(packet, now); }
void Shell::expire(base::Time now) { engine_->expire(now); }
base::Time Shell::next_deadline() const { return engine_->next_deadline(); }
base::Outgoing Shell::transmit(base::MutableBytes buffer, base::Time now) {
  return engine_->transmit(buffer, now);
}

void Shell::after_round(base::Time /*now*/) {
  for (const policy::AuditRecord& record : engine_->take_audit()) {
    frame_.audit(record);
    log_record(record);
  }
}

}  // namespace ztna::intermediate
