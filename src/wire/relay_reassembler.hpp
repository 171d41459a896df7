// Joins the two halves of relayed packets (wire/relay.hpp), in either order, in bounded memory and
// time. One for each uplink.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/time.hpp"
#include "wire/relay.hpp"

namespace ztna::wire {

class RelayReassembler {
 public:
  struct Limits {
    std::size_t pairs = 32;        // first-come halves waiting for the other one; ≥ 1
    std::size_t half_size = 8192;  // octets of payload in one half
    base::Duration max_age = std::chrono::seconds(1);
  };
  // Halves that were thrown away, by reason.
  struct Drops {
    std::uint64_t evicted = 0;    // room was needed for a newer one
    std::uint64_t expired = 0;    // the other half did not come in time
    std::uint64_t repeated = 0;   // the same half came again: the number was reused
    std::uint64_t oversize = 0;   // larger than Limits::half_size
    std::uint64_t forgotten = 0;  // its channel was closed
  };
  struct Joined {
    std::uint32_t channel = 0;
    std::uint8_t ecn = 0;     // CE when either half carried CE (RFC 3168 §5.3)
    base::BytesView payload;  // valid until the next add()
  };

  RelayReassembler() : RelayReassembler(Limits{}) {}
  explicit RelayReassembler(Limits limits);

  // `half` has header.fragment set. Returns the packet that it completes. When there is no room,
  // the oldest half of the channel with the most of them goes, so no peer can push out another's.
  [[nodiscard]] std::optional<Joined> add(const RelayPacket& half, base::Time now);

  // The channel is closed: its halves go.
  void forget(std::uint32_t channel);

  [[nodiscard]] const Drops& drops() const { return drops_; }
  [[nodiscard]] std::size_t pending() const { return pending_.size(); }
  // Payload octets held now, ≤ pairs × half_size.
  [[nodiscard]] std::size_t pending_octets() const;

 private:
  struct Half {
    RelayHeader header;
    base::Time arrived;
    base::Bytes payload;
  };
  void erase(std::size_t index);
  void expire(base::Time now);
  void make_room();
  Joined join(const Half& waiting, const RelayPacket& half);

  Limits limits_;
  std::vector<Half> pending_;       // oldest first
  std::vector<base::Bytes> spare_;  // emptied buffers, so that steady state allocates nothing
  base::Bytes joined_;
  Drops drops_;
};

}  // namespace ztna::wire
