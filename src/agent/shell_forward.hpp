// One local address whose connections or datagrams go to one service: a --forward, or the own
// address that --auto-forward gives a service.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/shell_tcp_flows.hpp"
#include "agent/shell_udp_forward.hpp"
#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "io/loop.hpp"
#include "io/tcp.hpp"

namespace ztna::agent {

// What every door needs; all of it outlives the doors.
struct DoorContext {
  io::Loop& loop;
  Flows& flows;
  TcpFlows& tcp;
  base::Duration udp_idle;  // a UDP flow without a packet for so long ends
};

class Forward {
 public:
  // Listens from now on. Errors name the address, not the flag.
  [[nodiscard]] static base::Result<std::unique_ptr<Forward>> create(const DoorContext& context,
                                                                     DoorId door, Protocol protocol,
                                                                     const base::Address& listen,
                                                                     const std::string& service);

  [[nodiscard]] Protocol protocol() const { return protocol_; }
  [[nodiscard]] const std::string& service() const { return service_; }
  // With the port that was given.
  [[nodiscard]] const base::Address& local_address() const;
  [[nodiscard]] std::string to_string() const;  // "tcp://127.0.0.1:8080"
  // Live connections or UDP associations.
  [[nodiscard]] std::size_t connections() const;

 private:
  Forward(const DoorContext& context, DoorId door, Protocol protocol, std::string service)
      : context_(context), door_(door), protocol_(protocol), service_(std::move(service)) {}

  DoorContext context_;
  DoorId door_;
  Protocol protocol_;
  std::string service_;
  std::optional<io::TcpListener> tcp_;  // one of these two
  std::unique_ptr<UdpForward> udp_;
};

}  // namespace ztna::agent
