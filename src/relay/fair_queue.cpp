#include "relay/fair_queue.hpp"

#include <algorithm>
#include <limits>

namespace ztna::relay {
namespace {

constexpr std::uint64_t growth = 4;  // marks begin at half of the limit: two windows
constexpr std::uint8_t ecn_ce = 3;   // RFC 3168: congestion experienced; 0 is not ECN-capable

}  // namespace

base::Bytes PacketPool::take(base::BytesView content) {
  base::Bytes buffer;
  if (!spare_.empty()) {
    buffer = std::move(spare_.back());
    spare_.pop_back();
  } else {
    buffer.reserve(1536);
  }
  buffer.assign(content.begin(), content.end());
  return buffer;
}

void PacketPool::give(base::Bytes&& buffer) {
  if (spare_.size() < max_spare) spare_.push_back(std::move(buffer));
}

FairQueue::~FairQueue() { clear(); }

void FairQueue::clear() {
  for (auto& [channel, lane] : lanes_) {
    for (Packet& packet : lane.packets) pool_.give(std::move(packet.content));
  }
  lanes_.clear();
  active_.clear();
  bytes_ = 0;
  forget_half();
}

FairQueue::Outer FairQueue::outer(const quic::Connection& connection) {
  const quic::Stats stats = connection.stats();
  return {connection.max_datagram(), stats.cwnd, stats.smoothed_rtt, stats.slow_start};
}

void FairQueue::set_outer(const Outer& outer) {
  max_datagram_ = outer.max_datagram;
  const auto rtt_us =
      std::chrono::duration_cast<std::chrono::microseconds>(outer.smoothed_rtt).count();
  const auto delay_us = std::chrono::duration_cast<std::chrono::microseconds>(max_delay).count();
  const std::uint64_t share = std::min<std::uint64_t>(outer.cwnd, std::uint64_t{1} << 32);
  std::uint64_t room =
      rtt_us > 0 ? share * static_cast<std::uint64_t>(delay_us) / static_cast<std::uint64_t>(rtt_us)
                 : max_bytes;
  if (outer.slow_start) room = std::max(room, growth * share);
  limit_ = static_cast<std::size_t>(std::clamp<std::uint64_t>(room, min_bytes, max_bytes));
}

bool FairQueue::push(std::uint32_t channel, wire::RelayHeader header, base::BytesView packet) {
  Lane& lane = lanes_[channel];
  lane.retired = false;
  while (bytes_ + packet.size() > limit_) {
    const std::uint32_t victim = active_.empty() ? channel : longest();
    if (lanes_.at(victim).bytes <= lane.bytes) {
      ++counters_.dropped_full;
      return false;
    }
    drop_from(victim);
  }
  if (bytes_ > limit_ / 2 && header.ecn != 0 && header.ecn != ecn_ce) {
    header.ecn = ecn_ce;
    ++counters_.marked;
  }
  header.channel = channel;
  lane.packets.push_back({header, pool_.take(packet)});
  lane.bytes += packet.size();
  bytes_ += packet.size();
  if (!lane.active) {
    lane.active = true;
    lane.deficit = 0;
    active_.push_back(channel);
  }
  return true;
}

std::uint32_t FairQueue::longest() const {
  return *std::ranges::max_element(active_, {},
                                   [&](std::uint32_t channel) { return lanes_.at(channel).bytes; });
}

void FairQueue::drop_from(std::uint32_t channel) {
  Lane& lane = lanes_.at(channel);
  // The tail, because the front may have left by half already.
  Packet& victim = lane.packets.back();
  lane.bytes -= victim.content.size();
  bytes_ -= victim.content.size();
  pool_.give(std::move(victim.content));
  if (lane.packets.size() == 1 && active_.front() == channel) forget_half();
  lane.packets.pop_back();
  ++counters_.dropped_full;
}

void FairQueue::remove(std::uint32_t channel) {
  const auto found = lanes_.find(channel);
  if (found == lanes_.end()) return;
  if (!active_.empty() && active_.front() == channel) forget_half();
  std::erase(active_, channel);
  bytes_ -= found->second.bytes;
  for (Packet& packet : found->second.packets) pool_.give(std::move(packet.content));
  lanes_.erase(found);
}

void FairQueue::retire(std::uint32_t channel) {
  const auto found = lanes_.find(channel);
  if (found == lanes_.end()) return;
  if (found->second.packets.empty()) return remove(channel);
  found->second.retired = true;
}

std::size_t FairQueue::bytes(std::uint32_t channel) const {
  const auto found = lanes_.find(channel);
  return found == lanes_.end() ? 0 : found->second.bytes;
}

// The lane whose turn it is. Deficit round robin: a lane sends while its deficit covers the packet
// in front; the next quantum comes with its next turn.
FairQueue::Lane* FairQueue::current() {
  while (!active_.empty()) {
    Lane& lane = lanes_.at(active_.front());
    if (lane.packets.empty()) {
      lane.active = false;
      if (lane.retired) lanes_.erase(active_.front());
      active_.pop_front();
      continue;
    }
    if (second_half_ || lane.deficit >= lane.packets.front().content.size()) return &lane;
    lane.deficit += quantum;
    if (active_.size() > 1) {
      active_.push_back(active_.front());
      active_.pop_front();
    }
  }
  return nullptr;
}

void FairQueue::pop(Lane& lane) {
  const std::size_t size = lane.packets.front().content.size();
  pool_.give(std::move(lane.packets.front().content));
  lane.packets.pop_front();
  lane.bytes -= size;
  bytes_ -= size;
  lane.deficit -= std::min(lane.deficit, size);
}

// The next packet that is cut gets a number of its own.
void FairQueue::forget_half() {
  if (std::exchange(second_half_, false)) pair_ = numbers_.next();
}

bool FairQueue::peek(Item& item) {
  if (max_datagram_ == 0) return false;
  for (Lane* lane = current(); lane != nullptr; lane = current()) {
    const Packet& packet = lane->packets.front();
    wire::RelayHeader header = packet.header;
    const base::BytesView content = packet.content;
    const bool fits = content.size() + header.size() <= max_datagram_;
    const auto split = wire::relay_split(header.channel, content.size(), max_datagram_);
    const bool may_cut = !header.fragment && !header.whole_only;
    offered_half_ = second_half_ || (!fits && may_cut && split.fit == wire::RelayFit::halves);
    if (!offered_half_ && !fits) {
      ++counters_.dropped_too_large;
      pop(*lane);
      continue;
    }
    item.payload = content;
    if (offered_half_) {
      const std::size_t half = (content.size() + 1) / 2;
      header.fragment = true;
      header.second = second_half_;
      header.pair = pair_;
      item.payload = second_half_ ? content.subspan(half) : content.first(half);
    }
    item.header = base::BytesView(encoded_).first(header.encode(encoded_));
    item.tag = 0;
    return true;
  }
  return false;
}

void FairQueue::done(Fate fate) {
  Lane& lane = lanes_.at(active_.front());
  if (fate == Fate::too_large) {
    ++counters_.dropped_too_large;
  } else if (offered_half_ && !second_half_) {
    second_half_ = true;
    ++counters_.split;
    return;
  } else {
    ++counters_.packets;
    counters_.bytes += lane.packets.front().content.size();
  }
  forget_half();
  pop(lane);
}

}  // namespace ztna::relay
