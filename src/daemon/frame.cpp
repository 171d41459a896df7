#include "daemon/frame.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/rfc3339.hpp"
#include "daemon/audit_log.hpp"
#include "daemon/doors.hpp"
#include "io/descriptors.hpp"
#include "io/sd_notify.hpp"
#include "logging/format.hpp"
#include "logging/logging.hpp"

namespace ztna::daemon {
namespace {

constexpr base::Duration expiry_check_interval = std::chrono::hours(24);

enum class Phase : std::uint8_t { starting, running, draining };

const char* to_string(Phase phase) {
  switch (phase) {
    case Phase::starting: return "starting";
    case Phase::running: return "running";
    case Phase::draining: return "draining";
  }
  return "unknown";
}

}  // namespace

struct Frame::Impl {
  explicit Impl(FrameOptions given)
      : options(std::move(given)),
        doors(loop, {.ready = [this] { return readiness(); },
                     .metrics = [this](io::MetricsWriter& out) { write_metrics(out); },
                     .status = [this] { return status_text(); }}),
        expiry_timer(loop, [this] { check_expiry(); }),
        watchdog_timer(loop, [this] { feed_watchdog(); }),
        drain_timer(loop, [this] { cut_drain(); }) {}

  base::Status open();
  void take(Trust loaded);
  base::Status handle_signals();
  void reload();
  void stop();
  void end(int code);
  void cut_drain();
  void check_expiry();
  void feed_watchdog();
  [[nodiscard]] Readiness readiness() const;
  void write_metrics(io::MetricsWriter& out) const;
  [[nodiscard]] std::string status_text() const;

