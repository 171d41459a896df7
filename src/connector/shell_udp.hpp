// The backend's side of one UDP flow. Payloads pass from the start; whether the backend is there is
// known a little later, by what its host says of the first of them.
//   resolving → unsure → settled    the name has an address; an answer came, or settle_time passed
//   resolving, unsure → failed      no address; "port unreachable" before any answer
#pragma once

#include <vector>

#include "bridge/flow_port.hpp"
#include "io/udp_peer.hpp"

namespace ztna::connector {

class UdpBackend final : private io::UdpPeer::Handler {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void on_udp_settled(session::FlowId id) = 0;
    virtual void on_udp_failed(session::FlowId id, io::ConnectFailure failure) = 0;
    // Settled before; the flow goes on, for the backend may come back.
    virtual void on_udp_refused(const base::HostPort& backend) = 0;
  };

  UdpBackend(io::Loop& loop, const base::HostPort& to, base::Duration timeout,
             bridge::FlowPort& port, Owner& owner, session::FlowId id)
      : port_(port),
        owner_(owner),
        id_(id),
        backend_(to),
        settle_(loop, [this] { settle(); }),
        peer_(io::UdpPeer::open(loop, to, timeout, *this)) {}

  // Towards the backend. What comes before the name is resolved waits, a little of it.
  void send(base::BytesView payload);

 private:
  static constexpr std::size_t max_early = 32;
  // An ICMP message of a host in the same network takes far less.
  static constexpr base::Duration settle_time = std::chrono::milliseconds(250);

  void on_connected(const base::Address& remote) override;
  void on_datagram(base::BytesView payload) override;
  void on_drained() override { port_.pump(); }
  void on_failed(io::ConnectFailure failure) override { owner_.on_udp_failed(id_, failure); }
  void on_refused() override;
  void settle();

  bridge::FlowPort& port_;
  Owner& owner_;
  session::FlowId id_;
  base::HostPort backend_;
  bool connected_ = false, settled_ = false;
  io::Timer settle_;
  std::vector<base::Bytes> early_;
  io::UdpPeer peer_;
};

}  // namespace ztna::connector
