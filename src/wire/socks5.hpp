// SOCKS version 5 (RFC 1928), the server's side: no authentication, CONNECT and UDP ASSOCIATE.
//
// Parsers are given what has arrived so far, from the start, and are asked again when there is
// more; nothing they wait for is longer than max_request. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/address.hpp"
#include "base/bytes.hpp"

namespace ztna::wire::socks5 {

inline constexpr std::size_t max_request = 4 + 1 + 255 + 2;

enum class Outcome : std::uint8_t {
  incomplete,           // more octets are needed
  malformed,            // not SOCKS 5: close
  unknown_command,      // reply `command_not_supported`
  unknown_address_type  // reply `address_type_not_supported`
};

enum class Command : std::uint8_t { connect = 1, bind = 2, udp_associate = 3 };
enum class AddressType : std::uint8_t { v4 = 1, domain = 3, v6 = 4 };

enum class Reply : std::uint8_t {  // RFC 1928 §6
  succeeded = 0,
  general_failure = 1,
  not_allowed = 2,
  network_unreachable = 3,
  host_unreachable = 4,
  connection_refused = 5,
  ttl_expired = 6,
  command_not_supported = 7,
  address_type_not_supported = 8,
};

inline constexpr std::uint8_t no_authentication = 0x00;
inline constexpr std::uint8_t no_acceptable_method = 0xff;

// `size` octets of the input made up `value`; 0: see `outcome`.
template <class T>
struct Parsed {
  std::size_t size = 0;
  Outcome outcome = Outcome::incomplete;
  T value{};
  explicit operator bool() const { return size != 0; }
};

struct Methods {
  bool no_authentication = false;  // the client offers it
};
[[nodiscard]] Parsed<Methods> parse_methods(base::BytesView input);
// The answer: `no_authentication` or `no_acceptable_method`.
[[nodiscard]] std::array<std::uint8_t, 2> encode_method(std::uint8_t method);

struct Destination {
  AddressType type = AddressType::v4;
  std::string host;  // an IP literal without brackets, or a name of 1 … 255 visible ASCII octets
  std::uint16_t port = 0;
};

struct Request {
  Command command = Command::connect;  // bind is refused as unknown_command
  Destination destination;
};
[[nodiscard]] Parsed<Request> parse_request(base::BytesView input);

// A message of at most 22 octets: a reply, or the header of a UDP packet.
struct Header {
  std::array<std::uint8_t, 22> octets{};
  std::size_t size = 0;
  [[nodiscard]] base::BytesView view() const { return base::BytesView(octets).first(size); }
};
[[nodiscard]] Header encode_reply(Reply reply, const base::Address& bound);

// The header in front of each UDP payload (RFC 1928 §7). `size` octets precede the payload, which
// may be empty. Fragments are malformed to us, as the RFC allows; so is what is cut short.
[[nodiscard]] Parsed<Destination> parse_udp_header(base::BytesView packet);
[[nodiscard]] Header encode_udp_header(const base::Address& source);
// For an answer from what the client named: the same destination back. `out` has max_request
// octets of room; returns the octets used, 0 when the destination's type and host do not agree.
[[nodiscard]] std::size_t encode_udp_header(const Destination& source, base::MutableBytes out);

}  // namespace ztna::wire::socks5
