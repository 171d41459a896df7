// The queue of relayed session packets in front of one uplink: bounded, and fair between sessions
// by deficit round robin (M. Shreedhar, G. Varghese 1995), so that one bulk session cannot starve
// another's game. Packets leave as DATAGRAM frames with a relay header, in two halves where one
// does not fit the outer connection.
//
// Used at both ends of an uplink: by a node for what its own sessions send, by the Intermediate for
// what it forwards. Steady state allocates nothing.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <unordered_map>
#include <vector>

#include "base/bytes.hpp"
#include "base/time.hpp"
#include "quic/connection.hpp"
#include "wire/relay.hpp"

namespace ztna::relay {

// Packet buffers shared by all queues of one loop, so that idle queues own no memory.
class PacketPool {
 public:
  [[nodiscard]] base::Bytes take(base::BytesView content);
  void give(base::Bytes&& buffer);

 private:
  static constexpr std::size_t max_spare = 4096;
  std::vector<base::Bytes> spare_;
};

class FairQueue final : public quic::DatagramSource {
 public:
  // What the outer connection sends in 20 ms, or while its window grows as much as that may still
  // grow by in a round trip: it grows only where something waits, and a session whose packets are
  // marked or dropped meanwhile gives up its own growth. Within these bounds. The lower one takes a
  // whole GSO batch, which arrives at once. The upper one is 4 ms at 2 Gbit/s: with a quarter of
  // it, two batches that met were marked, and a session stayed at 1.9 where it reaches 2.6.
  static constexpr std::size_t min_bytes = 96 * 1024;
  static constexpr std::size_t max_bytes = 1024 * 1024;
  static constexpr base::Duration max_delay = std::chrono::milliseconds(20);
  // The most one round gives a session before the next one's turn: about one packet.
  static constexpr std::size_t quantum = 1500;

  struct Counters {
    std::uint64_t packets = 0, bytes = 0;  // left as frames (a split packet counts once)
    std::uint64_t split = 0;
    std::uint64_t marked = 0;  // ECN CE set because the queue was filling
    std::uint64_t dropped_full = 0;
    std::uint64_t dropped_too_large = 0;  // larger than the outer path and not to be split
  };

  FairQueue(PacketPool& pool, Counters& counters, wire::RelayPairNumbers numbers)
      : pool_(pool), counters_(counters), numbers_(numbers), pair_(numbers_.next()) {}
  ~FairQueue() override;

  // Copies the packet. False: dropped, because the queue is full and no other session holds more.
  bool push(std::uint32_t channel, wire::RelayHeader header, base::BytesView packet);
  void remove(std::uint32_t channel);
  // What is queued on this channel still leaves, then it is forgotten.
  void retire(std::uint32_t channel);
  void clear();

  // What the outer connection can do now.
  struct Outer {
    std::size_t max_datagram = 0;  // its largest DATAGRAM payload
    std::uint64_t cwnd = 0;
    base::Duration smoothed_rtt{};
    bool slow_start = false;
  };
  [[nodiscard]] static Outer outer(const quic::Connection& connection);
  void set_outer(const Outer& outer);

  [[nodiscard]] bool peek(Item& item) override;
  void done(Fate fate) override;

  [[nodiscard]] bool empty() const { return bytes_ == 0; }
  [[nodiscard]] std::size_t limit() const { return limit_; }
  [[nodiscard]] std::size_t bytes(std::uint32_t channel) const;
  [[nodiscard]] std::size_t channels() const { return lanes_.size(); }

 private:
  struct Packet {
    wire::RelayHeader header;
    base::Bytes content;
  };
  struct Lane {
    std::deque<Packet> packets;
    std::size_t bytes = 0;
    std::size_t deficit = 0;
    bool active = false;
    bool retired = false;
  };
  [[nodiscard]] std::uint32_t longest() const;  // of those that hold packets
  void drop_from(std::uint32_t channel);
  Lane* current();
  void pop(Lane& lane);
  void forget_half();

  PacketPool& pool_;
  Counters& counters_;
  std::unordered_map<std::uint32_t, Lane> lanes_;
  std::deque<std::uint32_t> active_;  // lanes that hold packets, in turn
  std::size_t bytes_ = 0;
  std::size_t limit_ = min_bytes;
  std::size_t max_datagram_ = 0;
  wire::RelayPairNumbers numbers_;
  std::uint16_t pair_;         // of the packet that is cut now or next
  bool second_half_ = false;   // the front packet's first half has left
  bool offered_half_ = false;  // what peek() showed last was a half
  std::array<std::uint8_t, wire::RelayHeader::max_size> encoded_{};
};

}  // namespace ztna::relay
