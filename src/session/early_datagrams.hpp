// DATAGRAM frames that overtook the FlowOpen of their flow, or came while it was sent again. The
// first payload of a UDP flow is often the only one for a while: a DNS question, a hello.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/bytes.hpp"
#include "base/time.hpp"

namespace ztna::session {

class EarlyDatagrams {
 public:
  // A peer that names flows it never opens costs no more than this, and for so long.
  static constexpr std::size_t max_bytes = 64 * 1024;
  static constexpr std::size_t cost_of_each = 64;
  static constexpr base::Duration max_age = std::chrono::seconds(1);

  // `datagram` with its header. The oldest make room; one that cannot fit is dropped.
  void keep(std::uint64_t flow, base::BytesView datagram, base::Time now);
  // Those of that flow that are no older than max_age, in the order of arrival.
  [[nodiscard]] std::vector<base::Bytes> take(std::uint64_t flow, base::Time now);

  // Since the beginning; what is still kept is not counted.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  struct Kept {
    std::uint64_t flow = 0;
    base::Bytes datagram;
    base::Time arrived;
    [[nodiscard]] std::size_t cost() const { return datagram.size() + cost_of_each; }
  };
  void drop_old(base::Time now, std::size_t room);

  std::deque<Kept> kept_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace ztna::session
