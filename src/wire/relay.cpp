#include "wire/relay.hpp"

#include "wire/varint.hpp"

namespace ztna::wire {
namespace {

constexpr std::uint8_t ecn_mask = 0x03;
constexpr std::uint8_t fragment_bit = 0x04;
constexpr std::uint8_t second_bit = 0x08;
constexpr std::uint8_t whole_only_bit = 0x10;
constexpr std::size_t pair_size = 2;

std::size_t whole_header(std::uint32_t channel) { return 1 + varint_size(channel); }

std::size_t room(std::size_t limit, std::size_t header) {
  return limit > header ? limit - header : 0;
}

}  // namespace

std::size_t RelayHeader::size() const { return whole_header(channel) + (fragment ? pair_size : 0); }

std::size_t RelayHeader::encode(std::array<std::uint8_t, max_size>& out) const {
  out[0] = static_cast<std::uint8_t>((ecn & ecn_mask) | (fragment ? fragment_bit : 0) |
                                     (fragment && second ? second_bit : 0) |
                                     (whole_only && !fragment ? whole_only_bit : 0));
  std::size_t at = 1 + encode_varint(out.data() + 1, channel & relay_channel_max);
  if (fragment) {
    base::store_be16(out.data() + at, pair);
    at += pair_size;
  }
  return at;
}

std::optional<RelayPacket> parse_relay(base::BytesView datagram) {
  if (datagram.empty()) return std::nullopt;
  const std::uint8_t flags = datagram[0];
  if (flags & ~(ecn_mask | fragment_bit | second_bit | whole_only_bit)) return std::nullopt;
  RelayPacket packet;
  packet.header.ecn = flags & ecn_mask;
  packet.header.fragment = flags & fragment_bit;
  packet.header.second = flags & second_bit;
  packet.header.whole_only = flags & whole_only_bit;
  if (packet.header.second && !packet.header.fragment) return std::nullopt;
  if (packet.header.whole_only && packet.header.fragment) return std::nullopt;
  if (packet.header.whole_only && packet.header.fragment) return std::nullopt;
  const Varint channel = decode_varint(datagram.subspan(1));
  if (channel.size == 0 || channel.value == 0 || channel.value > relay_channel_max) {
    return std::nullopt;
  }
  packet.header.channel = static_cast<std::uint32_t>(channel.value);
  packet.payload = datagram.subspan(1 + channel.size);
  if (packet.header.fragment) {
    if (packet.payload.size() < pair_size) return std::nullopt;
    packet.header.pair = base::load_be16(packet.payload.data());
    packet.payload = packet.payload.subspan(pair_size);
  }
  if (packet.payload.empty()) return std::nullopt;
  return packet;
}

RelaySplit relay_split(std::uint32_t channel, std::size_t packet, std::size_t max_datagram) {
  if (packet == 0) return {};
  if (packet <= relay_whole_limit(channel, max_datagram)) return {RelayFit::whole, packet};
  if (packet > relay_halves_limit(channel, max_datagram)) return {};
  return {RelayFit::halves, (packet + 1) / 2};
}

std::size_t relay_whole_limit(std::uint32_t channel, std::size_t max_datagram) {
  return room(max_datagram, whole_header(channel));
}

std::size_t relay_halves_limit(std::uint32_t channel, std::size_t max_datagram) {
  return 2 * room(max_datagram, whole_header(channel) + pair_size);
}

}  // namespace ztna::wire
