#include "wire/socks5.hpp"

#include <algorithm>

namespace ztna::wire::socks5 {
namespace {

constexpr std::uint8_t version = 5;

Parsed<Destination> failed(Outcome outcome) { return {0, outcome, {}}; }

std::string ip_text(base::BytesView octets) {
  if (octets.size() == 4) {
    return base::Address::v4({octets[0], octets[1], octets[2], octets[3]}, 0).ip();
  }
  std::array<std::uint8_t, 16> ip{};
  std::ranges::copy(octets, ip.begin());
  return base::Address::v6(ip, 0).ip();
}

// ATYP, address and port.
Parsed<Destination> parse_destination(base::BytesView input) {
  if (input.empty()) return failed(Outcome::incomplete);
  Destination to;
  to.type = static_cast<AddressType>(input[0]);
  std::size_t at = 1;
  std::size_t size = 0;
  switch (to.type) {
    case AddressType::v4: size = 4; break;
    case AddressType::v6: size = 16; break;
    case AddressType::domain:
      if (input.size() < 2) return failed(Outcome::incomplete);
      size = input[1];
      at = 2;
      if (size == 0) return failed(Outcome::malformed);
      break;
    default: return failed(Outcome::unknown_address_type);
  }
  if (input.size() < at + size + 2) return failed(Outcome::incomplete);
  const base::BytesView host = input.subspan(at, size);
  if (to.type == AddressType::domain) {
    // A name goes into logs and comparisons: nothing in it may be invisible.
    const auto visible = [](std::uint8_t octet) { return octet > 0x20 && octet < 0x7f; };
    if (!std::ranges::all_of(host, visible)) return failed(Outcome::malformed);
    to.host = base::as_text(host);
  } else {
    to.host = ip_text(host);
  }
  to.port = base::load_be16(input.data() + at + size);
  return {at + size + 2, Outcome::incomplete, std::move(to)};
}

Header encode_address(std::array<std::uint8_t, 3> start, const base::Address& address) {
  Header header;
  std::ranges::copy(start, header.octets.begin());
  header.octets[3] = static_cast<std::uint8_t>(address.is_v4() ? AddressType::v4 : AddressType::v6);
  const base::BytesView ip = address.octets();
  std::ranges::copy(ip, header.octets.begin() + 4);
  base::store_be16(header.octets.data() + 4 + ip.size(), address.port());
  header.size = 4 + ip.size() + 2;
  return header;
}

}  // namespace

Parsed<Methods> parse_methods(base::BytesView input) {
  if (!input.empty() && input[0] != version) return {0, Outcome::malformed, {}};
  if (input.size() < 2) return {};
  const std::size_t count = input[1];
  if (count == 0) return {0, Outcome::malformed, {}};
  if (input.size() < 2 + count) return {};
  const base::BytesView methods = input.subspan(2, count);
  const bool offered = std::ranges::find(methods, no_authentication) != methods.end();
  return {2 + count, Outcome::incomplete, {offered}};
}

std::array<std::uint8_t, 2> encode_method(std::uint8_t method) { return {version, method}; }

Parsed<Request> parse_request(base::BytesView input) {
  if (!input.empty() && input[0] != version) return {0, Outcome::malformed, {}};
  if (input.size() < 4) return {};
  if (input[2] != 0) return {0, Outcome::malformed, {}};
  const auto command = static_cast<Command>(input[1]);
  if (command != Command::connect && command != Command::udp_associate) {
    return {0, Outcome::unknown_command, {}};
  }
  auto destination = parse_destination(input.subspan(3));
  if (!destination) return {0, destination.outcome, {}};
  return {3 + destination.size, Outcome::incomplete, {command, std::move(destination.value)}};
}

Header encode_reply(Reply reply, const base::Address& bound) {
  return encode_address({version, static_cast<std::uint8_t>(reply), 0}, bound);
}

Parsed<Destination> parse_udp_header(base::BytesView packet) {
  constexpr std::size_t start = 3;  // two reserved octets and the fragment number
  if (packet.size() < start || packet[0] != 0 || packet[1] != 0 || packet[2] != 0) {
    return failed(Outcome::malformed);
  }
  auto destination = parse_destination(packet.subspan(start));
  if (!destination) return failed(Outcome::malformed);
  destination.size += start;
  return destination;
}

Header encode_udp_header(const base::Address& source) { return encode_address({0, 0, 0}, source); }

std::size_t encode_udp_header(const Destination& source, base::MutableBytes out) {
  if (source.type != AddressType::domain) {
    const auto address = base::Address::parse_ip(source.host, source.port);
    if (!address) return 0;
    const Header header = encode_udp_header(*address);
    std::ranges::copy(header.view(), out.begin());
    return header.size;
  }
  const std::size_t size = source.host.size();
  if (size == 0 || size > 255) return 0;
  std::ranges::fill(out.first(3), std::uint8_t{0});
  out[3] = static_cast<std::uint8_t>(AddressType::domain);
  out[4] = static_cast<std::uint8_t>(size);
  std::ranges::copy(base::as_bytes(source.host), out.begin() + 5);
  base::store_be16(out.data() + 5 + size, source.port);
  return 5 + size + 2;
}

}  // namespace ztna::wire::socks5
