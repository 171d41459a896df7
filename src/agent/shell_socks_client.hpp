// One SOCKS5 client (RFC 1928): its greeting and request, then a CONNECT whose connection goes to
// TcpFlows, or a UDP ASSOCIATE that lives as long as its control connection.
//
//   greeting   methods offered: no authentication   → request
//   request    CONNECT to a service                 → opening
//              UDP ASSOCIATE                        → associated
//   opening    the Connector accepted               → over (the connection goes on elsewhere)
//   associated the client closed                    → over
//   any        refused, malformed, too slow         → closing → over
//
// Never reads beyond the message it waits for: the first octet of the client's own data is still in
// the kernel when the connection is handed on.
#pragma once

#include <memory>
#include <string>

#include "agent/shell_forward.hpp"
#include "agent/shell_socks_udp.hpp"
#include "io/tcp.hpp"
#include "wire/socks5.hpp"

namespace ztna::agent {

class SocksClient final : public io::TcpStream::Handler, public session::FlowHandler {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // Nothing more happens; destroy it, but after this call has returned.
    virtual void on_socks_client_over(SocksClient& client) = 0;
    // For the log; the client has been told.
    virtual void on_socks_refused(const wire::socks5::Destination& wanted) = 0;
  };

  SocksClient(const DoorContext& context, DoorId door, Owner& owner);
  ~SocksClient() override;
  SocksClient(const SocksClient&) = delete;
  SocksClient& operator=(const SocksClient&) = delete;

  void start(io::TcpStream stream, const base::Address& peer);

 private:
  enum class State { greeting, request, opening, associated, closing, over };

  // io::TcpStream::Handler
  [[nodiscard]] std::size_t read_budget() override;
  void on_data(base::BytesView data) override;
  void on_eof() override;
  void on_closed(io::TcpStream::CloseReason reason) override;

  // session::FlowHandler, while opening
  void on_flow_accepted(FlowId id) override;
  void on_flow_data(FlowId /*id*/, base::BytesView /*data*/) override {}
  void on_flow_fin(FlowId /*id*/) override {}
  void on_flow_writable(FlowId /*id*/) override {}
  void on_flow_datagram(FlowId /*id*/, base::BytesView /*payload*/) override {}
  void on_flow_ended(FlowId id, FlowEnd end, const std::string& text) override;

  void read_greeting();
  void read_request();
  void connect(const wire::socks5::Destination& to);
  void associate(const wire::socks5::Destination& announced);
  void answer(wire::socks5::Reply reply, const base::Address& bound);
  void refuse(wire::socks5::Reply reply);
  // Lets the client read what was written, and what it still sends run out.
  void close();
  void over();

  DoorContext context_;
  DoorId door_;
  Owner& owner_;
  State state_ = State::greeting;
  io::TcpStream stream_;
  base::Address peer_;
  base::Bytes input_;
  io::Timer timer_;
  FlowId flow_;
  std::unique_ptr<SocksUdp> udp_;
};

}  // namespace ztna::agent
