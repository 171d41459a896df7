#include "wire/relay_reassembler.hpp"

#include <algorithm>
#include <utility>

namespace ztna::wire {

RelayReassembler::RelayReassembler(Limits limits) : limits_(limits) {
  limits_.pairs = std::max<std::size_t>(limits_.pairs, 1);
}

std::optional<RelayReassembler::Joined> RelayReassembler::add(const RelayPacket& half,
                                                              base::Time now) {
  expire(now);
  if (half.payload.size() > limits_.half_size) {
    ++drops_.oversize;
    return std::nullopt;
  }
  const auto found = std::ranges::find_if(pending_, [&](const Half& other) {
    return other.header.channel == half.header.channel && other.header.pair == half.header.pair;
  });
  if (found != pending_.end()) {
    const auto index = static_cast<std::size_t>(found - pending_.begin());
    if (found->header.second != half.header.second) {
      const Joined joined = join(*found, half);
      erase(index);
      return joined;
    }
    // QUIC never repeats a DATAGRAM frame, so this is the number's next use: the old half is lost.
    ++drops_.repeated;
    erase(index);
  }
  if (pending_.size() == limits_.pairs) make_room();
  Half& added = pending_.emplace_back();
  added.header = half.header;
  added.arrived = now;
  if (!spare_.empty()) {
    added.payload = std::move(spare_.back());
    spare_.pop_back();
  }
  added.payload.assign(half.payload.begin(), half.payload.end());
  return std::nullopt;
}

RelayReassembler::Joined RelayReassembler::join(const Half& waiting, const RelayPacket& half) {
  const base::BytesView held = waiting.payload;
  const base::BytesView first = waiting.header.second ? half.payload : held;
  const base::BytesView second = waiting.header.second ? held : half.payload;
  joined_.assign(first.begin(), first.end());
  joined_.insert(joined_.end(), second.begin(), second.end());
  constexpr std::uint8_t ce = 3;
  const bool marked = waiting.header.ecn == ce || half.header.ecn == ce;
  return {half.header.channel, marked ? ce : half.header.ecn, joined_};
}

void RelayReassembler::forget(std::uint32_t channel) {
  for (std::size_t i = pending_.size(); i-- > 0;) {
    if (pending_[i].header.channel != channel) continue;
    ++drops_.forgotten;
    erase(i);
  }
}

void RelayReassembler::erase(std::size_t index) {
  spare_.push_back(std::move(pending_[index].payload));
  pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(index));
}

void RelayReassembler::expire(base::Time now) {
  while (!pending_.empty() && now - pending_.front().arrived > limits_.max_age) {
    ++drops_.expired;
    erase(0);
  }
}

void RelayReassembler::make_room() {
  std::size_t victim = 0;
  std::ptrdiff_t most = 0;
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    const std::uint32_t channel = pending_[i].header.channel;
    const auto count = std::ranges::count_if(
        pending_, [&](const Half& other) { return other.header.channel == channel; });
    if (count <= most) continue;
    most = count;
    victim = i;
  }
  ++drops_.evicted;
  erase(victim);
}

std::size_t RelayReassembler::pending_octets() const {
  std::size_t octets = 0;
  for (const Half& half : pending_) octets += half.payload.size();
  return octets;
}

}  // namespace ztna::wire
