#include "daemon/doors.hpp"

#include <sys/stat.h>

namespace ztna::daemon {
namespace {

// Only the last folder is made: a mistyped path must not grow a tree.
void make_folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0) return;
  // Whether it exists now shows when the socket is bound.
  static_cast<void>(mkdir(path.substr(0, slash).c_str(), 0700));
}

base::Error at_flag(const char* flag, const base::Error& error) {
  return {error.code, error.message(), flag, {}};
}

}  // namespace

Doors::Doors(io::Loop& loop, DoorCallbacks callbacks)
    : loop_(loop), callbacks_(std::move(callbacks)) {}

void Doors::add_health_routes() {
  health_->route("GET", "/healthz", [](const io::HttpRequest&) {
    return io::HttpResponse{.status = 200, .body = "alive\n"};
  });
  health_->route("GET", "/readyz", [this](const io::HttpRequest&) {
    const Readiness readiness = callbacks_.ready();
    if (readiness.ready) return io::HttpResponse{.status = 200, .body = "ready\n"};
    return io::HttpResponse{.status = 503, .body = "not ready: " + readiness.reason + "\n"};
  });
  health_->route("GET", "/metrics", [this](const io::HttpRequest&) {
    io::MetricsWriter out;
    callbacks_.metrics(out);
    return io::HttpResponse{.status = 200,
                            .content_type = std::string(io::MetricsWriter::content_type),
                            .body = out.text()};
  });
}

base::Status Doors::open(const config::CommonOptions& common) {
  if (common.health) {
    health_ = std::make_unique<io::HttpServer>(loop_, io::HttpServer::Options{});
    add_health_routes();
    const auto bound = health_->listen(*common.health);
    if (!bound) return tl::unexpected(at_flag("--health", bound.error()));
    health_address_ = *bound;
  }
  if (!common.control.empty()) {
    control_ = std::make_unique<io::HttpServer>(loop_, io::HttpServer::Options{});
    control_->route("GET", "/v1/status", [this](const io::HttpRequest&) {
      return io::HttpResponse{
          .status = 200, .content_type = "application/json", .body = callbacks_.status()};
    });
    make_folder_of(common.control);
    if (const auto status = control_->listen_unix(common.control); !status) {
      return tl::unexpected(at_flag("--control", status.error()));
    }
  }
  return {};
}

}  // namespace ztna::daemon
