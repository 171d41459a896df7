// One TCP connection of a local program or backend, joined to one flow: octets, half-closes, resets
// and backpressure pass through in both directions.
//
// Nothing is read from the socket that the flow has no room for. What the socket does not take
// waits here, and is owed to the peer's window until it is written: so at most one stream window
// waits.
//
// The owner creates it with a flow, gives it a stream, passes flow events on, and destroys it (not
// from inside a call to it: see Owner) when told.
#pragma once

#include <cstdint>
#include <string>

#include "bridge/flow_port.hpp"
#include "io/tcp.hpp"

namespace ztna::bridge {

class TcpBridge final : private io::TcpStream::Handler, private Gatherer {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // connect() succeeded, or failed (then the bridge is over).
    virtual void on_bridge_connected(session::FlowId) {}
    virtual void on_bridge_connect_failed(session::FlowId, io::ConnectFailure) {}
    // Nothing more happens here; destroy it, but after this call has returned.
    virtual void on_bridge_over(session::FlowId id) = 0;
  };

  TcpBridge(FlowPort& port, Owner& owner, session::FlowId id)
      : port_(port), owner_(owner), id_(id) {}

  ~TcpBridge() override {
    if (gathering_) port_.forget(*this);
  }

  // Exactly one of these.
  void adopt(io::TcpStream stream);
  void connect(io::Loop& loop, const base::HostPort& to, base::Duration timeout);

  // Flow events.
  void flow_data(base::BytesView data);
  void flow_fin();
  void flow_writable();
  // The flow is dead. In order: the socket gets what waits, then a FIN; else a reset at once.
  void flow_ended(session::FlowEnd end);

  [[nodiscard]] session::FlowId id() const { return id_; }

 private:
  void on_connected() override;
  void on_connect_failed(io::ConnectFailure failure) override;
  [[nodiscard]] std::size_t read_budget() override;
  void on_data(base::BytesView data) override;
  void on_eof() override;
  void on_writable() override;
  void on_closed(io::TcpStream::CloseReason reason) override;

  void write_gathered() override;
  void flush();
  void compact();
  void over();

  FlowPort& port_;
  Owner& owner_;
  session::FlowId id_;
  io::TcpStream stream_;
  base::Bytes waiting_;  // for the socket
  std::size_t waiting_at_ = 0;
  bool connecting_ = false;  // what waits, a FIN included, goes out once connected
  bool flow_alive_ = true;
  bool fin_wanted_ = false;  // FIN to the socket once `waiting_` is out
  bool fin_sent_ = false;
  bool over_ = false;
  bool gathering_ = false;  // write_gathered() is to come
};

}  // namespace ztna::bridge
