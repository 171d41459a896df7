// UDP payloads of a session's flows, waiting for their turn as DATAGRAM frames. A payload that does
// not fit the current path leaves in pieces; when the path shrinks half-way, it starts again.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "base/bytes.hpp"
#include "base/time.hpp"
#include "quic/connection.hpp"
#include "wire/flow_datagram.hpp"

namespace ztna::session {

class DatagramQueue final : public quic::DatagramSource {
 public:
  // Of payloads waiting and what each costs besides; the oldest make room.
  static constexpr std::size_t max_bytes = 512 * 1024;
  static constexpr std::size_t cost_of_each = 64;
  // A game has no use for older ones: after an outage the newest are to arrive, not a backlog.
  static constexpr base::Duration max_age = std::chrono::milliseconds(200);

  struct Counters {
    std::uint64_t overflowed = 0;  // made room for newer ones
    std::uint64_t too_old = 0;
    std::uint64_t too_large = 0;  // cannot pass on the path even in pieces
  };

  void push(std::uint64_t flow, base::BytesView payload);
  // Before frames are asked for: drops what has waited too long since the first such call.
  void age(base::Time now);
  // Forgets what waits for `flow`.
  void drop_flow(std::uint64_t flow);
  // The largest DATAGRAM payload of the path in use; asked before each frame.
  void set_limit(std::function<std::size_t()> limit) { limit_ = std::move(limit); }

  [[nodiscard]] bool peek(Item& item) override;
  void done(Fate fate) override;

  [[nodiscard]] bool empty() const { return queue_.empty(); }
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Waiting {
    std::uint64_t flow = 0;
    base::Bytes payload;
    base::Time since = base::never;  // not yet seen by age()
    [[nodiscard]] std::size_t cost() const { return payload.size() + cost_of_each; }
  };
  void drop_front();

  std::function<std::size_t()> limit_;
  std::deque<Waiting> queue_;
  std::vector<base::Bytes> spare_;  // buffers to use again, so that steady state allocates nothing
  std::size_t bytes_ = 0;
  // How the payload in front is being cut: for which limit (0: not yet), and what has left.
  std::size_t cut_for_ = 0;
  std::size_t index_ = 0;
  std::uint16_t number_ = 0;
  std::array<std::uint8_t, wire::FlowDatagramHeader::max_size> header_{};
  Counters counters_;
};

}  // namespace ztna::session
