// What a session sees of an uplink: a place to put its packets. No QUIC type crosses, so another
// kind of uplink can stand behind it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.hpp"

namespace ztna::session {

class RelayPort {
 public:
  virtual ~RelayPort() = default;
  // Queues one session packet (QUIC or STUN) for the peer. False: dropped (no channel, queue full,
  // or too large even for two halves, or for one frame where `may_split` is false).
  virtual bool send(base::BytesView packet, std::uint8_t ecn, bool may_split) = 0;
  // The largest packet that passes in one DATAGRAM frame; up to 1200 octets pass in two.
  [[nodiscard]] virtual std::size_t mtu() const = 0;
  // False: keep packets back; the owner calls session.transmit() again when it becomes true.
  [[nodiscard]] virtual bool writable() const = 0;
  // False: the relay takes handshakes, control and checks, and drops flows (proto: RelayState).
  [[nodiscard]] virtual bool carries_flows() const = 0;
  // Where the relay is, for people: "host:port".
  [[nodiscard]] virtual const std::string& name() const = 0;
};

}  // namespace ztna::session
