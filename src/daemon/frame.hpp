// What the three daemons have in common around their engines: the loop, certificates and policy
// with their reload, the audit log, the two doors for operators, signals, and an orderly end.
//
//   auto frame = daemon::Frame::create(options);      // or one line on standard error and exit 2
//   Shell shell(frame->loop(), frame->trust(), …);    // binds its own sockets; may fail as well
//   frame->route("POST", "/v1/relay", …);
//   return frame->run({.on_reload = …, .on_drain = …, .status = …, .metrics = …, .ready = …});
//
// Signals: SIGTERM and SIGINT drain and end with 0, a second one ends at once with 1; SIGHUP
// reloads certificates and policy and reopens the audit log. Works as process 1.
//
// Threading: all on the thread that calls run(). One Frame a process, since signals are.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "base/time.hpp"
#include "config/config.hpp"
#include "daemon/trust.hpp"
#include "io/http_server.hpp"
#include "io/loop.hpp"
#include "io/metrics.hpp"
#include "policy/audit.hpp"

namespace ztna::daemon {

struct FrameOptions {
  identity::Role role = identity::Role::agent;
  std::string version;  // as --version shows it
  config::CommonOptions common;
  std::string policy_file;  // empty: none
  // A drain that is not done by then is cut off; the exit code stays 0.
  base::Duration drain_limit = std::chrono::seconds(10);
};

struct Readiness {
  bool ready = false;
  std::string reason;  // why not; shown to operators
};

// Any may be empty. None may throw or block.
struct Callbacks {
  // New files were read and are good.
  std::function<void(const Trust&)> on_reload;
  // Tell peers, finish, then call `done`, from the loop's thread, at once or later.
  std::function<void(std::function<void()> done)> on_drain;
  // Members to add to /v1/status: a JSON object.
  std::function<nlohmann::json()> status;
  // Further families for /metrics.
  std::function<void(io::MetricsWriter&)> metrics;
  // Connected and able to serve? Asked for each /readyz; empty: ready as soon as run() runs.
  std::function<Readiness()> ready;
};

class Frame {
 public:
  // Reads certificates and policy, opens the audit log and both doors. On an error nothing is left
  // behind, and the error names the file or flag. Ignores SIGPIPE from here on.
  [[nodiscard]] static base::Result<std::unique_ptr<Frame>> create(FrameOptions options);
  ~Frame();
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  [[nodiscard]] io::Loop& loop();
  [[nodiscard]] const Trust& trust() const;
  // Descriptors that this process may have: the soft limit was raised to the hard one.
  [[nodiscard]] std::size_t descriptor_limit() const;
  // Where /healthz listens (with the real port); nothing when it is off.
  [[nodiscard]] std::optional<base::Address> health_address() const;

  // Further routes of the control socket; does nothing when it is off. Before run().
  void route(const std::string& method, const std::string& path, io::HttpServer::Handler handler);
  void route_async(const std::string& method, const std::string& path,
                   io::HttpServer::AsyncHandler handler);

  // Stamps nothing: `record.time` comes from the engine. Does nothing without --audit-log.
  void audit(const policy::AuditRecord& record);

  // Until SIGTERM or stop(). The process's exit code.
  [[nodiscard]] int run(Callbacks callbacks);
  // What SIGTERM and SIGHUP do, for callers that are no signal.
  void stop();
  void reload();

 private:
  struct Impl;
  explicit Frame(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// One line on standard error, "app-connector: --service: …", and the exit code 2.
[[nodiscard]] int fail_start(const std::string& program, const base::Error& error);
// Writes to standard output; the exit code: 0, or 1 when that fails.
[[nodiscard]] int print_text(const std::string& text);

// The beginning of every main(): an exit code when the options are wrong or asked only for text;
// nothing when the daemon is to run.
template <class Options>
[[nodiscard]] std::optional<int> settle(const std::string& program,
                                        const base::Result<config::Parsed<Options>>& parsed) {
  if (!parsed) return fail_start(program, parsed.error());
  if (parsed->print) return print_text(*parsed->print);
  return std::nullopt;
}

}  // namespace ztna::daemon