  FrameOptions options;
  std::size_t descriptor_limit = io::raise_descriptor_limit();
  io::Loop loop;
  Trust trust;
  AuditLog audit_log;
  Callbacks callbacks;
  Doors doors;
  io::Timer expiry_timer;
  io::Timer watchdog_timer;
  io::Timer drain_timer;
  base::Time started = io::Loop::now();
  Phase phase = Phase::starting;
  int exit_code = 0;
  std::uint64_t reloads = 0;
  std::uint64_t failed_reloads = 0;
};

base::Status Frame::Impl::open() {
  auto loaded =
      load_trust(options.common.identity, options.policy_file, options.role, io::Loop::wall_now());
  if (!loaded) return tl::unexpected(loaded.error());
  take(std::move(*loaded));
  // The doors before the audit log: that is the one thing which leaves a file behind.
  if (auto status = doors.open(options.common); !status) return status;
  if (const auto status = audit_log.open(options.common.audit_log); !status) {
    return base::fail(status.error().code, status.error().message(), "--audit-log");
  }
  return handle_signals();
}

void Frame::Impl::take(Trust loaded) {
  trust = std::move(loaded);
  for (const std::string& warning : trust.warnings) logging::warn(warning);
}

base::Status Frame::Impl::handle_signals() {
  // A peer that closes, or a closed standard error, is an error code and not the end of us.
  std::signal(SIGPIPE, SIG_IGN);
  for (const int signal : {SIGTERM, SIGINT}) {
    if (auto status = loop.on_signal(signal, [this] { stop(); }); !status) return status;
  }
  return loop.on_signal(SIGHUP, [this] { reload(); });
}

void Frame::Impl::reload() {
  if (phase != Phase::running) return;
  io::sd_reloading();
  if (const auto status = audit_log.reopen(); !status) {
    logging::error("Audit log not reopened, the old file stays in use",
                   {{"error", status.error().message()}});
  }
  auto loaded =
      load_trust(options.common.identity, options.policy_file, options.role, io::Loop::wall_now());
  if (loaded) {
    ++reloads;
    take(std::move(*loaded));
    logging::info("Certificates and policy reloaded",
                  {{"name", trust.credentials->self().uri()},
                   {"not_after", base::rfc3339(trust.credentials->self().not_after)}});
    if (callbacks.on_reload) callbacks.on_reload(trust);
    check_expiry();
  } else {
    ++failed_reloads;
    logging::error("Reload failed, everything stays as it was",
                   {{"error", loaded.error().message()}});
  }
  io::sd_ready();
}

void Frame::Impl::stop() {
  if (phase == Phase::draining) {
    logging::warn("Stopped while draining");
    return end(1);
  }
  phase = Phase::draining;
  io::sd_stopping();
  logging::info("Draining");
  if (!callbacks.on_drain) return end(0);
  drain_timer.set(io::Loop::now() + options.drain_limit);
  // Through the loop: `done` may be called from inside on_drain, or long after.
  callbacks.on_drain([this] { loop.post([this] { end(0); }); });
}

void Frame::Impl::cut_drain() {
  logging::warn("Drain cut off", {{"after_ms", base::to_ms(options.drain_limit)}});
  end(0);
}

void Frame::Impl::end(int code) {
  exit_code = code;
  loop.stop();
}

void Frame::Impl::check_expiry() {
  expiry_timer.set(io::Loop::now() + expiry_check_interval);
  const base::WallTime not_after = trust.credentials->self().not_after;
  const std::int64_t days = days_left(not_after, io::Loop::wall_now());
  if (days > expiry_warning_days) return;
  if (days < 0) {
    logging::error("Certificate has expired", {{"file", options.common.identity.certificate},
                                               {"not_after", base::rfc3339(not_after)}});
  } else {
    logging::warn("Certificate expires soon", {{"file", options.common.identity.certificate},
                                               {"not_after", base::rfc3339(not_after)},
                                               {"days_left", days}});
  }
}

void Frame::Impl::feed_watchdog() {
  const auto interval = io::sd_watchdog_interval();
  if (!interval) return;
  io::sd_watchdog();
  watchdog_timer.set(io::Loop::now() + *interval);
}

Readiness Frame::Impl::readiness() const {
  if (phase != Phase::running) return {false, to_string(phase)};
  return callbacks.ready ? callbacks.ready() : Readiness{true, {}};
}

void Frame::Impl::write_metrics(io::MetricsWriter& out) const {
  using io::MetricType;
  const identity::Principal& self = trust.credentials->self();
  out.family("ztna_build_info", MetricType::gauge, "Version and role of this process; always 1.");
  out.sample(1, {{"version", options.version}, {"role", to_string(options.role)}});
  out.family("ztna_ready", MetricType::gauge, "1 when /readyz says so, else 0.");
  out.sample(readiness().ready ? 1 : 0);
  out.family("ztna_certificate_not_after_seconds", MetricType::gauge,
             "When the own certificate expires, as a Unix time.");
  out.sample_real(static_cast<double>(self.not_after.seconds));
  out.family("ztna_reloads_total", MetricType::counter, "Reloads of certificates and policy.");
  out.sample(reloads, {{"result", "ok"}});
  out.sample(failed_reloads, {{"result", "failed"}});
  if (!options.common.audit_log.empty()) {
    out.family("ztna_audit_lines_total", MetricType::counter, "Lines written to the audit log.");
    out.sample(audit_log.lines());
    out.family("ztna_audit_errors_total", MetricType::counter,
               "Lines that could not be written to the audit log.");
    out.sample(audit_log.errors());
  }
  if (callbacks.metrics) callbacks.metrics(out);
}

std::string Frame::Impl::status_text() const {
  const identity::Principal& self = trust.credentials->self();
  const Readiness now = readiness();
  nlohmann::ordered_json root;
  root["role"] = to_string(options.role);
  root["name"] = self.name;
  root["trust_domain"] = self.trust_domain;
  root["version"] = options.version;
  root["pid"] = getpid();
  root["uptime_seconds"] = (io::Loop::now() - started) / std::chrono::seconds(1);
  root["phase"] = to_string(phase);
  root["ready"] = now.ready;
  if (!now.ready) root["not_ready_reason"] = now.reason;
  // Absolute: who asks may be elsewhere.
  const auto place = [](const std::string& file) {
    std::error_code error;
    const auto absolute = std::filesystem::absolute(file, error);
    return error ? file : absolute.string();
  };
  root["certificate"]["file"] = place(options.common.identity.certificate);
  root["certificate"]["not_after"] = base::rfc3339(self.not_after);
  root["certificate"]["days_left"] = days_left(self.not_after, io::Loop::wall_now());
  if (!options.policy_file.empty()) root["policy"]["file"] = place(options.policy_file);
  if (doors.health_address()) root["health"] = doors.health_address()->to_string();
  if (callbacks.status) {
    const nlohmann::json more = callbacks.status();
    for (const auto& [key, value] : more.items()) root[key] = value;
  }
  using Json = nlohmann::ordered_json;
  return root.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Frame::Frame(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Frame::~Frame() = default;

base::Result<std::unique_ptr<Frame>> Frame::create(FrameOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  if (const auto status = impl->open(); !status) return tl::unexpected(status.error());
  return std::unique_ptr<Frame>(new Frame(std::move(impl)));
}

io::Loop& Frame::loop() { return impl_->loop; }
std::size_t Frame::descriptor_limit() const { return impl_->descriptor_limit; }
const Trust& Frame::trust() const { return impl_->trust; }
std::optional<base::Address> Frame::health_address() const { return impl_->doors.health_address(); }

void Frame::route(const std::string& method, const std::string& path,
                  io::HttpServer::Handler handler) {
  if (auto* control = impl_->doors.control()) control->route(method, path, std::move(handler));
}

void Frame::route_async(const std::string& method, const std::string& path,
                        io::HttpServer::AsyncHandler handler) {
  if (auto* control = impl_->doors.control()) {
    control->route_async(method, path, std::move(handler));
  }
}

void Frame::audit(const policy::AuditRecord& record) {
  impl_->audit_log.append(policy::to_json_line(record));
}

int Frame::run(Callbacks callbacks) {
  impl_->callbacks = std::move(callbacks);
  impl_->phase = Phase::running;
  impl_->check_expiry();
  impl_->feed_watchdog();
  // Up, though perhaps not yet connected: the service manager waits for this, and an Agent may
  // have no network for hours.
  io::sd_ready();
  impl_->loop.run();
  // The callbacks point into the caller's objects, which may go before this one does.
  impl_->callbacks = {};
  return impl_->exit_code;
}

void Frame::stop() { impl_->stop(); }
void Frame::reload() { impl_->reload(); }

int fail_start(const std::string& program, const base::Error& error) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), logging::escaped(error.message()).c_str());
  return 2;
}

int print_text(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return written && std::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace ztna::daemon
