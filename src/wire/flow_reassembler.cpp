#include "wire/flow_reassembler.hpp"

#include <algorithm>
#include <utility>

namespace ztna::wire {

std::optional<base::BytesView> FlowReassembler::add(const FlowDatagram& piece, base::Time now) {
  expire(piece.header, now);
  Index index = find(piece.header);
  if (index < pending_.size() && pending_[index].count != piece.header.count) {
    ++drops_.inconsistent;
    erase(index);
    index = pending_.size();
  }
  if (index == pending_.size()) index = create(piece.header, now);
  if (pending_[index].pieces[piece.header.index].size != 0) {
    ++drops_.duplicate;
    return std::nullopt;
  }
  if (!store(index, piece)) return std::nullopt;
  // store() may have evicted older packets, which stand before this one.
  index = find(piece.header);
  if (pending_[index].present < pending_[index].count) return std::nullopt;
  const base::BytesView payload = join(pending_[index]);
  erase(index);
  return payload;
}

void FlowReassembler::expire(const FlowDatagramHeader& newest, base::Time now) {
  for (Index i = pending_.size(); i-- > 0;) {
    const Packet& packet = pending_[i];
    const auto behind = static_cast<std::uint16_t>(newest.packet - packet.number);
    const bool overtaken =
        packet.flow == newest.flow && behind >= limits_.reordering && behind < 0x8000;
    if (now - packet.arrived <= limits_.max_age && !overtaken) continue;
    ++drops_.expired;
    erase(i);
  }
}

FlowReassembler::Index FlowReassembler::find(const FlowDatagramHeader& header) const {
  const auto found = std::ranges::find_if(pending_, [&](const Packet& packet) {
    return packet.flow == header.flow && packet.number == header.packet;
  });
  return static_cast<Index>(found - pending_.begin());
}

FlowReassembler::Index FlowReassembler::create(const FlowDatagramHeader& header, base::Time now) {
  if (!pending_.empty() && pending_.size() >= limits_.packets) {
    ++drops_.evicted;
    erase(0);
  }
  Packet& packet = pending_.emplace_back();
  packet.flow = header.flow;
  packet.number = header.packet;
  packet.count = header.count;
  packet.arrived = now;
  if (!spare_.empty()) {
    packet.octets = std::move(spare_.back());
    spare_.pop_back();
  }
  octets_ += cost(packet);
  return pending_.size() - 1;
}

// False when the piece, and with it its packet, was dropped.
bool FlowReassembler::store(Index index, const FlowDatagram& piece) {
  {
    Packet& packet = pending_[index];
    const std::size_t at = packet.octets.size();
    const std::size_t needed = at + piece.payload.size();
    if (needed > udp_max_payload) {
      ++drops_.oversize;
      erase(index);
      return false;
    }
    octets_ -= cost(packet);
    if (packet.octets.capacity() < needed) {
      // Our own fragmenter cuts equal pieces, so this is exact unless the last one came first.
      packet.octets.reserve(
          std::min(udp_max_payload, std::max(needed, piece.payload.size() * packet.count)));
    }
    packet.octets.insert(packet.octets.end(), piece.payload.begin(), piece.payload.end());
    packet.pieces[piece.header.index] = {static_cast<std::uint16_t>(at),
                                         static_cast<std::uint16_t>(piece.payload.size())};
    ++packet.present;
    octets_ += cost(packet);
  }
  while (octets_ > limits_.octets) {
    const Index victim = index == 0 ? pending_.size() - 1 : 0;
    if (victim == index) {
      ++drops_.oversize;
      erase(index);
      return false;
    }
    ++drops_.evicted;
    erase(victim);
    if (victim < index) --index;
  }
  return true;
}

base::BytesView FlowReassembler::join(const Packet& packet) {
  joined_.clear();
  const base::BytesView octets = packet.octets;
  for (std::size_t i = 0; i < packet.count; ++i) {
    const base::BytesView piece = octets.subspan(packet.pieces[i].at, packet.pieces[i].size);
    joined_.insert(joined_.end(), piece.begin(), piece.end());
  }
  return joined_;
}

void FlowReassembler::forget(std::uint64_t flow) {
  for (Index i = pending_.size(); i-- > 0;) {
    if (pending_[i].flow != flow) continue;
    ++drops_.forgotten;
    erase(i);
  }
}

void FlowReassembler::erase(Index index) {
  // Few and small ones are kept, so that a burst or a jumbo packet does not stay in memory for
  // ever.
  constexpr std::size_t spare_buffers = 8;
  constexpr std::size_t spare_capacity = 4096;
  Packet& packet = pending_[index];
  octets_ -= cost(packet);
  if (spare_.size() < spare_buffers && packet.octets.capacity() <= spare_capacity) {
    packet.octets.clear();
    spare_.push_back(std::move(packet.octets));
  }
  pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(index));
}

}  // namespace ztna::wire
