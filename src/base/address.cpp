#include "base/address.hpp"

#include <arpa/inet.h>  // inet_pton and inet_ntop: text only, no I/O

#include <algorithm>
#include <charconv>

namespace ztna::base {
namespace {

Result<std::uint16_t> parse_port(std::string_view text, std::string_view whole) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > 65535) {
    return fail(ErrorCode::invalid_argument,
                "\"" + std::string(text) + "\" is not a port, expected 0 to 65535",
                std::string(whole));
  }
  return static_cast<std::uint16_t>(value);
}

}  // namespace

Address Address::v4(std::array<std::uint8_t, 4> octets, std::uint16_t port) {
  Address address;
  address.port_ = port;
  std::ranges::copy(octets, address.ip_.begin());
  return address;
}

Address Address::v6(const std::array<std::uint8_t, 16>& octets, std::uint16_t port) {
  static constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(mapped.begin(), mapped.end(), octets.begin())) {
    return v4({octets[12], octets[13], octets[14], octets[15]}, port);
  }
  Address address;
  address.family_ = Family::v6;
  address.port_ = port;
  address.ip_ = octets;
  return address;
}

Result<Address> Address::parse_ip(std::string_view ip, std::uint16_t port) {
  const std::string text(ip);
  std::array<std::uint8_t, 4> four{};
  if (inet_pton(AF_INET, text.c_str(), four.data()) == 1) return v4(four, port);
  std::array<std::uint8_t, 16> sixteen{};
  if (inet_pton(AF_INET6, text.c_str(), sixteen.data()) == 1) return v6(sixteen, port);
  return fail(ErrorCode::invalid_argument, "\"" + text + "\" is not an IP address");
}

Result<Address> Address::parse(std::string_view text) {
  const auto host_port = parse_host_port(text);
  if (!host_port) return tl::unexpected(host_port.error());
  return parse_ip(host_port->host, host_port->port);
}

BytesView Address::octets() const { return BytesView(ip_).first(family_ == Family::v4 ? 4 : 16); }

Address Address::with_port(std::uint16_t port) const {
  Address copy = *this;
  copy.port_ = port;
  return copy;
}

bool Address::is_unspecified() const {
  return std::ranges::all_of(octets(), [](std::uint8_t o) { return o == 0; });
}

bool Address::is_loopback() const {
  if (is_v4()) return ip_[0] == 127;
  return ip_[15] == 1 && std::all_of(ip_.begin(), ip_.begin() + 15, [](auto o) { return o == 0; });
}

bool Address::is_multicast() const {
  if (!is_v4()) return ip_[0] == 0xff;
  const bool broadcast = std::ranges::all_of(octets(), [](std::uint8_t o) { return o == 255; });
  return ip_[0] >> 4 == 14 || broadcast;
}

bool Address::is_link_local() const {
  if (is_v4()) return ip_[0] == 169 && ip_[1] == 254;
  return ip_[0] == 0xfe && (ip_[1] & 0xc0) == 0x80;
}

Address Address::prefix(unsigned bits) const {
  Address copy = with_port(0);
  for (std::size_t i = 0; i < copy.ip_.size(); ++i) {
    const unsigned start = static_cast<unsigned>(i) * 8;
    if (bits >= start + 8) continue;
    const unsigned keep = bits > start ? bits - start : 0;
    copy.ip_[i] &= static_cast<std::uint8_t>(0xff00 >> keep);
  }
  return copy;
}

std::string Address::ip() const {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(is_v4() ? AF_INET : AF_INET6, ip_.data(), text, sizeof text);
  return text;
}

std::string Address::to_string() const { return HostPort{ip(), port_}.to_string(); }

std::string HostPort::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<HostPort> parse_host_port(std::string_view text, std::uint16_t default_port) {
  const auto bad = [&](std::string why) {
    return fail(ErrorCode::invalid_argument, std::move(why), "\"" + std::string(text) + "\"");
  };
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return bad("missing \"]\" after the IPv6 address");
    host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && rest.front() != ':') return bad("expected \":PORT\" after \"]\"");
    if (!rest.empty()) port = rest.substr(1);
    if (!rest.empty() && port.empty()) return bad("missing port after \":\"");
  } else if (const auto colon = text.rfind(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.find(':') != std::string_view::npos) {
      return bad("an IPv6 address needs brackets, as in [2001:db8::1]:4433");
    }
    if (port.empty()) return bad("missing port after \":\"");
  }
  if (host.empty()) return bad("missing host, expected HOST:PORT");
  if (host.find_first_of(" \t\r\n/@?#") != std::string_view::npos) {
    return bad("is not a host and port, expected HOST:PORT");
  }
  if (port.empty()) {
    if (default_port == 0) return bad("missing port, expected HOST:PORT");
    return HostPort{std::string(host), default_port};
  }
  const auto number = parse_port(port, text);
  if (!number) return tl::unexpected(number.error());
  return HostPort{std::string(host), *number};
}

}  // namespace ztna::base
