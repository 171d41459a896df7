#include "connector/shell_health.hpp"

namespace ztna::connector {

HealthCheck::HealthCheck(io::Loop& loop, base::HostPort backend, std::function<void(bool)> report)
    : loop_(loop),
      backend_(std::move(backend)),
      report_(std::move(report)),
      timer_(loop, [this] { check(); }) {
  check();
}

void HealthCheck::check() { stream_ = io::TcpStream::connect(loop_, backend_, timeout, *this); }

void HealthCheck::conclude(bool healthy) {
  stream_.close();
  timer_.set(io::Loop::now() + (healthy ? interval : retry));
  report_(healthy);
}

void HealthCheck::on_connect_failed(io::ConnectFailure failure) {
  if (failure.error != io::ConnectError::exhausted) return conclude(false);
  // We lack descriptors or ports, which says nothing about the backend: the last verdict holds.
  stream_.close();
  timer_.set(io::Loop::now() + retry);
}

}  // namespace ztna::connector
