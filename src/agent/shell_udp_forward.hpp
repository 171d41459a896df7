// --forward udp://ADDR:PORT=NAME: a UDP socket whose datagrams go to one service, one flow for each
// local source address. Answers leave from the address that the program sent to.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/shell_udp_flows.hpp"
#include "base/address.hpp"
#include "base/result.hpp"
#include "io/udp_socket.hpp"

namespace ztna::agent {

class UdpForward final : private io::UdpSocket::Handler {
 public:
  [[nodiscard]] static base::Result<std::unique_ptr<UdpForward>> create(io::Loop& loop,
                                                                        Flows& flows,
                                                                        const base::Address& listen,
                                                                        const std::string& service,
                                                                        base::Duration idle);

  [[nodiscard]] const base::Address& local_address() const { return socket_->local_address(); }
  [[nodiscard]] std::size_t associations() const { return associations_.size(); }

 private:
  struct Pair {
    base::Address program, local;
    friend bool operator==(const Pair&, const Pair&) = default;
  };
  struct PairHash {
    std::size_t operator()(const Pair& pair) const noexcept {
      const std::hash<base::Address> hash;
      return hash(pair.program) * 31 + hash(pair.local);
    }
  };

  UdpForward(io::Loop& loop, Flows& flows, std::string service, base::Duration idle);

  void on_datagram(const io::Datagram& datagram) override;
  void on_drained() override { flows_.pump(); }
  void reply(const Pair& pair, base::BytesView payload);

  Flows& flows_;
  std::string service_;
  std::optional<io::UdpSocket> socket_;
  UdpFlows<Pair, PairHash> associations_;
};

}  // namespace ztna::agent
