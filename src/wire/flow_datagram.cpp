#include "wire/flow_datagram.hpp"

#include <algorithm>

#include "wire/varint.hpp"

namespace ztna::wire {
namespace {

constexpr std::uint8_t fragmented_bit = 0x01;
constexpr std::size_t fragment_fields = 4;
constexpr std::uint64_t flow_max = varint_max / 4;

}  // namespace

std::size_t FlowDatagramHeader::size() const {
  return 1 + varint_size(flow) + (fragmented ? fragment_fields : 0);
}

std::size_t FlowDatagramHeader::encode(std::array<std::uint8_t, max_size>& out) const {
  out[0] = fragmented ? fragmented_bit : 0;
  std::size_t at = 1 + encode_varint(out.data() + 1, flow & flow_max);
  if (fragmented) {
    base::store_be16(out.data() + at, packet);
    out[at + 2] = index;
    out[at + 3] = count;
    at += fragment_fields;
  }
  return at;
}

std::optional<FlowDatagram> parse_flow_datagram(base::BytesView datagram) {
  if (datagram.empty() || (datagram[0] & ~fragmented_bit) != 0) return std::nullopt;
  FlowDatagram parsed;
  FlowDatagramHeader& header = parsed.header;
  header.fragmented = datagram[0] == fragmented_bit;
  const Varint flow = decode_varint(datagram.subspan(1));
  if (flow.size == 0 || flow.value > flow_max) return std::nullopt;
  header.flow = flow.value;
  parsed.payload = datagram.subspan(1 + flow.size);
  if (!header.fragmented) return parsed;

  if (parsed.payload.size() <= fragment_fields) return std::nullopt;  // an empty piece included
  header.packet = base::load_be16(parsed.payload.data());
  header.index = parsed.payload[2];
  header.count = parsed.payload[3];
  parsed.payload = parsed.payload.subspan(fragment_fields);
  if (header.count < 2 || header.count > flow_max_pieces || header.index >= header.count) {
    return std::nullopt;
  }
  return parsed;
}

FlowFragmenter::FlowFragmenter(std::uint64_t flow, std::uint16_t packet, base::BytesView payload,
                               std::size_t max_datagram)
    : flow_(flow), packet_(packet), payload_(payload) {
  const std::size_t whole_header = 1 + varint_size(flow);
  if (whole_header + payload.size() <= max_datagram) {
    count_ = 1;
    piece_size_ = payload.size();
    return;
  }
  const std::size_t header = whole_header + fragment_fields;
  if (max_datagram <= header) return;
  const std::size_t room = max_datagram - header;
  const std::size_t pieces = (payload.size() + room - 1) / room;
  // One piece cannot be marked as such: a payload that fits only without the fragment fields was
  // sent whole above, and one octet too many needs two.
  if (pieces > flow_max_pieces || payload.size() < 2) return;
  count_ = std::max<std::size_t>(pieces, 2);
  piece_size_ = (payload.size() + count_ - 1) / count_;
}

FlowDatagram FlowFragmenter::piece(std::size_t index) const {
  FlowDatagram out;
  out.header.flow = flow_;
  out.header.fragmented = count_ > 1;
  out.header.packet = packet_;
  out.header.index = static_cast<std::uint8_t>(index);
  out.header.count = static_cast<std::uint8_t>(count_);
  const std::size_t at = index * piece_size_;
  out.payload = payload_.subspan(at, std::min(piece_size_, payload_.size() - at));
  return out;
}

std::size_t flow_whole_limit(std::uint64_t flow, std::size_t max_datagram) {
  const std::size_t header = 1 + varint_size(flow);
  return max_datagram > header ? max_datagram - header : 0;
}

}  // namespace ztna::wire
