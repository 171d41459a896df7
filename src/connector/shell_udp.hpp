// The backend's side of one UDP flow.
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
    virtual void on_udp_connected(session::FlowId id) = 0;
    virtual void on_udp_failed(session::FlowId id, io::ConnectFailure failure) = 0;
  };

  UdpBackend(io::Loop& loop, const base::HostPort& to, base::Duration timeout,
             bridge::FlowPort& port, Owner& owner, session::FlowId id)
      : port_(port), owner_(owner), id_(id), peer_(io::UdpPeer::open(loop, to, timeout, *this)) {}

  // Towards the backend. What comes before the name is resolved waits, a little of it.
  void send(base::BytesView payload);

 private:
  static constexpr std::size_t max_early = 32;

  void on_connected(const base::Address& remote) override;
  void on_datagram(base::BytesView payload) override { port_.flow_datagram(id_, payload); }
  void on_drained() override { port_.pump(); }
  void on_failed(io::ConnectFailure failure) override { owner_.on_udp_failed(id_, failure); }

  bridge::FlowPort& port_;
  Owner& owner_;
  session::FlowId id_;
  bool connected_ = false;
  std::vector<base::Bytes> early_;
  io::UdpPeer peer_;
};

}  // namespace ztna::connector
