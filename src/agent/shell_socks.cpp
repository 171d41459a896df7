#include "agent/shell_socks.hpp"

#include "io/loop.hpp"

namespace ztna::agent {
namespace {

using namespace std::chrono_literals;

// Clients that have no flow yet, or a UDP association. Each holds a descriptor or two.
constexpr std::size_t max_clients = 512;
constexpr base::Duration log_interval = 1s;

}  // namespace

SocksServer::SocksServer(const DoorContext& context, DoorId door)
    : context_(context),
      door_(door),
      refusals_(log_interval),
      overload_(log_interval),
      graveyard_(context.loop) {}

base::Result<std::unique_ptr<SocksServer>> SocksServer::create(const DoorContext& context,
                                                               DoorId door,
                                                               const base::Address& listen) {
  std::unique_ptr<SocksServer> server(new SocksServer(context, door));
  auto listener =
      io::TcpListener::bind(context.loop, listen, {},
                            [raw = server.get()](io::TcpStream stream, const base::Address& peer) {
                              raw->accept(std::move(stream), peer);
                            });
  if (!listener) return tl::unexpected(listener.error());
  server->listener_.emplace(std::move(*listener));
  return server;
}

void SocksServer::accept(io::TcpStream stream, const base::Address& peer) {
  if (clients_.size() >= max_clients) {
    stream.abort();
    logging::log(overload_, io::Loop::now(), logging::Level::warn, "Too many SOCKS clients");
    return;
  }
  auto client = std::make_shared<SocksClient>(context_, door_, *this);
  clients_[client.get()] = client;
  client->start(std::move(stream), peer);
}

void SocksServer::on_socks_client_over(SocksClient& client) {
  const auto found = clients_.find(&client);
  if (found == clients_.end()) return;
  graveyard_.bury(std::move(found->second));
  clients_.erase(found);
}

void SocksServer::on_socks_refused(const wire::socks5::Destination& wanted) {
  logging::log(refusals_, io::Loop::now(), logging::Level::info,
               "SOCKS request refused: not a service, expected NAME or NAME.ztna",
               {{"host", wanted.host}, {"port", wanted.port}});
}

}  // namespace ztna::agent
