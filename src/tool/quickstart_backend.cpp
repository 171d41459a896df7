#include "tool/quickstart_backend.hpp"

#include <optional>

#include "io/loop.hpp"
#include "io/tcp.hpp"

namespace ztna::tool {
namespace {

constexpr base::Duration limit = std::chrono::seconds(3);

class Probe : public io::TcpStream::Handler {
 public:
  explicit Probe(const base::HostPort& to)
      : stream_(io::TcpStream::connect(loop_, to, limit, *this)) {}

  std::optional<io::ConnectFailure> run() {
    loop_.run();
    return failure_;
  }

  void on_connected() override { loop_.stop(); }
  void on_connect_failed(io::ConnectFailure failure) override {
    failure_ = failure;
    loop_.stop();
  }
  void on_data(base::BytesView) override {}
  void on_eof() override {}
  void on_closed(io::TcpStream::CloseReason) override { loop_.stop(); }

 private:
  io::Loop loop_;
  std::optional<io::ConnectFailure> failure_;
  io::TcpStream stream_;
};

}  // namespace

base::Status check_backend(const config::Service& service) {
  if (service.transport != config::Transport::tcp) return {};
  const auto failure = Probe(service.backend).run();
  if (!failure) return {};
  const bool refused = failure->error == io::ConnectError::refused;
  return base::fail(
      base::ErrorCode::unavailable,
      refused ? "nobody is listening there; start your service first" : "cannot be reached",
      "--expose " + service.name + "=tcp://" + service.backend.to_string(),
      std::string(io::to_string(failure->error)));
}

}  // namespace ztna::tool
