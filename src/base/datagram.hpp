// UDP datagrams at the edge of an engine: what the shell (or the simulator) hands in and gets out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/time.hpp"

namespace ztna::base {

// Index of one of the process's own UDP sockets.
using SocketId = std::uint32_t;

struct Incoming {
  SocketId socket = 0;
  Address from;
  Address to;  // the local address it arrived at
  std::uint8_t ecn = 0;
  BytesView payload;
};

// What engine.transmit() wrote into the caller's buffer: `size` octets of packets back to back,
// each `segment` long but the last, which may be shorter. One GSO send.
struct Outgoing {
  SocketId socket = 0;
  Address to;
  Address from;  // the local address to send from; unspecified: the socket's choice
  std::uint8_t ecn = 0;
  std::size_t segment = 0;
  std::size_t size = 0;  // 0: nothing to send
  std::uint8_t ttl = 0;  // IP time to live or hop limit; 0: the system's
};

// The size of buffer that engine.transmit() wants: the most one GSO send may carry.
inline constexpr std::size_t transmit_buffer_size = 65535;

// Civil time as the shell last told it. Engines derive the present from it, so that they need no
// clock; the shell refreshes it, which is how a corrected system clock gets in.
struct WallReference {
  WallTime wall;
  Time at{};
  [[nodiscard]] WallTime now(Time t) const {
    const std::chrono::milliseconds since = std::chrono::floor<std::chrono::milliseconds>(t - at) +
                                            std::chrono::milliseconds(wall.milliseconds);
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    return {wall.seconds + seconds.count(), static_cast<std::uint16_t>((since - seconds).count())};
  }
};

}  // namespace ztna::base
