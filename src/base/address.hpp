// An IP address with a port, as a value. IPv4-mapped IPv6 addresses are normalised to IPv4 when one
// is made, so that no later check can be fooled by the other spelling.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace ztna::base {

enum class Family : std::uint8_t { v4, v6 };

class Address {
 public:
  Address() = default;  // 0.0.0.0:0

  // Network order octets.
  static Address v4(std::array<std::uint8_t, 4> octets, std::uint16_t port);
  static Address v6(const std::array<std::uint8_t, 16>& octets, std::uint16_t port);

  // "192.0.2.1:4433" or "[2001:db8::1]:4433". Host names and scope ids are refused.
  [[nodiscard]] static Result<Address> parse(std::string_view text);
  // "192.0.2.1" or "2001:db8::1" (no brackets).
  [[nodiscard]] static Result<Address> parse_ip(std::string_view ip, std::uint16_t port);

  [[nodiscard]] Family family() const { return family_; }
  [[nodiscard]] bool is_v4() const { return family_ == Family::v4; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  // 4 or 16 octets in network order.
  [[nodiscard]] BytesView octets() const;
  [[nodiscard]] Address with_port(std::uint16_t port) const;

  [[nodiscard]] bool is_unspecified() const;
  [[nodiscard]] bool is_loopback() const;
  [[nodiscard]] bool is_multicast() const;  // v4 limited broadcast included
  [[nodiscard]] bool is_link_local() const;

  // The first `bits` bits of the address with the rest zero and port 0: a key for rate limits.
  [[nodiscard]] Address prefix(unsigned bits) const;

  [[nodiscard]] std::string ip() const;         // "192.0.2.1", "2001:db8::1"
  [[nodiscard]] std::string to_string() const;  // "192.0.2.1:4433", "[2001:db8::1]:4433"

  friend auto operator<=>(const Address&, const Address&) = default;

 private:
  Family family_ = Family::v4;
  std::uint16_t port_ = 0;
  std::array<std::uint8_t, 16> ip_{};  // v4 uses the first four
};

struct HostPort {
  std::string host;  // an IP literal without brackets, or a DNS name
  std::uint16_t port = 0;
  [[nodiscard]] std::string to_string() const;
  friend auto operator<=>(const HostPort&, const HostPort&) = default;
};

// "host:port", "1.2.3.4:port" or "[v6]:port"; the port may be left out when `default_port` is not
// 0.
[[nodiscard]] Result<HostPort> parse_host_port(std::string_view text,
                                               std::uint16_t default_port = 0);

}  // namespace ztna::base

template <>
struct std::hash<ztna::base::Address> {
  std::size_t operator()(const ztna::base::Address& address) const noexcept {
    std::size_t h = address.port() + (address.is_v4() ? 0x9e3779b97f4a7c15ULL : 0);
    for (const std::uint8_t octet : address.octets()) h = (h ^ octet) * 0x100000001b3ULL;
    return h;
  }
};
