// Puts the pieces of UDP payloads (wire/flow_datagram.hpp) together again, in any order, in bounded
// memory and time. One for each session.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/time.hpp"
#include "wire/flow_datagram.hpp"

namespace ztna::wire {

class FlowReassembler {
 public:
  struct Limits {
    std::size_t octets = 256 * 1024;  // buffers of unfinished packets, with their bookkeeping
    std::size_t packets = 128;        // unfinished packets; bounds the search for one, too. ≥ 1
    base::Duration max_age = std::chrono::seconds(1);  // since a packet's first piece
    // Pieces of a packet this many numbers behind its flow's newest are not waited for, so that a
    // number comes round again only long after its last use (RFC 4963 tells what happens else).
    std::uint16_t reordering = 4096;
  };
  // evicted, expired, inconsistent and forgotten count packets; duplicate and oversize count
  // pieces.
  struct Drops {
    std::uint64_t evicted = 0;       // room was needed for a newer packet
    std::uint64_t expired = 0;       // pieces were missing for too long, or too many packets
    std::uint64_t inconsistent = 0;  // its pieces disagree about their count
    std::uint64_t forgotten = 0;     // its flow ended
    std::uint64_t duplicate = 0;     // a piece that was here already
    std::uint64_t oversize = 0;      // the packet would be larger than UDP allows, or than `octets`
  };

  FlowReassembler() : FlowReassembler(Limits{}) {}
  explicit FlowReassembler(Limits limits) : limits_(limits) {}

  // `piece` came from parse_flow_datagram() with header.fragmented set. Returns the payload that it
  // completes, valid until the next add().
  [[nodiscard]] std::optional<base::BytesView> add(const FlowDatagram& piece, base::Time now);

  // The flow ended: its unfinished packets go.
  void forget(std::uint64_t flow);

  [[nodiscard]] const Drops& drops() const { return drops_; }
  [[nodiscard]] std::size_t pending() const { return pending_.size(); }
  // Octets held for unfinished packets now, ≤ Limits::octets.
  [[nodiscard]] std::size_t pending_octets() const { return octets_; }

 private:
  struct Extent {
    std::uint16_t at = 0;
    std::uint16_t size = 0;  // 0: the piece is not here
  };
  struct Packet {
    std::uint64_t flow = 0;
    std::uint16_t number = 0;
    std::uint8_t count = 0;
    std::uint8_t present = 0;
    base::Time arrived;
    std::array<Extent, flow_max_pieces> pieces{};
    base::Bytes octets;  // in order of arrival
  };
  using Index = std::size_t;
  static std::size_t cost(const Packet& packet) {
    return sizeof(Packet) + packet.octets.capacity();
  }
  void erase(Index index);
  void expire(const FlowDatagramHeader& newest, base::Time now);
  [[nodiscard]] Index find(const FlowDatagramHeader& header) const;  // pending_.size(): none
  Index create(const FlowDatagramHeader& header, base::Time now);
  [[nodiscard]] bool store(Index index, const FlowDatagram& piece);
  base::BytesView join(const Packet& packet);

  Limits limits_;
  std::vector<Packet> pending_;     // oldest first
  std::size_t octets_ = 0;          // the sum of cost() over pending_
  std::vector<base::Bytes> spare_;  // emptied buffers, so that steady state allocates nothing
  base::Bytes joined_;
  Drops drops_;
};

}  // namespace ztna::wire
