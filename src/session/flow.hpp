// Flows: one TCP connection (a QUIC stream) or one UDP association (DATAGRAM frames) of a user's,
// or one question.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/time.hpp"

namespace ztna::session {

// Two are for the Connector itself, and no backend hears of them: `ping` asks whether it serves,
// and carries no octets; `echo` gets each datagram back.
enum class Protocol : std::uint8_t { tcp, udp, ping, echo };
[[nodiscard]] constexpr std::string_view to_string(Protocol p) {
  switch (p) {
    case Protocol::tcp: return "tcp";
    case Protocol::udp: return "udp";
    case Protocol::ping: return "ping";
    case Protocol::echo: return "echo";
  }
  return "unknown";
}
[[nodiscard]] constexpr bool has_datagrams(Protocol p) {
  return p == Protocol::udp || p == Protocol::echo;
}
[[nodiscard]] constexpr bool has_backend(Protocol p) {
  return p == Protocol::tcp || p == Protocol::udp;
}

// Why a flow did not start or ended. One closed set for logs, audit, SOCKS replies and metrics.
enum class FlowEnd : std::uint8_t {
  finished,         // both directions ended in order
  reset,            // one of the two programs reset its connection
  denied,           // policy
  unknown_service,  // nobody offers it (to us)
  unavailable,      // no healthy Connector, or no Intermediate within reach
  untrusted,        // the Connector's certificate does not name the service
  backend_refused,
  backend_unreachable,
  backend_timeout,
  quota,
  session_lost,  // the session under it ended
  timed_out,     // no answer from the Connector in time
  shutting_down,
  protocol_error,
};
[[nodiscard]] std::string_view to_string(FlowEnd end);

// The bytes of a flow as its owner counts them: towards the backend, and back.
struct FlowCounters {
  std::uint64_t to_backend = 0;
  std::uint64_t from_backend = 0;
};

// One flow of one engine; never reused while the process lives.
struct FlowId {
  std::uint64_t value = 0;
  friend auto operator<=>(FlowId, FlowId) = default;
};

// What a shell hears about its flows. Spans are valid during the call only. A shell may call any
// flow method of its engine from inside these.
class FlowHandler {
 public:
  virtual ~FlowHandler() = default;
  // Agent: the Connector accepted; octets flow.
  virtual void on_flow_accepted(FlowId /*id*/) {}
  // TCP octets towards the local program; owed to the peer's window until flow_consume().
  virtual void on_flow_data(FlowId id, base::BytesView data) = 0;
  // The peer's program has sent everything (FIN).
  virtual void on_flow_fin(FlowId id) = 0;
  // flow_write() had been cut short, and there is room again.
  virtual void on_flow_writable(FlowId id) = 0;
  virtual void on_flow_datagram(FlowId id, base::BytesView payload) = 0;
  // The flow is over; the id is dead after this call. Anything but `finished` is a reset for the
  // local program.
  virtual void on_flow_ended(FlowId id, FlowEnd end, const std::string& text) = 0;
};

}  // namespace ztna::session
