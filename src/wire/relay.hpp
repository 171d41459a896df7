// Relay DATAGRAMs: how a session's packets (QUIC or STUN) travel inside the DATAGRAM frames
// (RFC 9221) of an uplink.
//
//   octet 0     bits 0-1  ECN of the packet (RFC 3168: 0 not-ECT, 1 ECT(1), 2 ECT(0), 3 CE)
//               bit 2     fragment: one half of a packet
//               bit 3     second half; only with bit 2
//               bit 4     whole only: drop rather than cut (a path MTU probe); never with bit 2
//               bits 5-7  0
//   varint      relay channel, 1 … 2^30-1 (RFC 9000 §16)
//   16 bits     pair number, only in fragments: the same in both halves of a packet
//   rest        payload, at least one octet
//
// A packet that does not fit one frame is cut in two, so that 1200-octet session packets pass on
// every outer path that QUIC itself can use. Pure, no allocation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"

namespace ztna::wire {

inline constexpr std::uint32_t relay_channel_max = (std::uint32_t{1} << 30) - 1;

struct RelayHeader {
  static constexpr std::size_t max_size = 7;

  std::uint32_t channel = 0;
  std::uint8_t ecn = 0;
  bool fragment = false;
  bool second = false;      // meaningless unless `fragment`
  bool whole_only = false;  // never cut: what does not fit one frame is dropped
  std::uint16_t pair = 0;   // meaningless unless `fragment`

  [[nodiscard]] std::size_t size() const;
  // Fields are in range (the caller's duty); returns size().
  std::size_t encode(std::array<std::uint8_t, max_size>& out) const;
};

struct RelayPacket {
  RelayHeader header;
  base::BytesView payload;  // of the parsed datagram
};

// Nothing when the datagram is malformed.
[[nodiscard]] std::optional<RelayPacket> parse_relay(base::BytesView datagram);

enum class RelayFit : std::uint8_t { whole, halves, impossible };

struct RelaySplit {
  RelayFit fit = RelayFit::impossible;
  std::size_t first = 0;  // octets in the first half, when `halves`
};

// How a packet of `packet` octets goes into frames of at most `max_datagram` octets of payload,
// which is what the outer connection can send now. Halves are equal, so that what fits one leg of
// the relay has the best chance to fit the other without being cut again.
[[nodiscard]] RelaySplit relay_split(std::uint32_t channel, std::size_t packet,
                                     std::size_t max_datagram);

// The largest packet that fits one frame / two frames; 0 when none does.
[[nodiscard]] std::size_t relay_whole_limit(std::uint32_t channel, std::size_t max_datagram);
[[nodiscard]] std::size_t relay_halves_limit(std::uint32_t channel, std::size_t max_datagram);

// Numbers for fragment pairs, one counter for a sender and channel. An Intermediate passes a node's
// halves on under the node's number and also cuts whole packets itself: each has half of the
// number space, so that they cannot collide.
class RelayPairNumbers {
 public:
  [[nodiscard]] static RelayPairNumbers of_node() { return RelayPairNumbers(0); }
  [[nodiscard]] static RelayPairNumbers of_intermediate() { return RelayPairNumbers(0x8000); }
  std::uint16_t next() {
    next_ = (next_ + 1) & 0x7fff;
    return static_cast<std::uint16_t>(base_ | next_);
  }

 private:
  explicit RelayPairNumbers(unsigned base) : base_(base) {}
  unsigned base_;
  unsigned next_ = 0;
};

}  // namespace ztna::wire
