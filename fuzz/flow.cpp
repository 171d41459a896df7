// Session DATAGRAMs, each as (milliseconds since the last, length, octets), through parser and
// reassembler; then the whole input as one payload through the fragmenter and back.
#include <optional>

#include "fuzz/input.hpp"
#include "wire/flow_datagram.hpp"
#include "wire/flow_reassembler.hpp"

using namespace ztna;

namespace {

base::Bytes encode(const wire::FlowDatagram& datagram) {
  std::array<std::uint8_t, wire::FlowDatagramHeader::max_size> header{};
  const std::size_t size = datagram.header.encode(header);
  FUZZ_ASSERT(size == datagram.header.size() && size <= header.size());
  base::Bytes bytes(header.begin(), header.begin() + static_cast<std::ptrdiff_t>(size));
  bytes.insert(bytes.end(), datagram.payload.begin(), datagram.payload.end());
  return bytes;
}

void receive_hostile(fuzz::Input input) {
  const wire::FlowReassembler::Limits limits{
      .octets = 4096, .packets = 6, .max_age = std::chrono::milliseconds(300), .reordering = 64};
  wire::FlowReassembler reassembler(limits);
  base::Time now{};
  while (!input.empty()) {
    now += std::chrono::milliseconds(input.octet());
    const auto datagram = wire::parse_flow_datagram(input.piece());
    if (!datagram) continue;
    const base::Bytes again = encode(*datagram);
    const auto parsed = wire::parse_flow_datagram(again);
    FUZZ_ASSERT(parsed && parsed->header.flow == datagram->header.flow);
    FUZZ_ASSERT(std::ranges::equal(parsed->payload, datagram->payload));
    if (!datagram->header.fragmented) continue;
    const auto payload = reassembler.add(*datagram, now);
    FUZZ_ASSERT(reassembler.pending() <= limits.packets);
    FUZZ_ASSERT(reassembler.pending_octets() <= limits.octets);
    if (!payload) continue;
    FUZZ_ASSERT(payload->size() >= datagram->header.count);
    FUZZ_ASSERT(payload->size() <= wire::udp_max_payload);
  }
}

void cut_and_join(fuzz::Input input) {
  const std::uint64_t flow = input.octet();
  const std::size_t limit = 8 + std::size_t{input.octet()};
  const bool backwards = (input.octet() & 1) != 0;
  const base::BytesView payload = input.rest();
  const wire::FlowFragmenter cut(flow, 1, payload, limit);
  if (cut.count() == 0) {
    FUZZ_ASSERT(payload.size() > wire::flow_whole_limit(flow, limit));
    return;
  }
  if (cut.count() == 1) {
    FUZZ_ASSERT(encode(cut.piece(0)).size() <= limit);
    return;
  }
  wire::FlowReassembler reassembler;
  for (std::size_t i = 0; i < cut.count(); ++i) {
    const base::Bytes bytes = encode(cut.piece(backwards ? cut.count() - 1 - i : i));
    FUZZ_ASSERT(bytes.size() <= limit);
    const auto parsed = wire::parse_flow_datagram(bytes);
    FUZZ_ASSERT(parsed);
    const auto joined = reassembler.add(*parsed, base::Time{});
    FUZZ_ASSERT(joined.has_value() == (i + 1 == cut.count()));
    if (joined) FUZZ_ASSERT(std::ranges::equal(*joined, payload));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > wire::udp_max_payload) return 0;
  receive_hostile(fuzz::Input(data, size));
  cut_and_join(fuzz::Input(data, size));
  return 0;
}
