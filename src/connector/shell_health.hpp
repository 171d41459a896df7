// Is a backend there? A TCP connect, now and then.
#pragma once

#include <functional>
#include <memory>

#include "io/tcp.hpp"

namespace ztna::connector {

class HealthCheck final : private io::TcpStream::Handler {
 public:
  static constexpr base::Duration interval = std::chrono::seconds(5);
  static constexpr base::Duration retry = std::chrono::seconds(1);  // while it is down
  static constexpr base::Duration timeout = std::chrono::seconds(2);

  // Begins at once; `report` is called after each check that tells something.
  HealthCheck(io::Loop& loop, base::HostPort backend, std::function<void(bool healthy)> report);

 private:
  void check();
  void conclude(bool healthy);
  void on_connected() override { conclude(true); }
  void on_connect_failed(io::ConnectFailure failure) override;
  void on_data(base::BytesView /*data*/) override {}
  void on_eof() override {}
  void on_closed(io::TcpStream::CloseReason /*reason*/) override {}

  io::Loop& loop_;
  base::HostPort backend_;
  std::function<void(bool)> report_;
  io::TcpStream stream_;
  io::Timer timer_;
};

}  // namespace ztna::connector
