// UDP payloads of a flow inside the DATAGRAM frames (RFC 9221) of a session.
//
//   octet 0     bit 0     fragmented
//               bits 1-7  0
//   varint      flow: the QUIC stream id of the flow's stream divided by four. Flows run on streams
//               that the Agent opens, whose two low bits are zero (RFC 9000 §2.1), so nothing is
//               lost and 64 flows fit one octet.
//   when fragmented:
//     16 bits   packet number, counted by the sender for each flow
//     8 bits    index of this piece
//     8 bits    count of pieces, 2 … 64; index < count
//   rest        payload; empty only in unfragmented ones (an empty UDP payload is legal)
//
// Pure, no allocation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"

namespace ztna::wire {

inline constexpr std::size_t flow_max_pieces = 64;
// The largest payload of a UDP datagram (over IPv4).
inline constexpr std::size_t udp_max_payload = 65507;

[[nodiscard]] constexpr std::uint64_t flow_of_stream(std::int64_t stream) {
  return static_cast<std::uint64_t>(stream) / 4;
}
// Only for flows that parse_flow_datagram() returned: they are in range.
[[nodiscard]] constexpr std::int64_t stream_of_flow(std::uint64_t flow) {
  return static_cast<std::int64_t>(flow * 4);
}

struct FlowDatagramHeader {
  static constexpr std::size_t max_size = 13;

  std::uint64_t flow = 0;  // ≤ 2^60-1
  bool fragmented = false;
  // Meaningless unless `fragmented`:
  std::uint16_t packet = 0;
  std::uint8_t index = 0;
  std::uint8_t count = 0;

  [[nodiscard]] std::size_t size() const;
  // Fields are in range (the caller's duty); returns size().
  std::size_t encode(std::array<std::uint8_t, max_size>& out) const;
};

struct FlowDatagram {
  FlowDatagramHeader header;
  base::BytesView payload;  // of the parsed datagram
};

// Nothing when the datagram is malformed.
[[nodiscard]] std::optional<FlowDatagram> parse_flow_datagram(base::BytesView datagram);

// Cuts one UDP payload for frames of at most `max_datagram` octets, the session's limit now. The
// payload is not copied and outlives the fragmenter.
//
//   const FlowFragmenter cut(flow, packet_number, payload, session.max_datagram());
//   for (std::size_t i = 0; i < cut.count(); ++i) send(cut.piece(i));
class FlowFragmenter {
 public:
  FlowFragmenter(std::uint64_t flow, std::uint16_t packet, base::BytesView payload,
                 std::size_t max_datagram);

  // Frames needed; 0: impossible, the payload needs more than flow_max_pieces. 1: it fits as it is,
  // and the packet number is not used.
  [[nodiscard]] std::size_t count() const { return count_; }
  // index < count(). All pieces but the last have equal sizes.
  [[nodiscard]] FlowDatagram piece(std::size_t index) const;

 private:
  std::uint64_t flow_;
  std::uint16_t packet_;
  base::BytesView payload_;
  std::size_t count_ = 0;
  std::size_t piece_size_ = 0;
};

// The largest payload that fits one frame; 0 also when only an empty one, or none, does.
[[nodiscard]] std::size_t flow_whole_limit(std::uint64_t flow, std::size_t max_datagram);

}  // namespace ztna::wire
