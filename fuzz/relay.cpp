// Relay DATAGRAMs, each as (milliseconds since the last, length, octets), through parser and
// reassembler.
#include "wire/relay.hpp"

#include "fuzz/input.hpp"
#include "wire/relay_reassembler.hpp"

using namespace ztna;

namespace {

void round_trip(const wire::RelayPacket& packet) {
  std::array<std::uint8_t, wire::RelayHeader::max_size> header{};
  const std::size_t size = packet.header.encode(header);
  FUZZ_ASSERT(size == packet.header.size() && size <= header.size());
  base::Bytes again(header.begin(), header.begin() + static_cast<std::ptrdiff_t>(size));
  again.insert(again.end(), packet.payload.begin(), packet.payload.end());
  const auto parsed = wire::parse_relay(again);
  FUZZ_ASSERT(parsed && parsed->header.channel == packet.header.channel);
  FUZZ_ASSERT(parsed->header.ecn == packet.header.ecn && parsed->header.pair == packet.header.pair);
  FUZZ_ASSERT(parsed->header.fragment == packet.header.fragment);
  FUZZ_ASSERT(parsed->header.second == packet.header.second);
  FUZZ_ASSERT(parsed->header.whole_only == packet.header.whole_only);
  FUZZ_ASSERT(std::ranges::equal(parsed->payload, packet.payload));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const wire::RelayReassembler::Limits limits{
      .pairs = 4, .half_size = 100, .max_age = std::chrono::milliseconds(300)};
  wire::RelayReassembler reassembler(limits);
  base::Time now{};
  while (!input.empty()) {
    now += std::chrono::milliseconds(input.octet());
    const auto packet = wire::parse_relay(input.piece());
    if (!packet) continue;
    FUZZ_ASSERT(!packet->payload.empty() && packet->header.channel != 0);
    round_trip(*packet);
    if (!packet->header.fragment) continue;
    const auto joined = reassembler.add(*packet, now);
    FUZZ_ASSERT(reassembler.pending() <= limits.pairs);
    FUZZ_ASSERT(reassembler.pending_octets() <= limits.pairs * limits.half_size);
    if (!joined) continue;
    FUZZ_ASSERT(joined->channel == packet->header.channel);
    FUZZ_ASSERT(joined->payload.size() > packet->payload.size());
    const auto own = packet->header.second ? joined->payload.last(packet->payload.size())
                                           : joined->payload.first(packet->payload.size());
    FUZZ_ASSERT(std::ranges::equal(own, packet->payload));
  }
  return 0;
}
