// --socks ADDR: a SOCKS5 server for local programs that reaches services, and nothing else.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>

#include "agent/shell_socks_client.hpp"
#include "base/result.hpp"
#include "io/tcp.hpp"
#include "logging/logging.hpp"

namespace ztna::agent {

class SocksServer final : public SocksClient::Owner {
 public:
  // Listens from now on. Errors name the address, not the flag.
  [[nodiscard]] static base::Result<std::unique_ptr<SocksServer>> create(
      const DoorContext& context, DoorId door, const base::Address& listen);

  [[nodiscard]] const base::Address& local_address() const { return listener_->local_address(); }

 private:
  SocksServer(const DoorContext& context, DoorId door);

  void accept(io::TcpStream stream, const base::Address& peer);
  void on_socks_client_over(SocksClient& client) override;
  void on_socks_refused(const wire::socks5::Destination& wanted) override;

  DoorContext context_;
  DoorId door_;
  std::optional<io::TcpListener> listener_;
  logging::Throttle refusals_, overload_;
  Graveyard graveyard_;
  std::unordered_map<const SocksClient*, std::shared_ptr<SocksClient>> clients_;
};

}  // namespace ztna::agent
