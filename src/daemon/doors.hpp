// The two doors for operators: health (TCP, read only) and control (a Unix socket).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/address.hpp"
#include "base/result.hpp"
#include "config/options.hpp"
#include "daemon/frame.hpp"
#include "io/http_server.hpp"
#include "io/loop.hpp"

namespace ztna::daemon {

// What the doors ask of the daemon behind them.
struct DoorCallbacks {
  std::function<Readiness()> ready;
  std::function<void(io::MetricsWriter&)> metrics;
  std::function<std::string()> status;  // a JSON document
};

class Doors {
 public:
  Doors(io::Loop& loop, DoorCallbacks callbacks);

  // Opens what `common` asks for. An error names the flag.
  [[nodiscard]] base::Status open(const config::CommonOptions& common);

  [[nodiscard]] std::optional<base::Address> health_address() const { return health_address_; }
  [[nodiscard]] io::HttpServer* control() { return control_.get(); }  // null when off

 private:
  void add_health_routes();

  io::Loop& loop_;
  DoorCallbacks callbacks_;
  std::unique_ptr<io::HttpServer> health_;
  std::unique_ptr<io::HttpServer> control_;
  std::optional<base::Address> health_address_;
};

}  // namespace ztna::daemon
