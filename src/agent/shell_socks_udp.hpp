// The relay of one UDP ASSOCIATE (RFC 1928 §7): takes datagrams from its own client only, and only
// for services. Fragments are dropped, as the RFC allows.
#pragma once

#include <memory>
#include <optional>

#include "agent/shell_udp_flows.hpp"
#include "base/address.hpp"
#include "base/result.hpp"
#include "io/udp_socket.hpp"
#include "wire/socks5.hpp"

namespace ztna::agent {

class SocksUdp final : private io::UdpSocket::Handler {
 public:
  // `local`: the control connection's own address, the client reaches that. `client`: whom it
  // serves; port 0: the first one that this host sends from.
  [[nodiscard]] static base::Result<std::unique_ptr<SocksUdp>> create(io::Loop& loop, Flows& flows,
                                                                      const base::Address& local,
                                                                      const base::Address& client,
                                                                      base::Duration idle);

  [[nodiscard]] const base::Address& local_address() const { return socket_->local_address(); }

 private:
  // What the client named: answers carry the same, so two spellings are two associations.
  struct Target {
    wire::socks5::Destination destination;
    friend bool operator==(const Target& a, const Target& b) {
      return a.destination.host == b.destination.host && a.destination.port == b.destination.port;
    }
  };
  struct TargetHash {
    std::size_t operator()(const Target& target) const noexcept {
      return std::hash<std::string>()(target.destination.host) * 31 + target.destination.port;
    }
  };

  SocksUdp(io::Loop& loop, Flows& flows, const base::Address& client, base::Duration idle);

  void on_datagram(const io::Datagram& datagram) override;
  void on_drained() override { flows_.pump(); }
  void reply(const Target& target, base::BytesView payload);

  Flows& flows_;
  base::Address client_;
  std::optional<io::UdpSocket> socket_;
  base::Bytes scratch_;
  UdpFlows<Target, TargetHash> associations_;
};

}  // namespace ztna::agent
