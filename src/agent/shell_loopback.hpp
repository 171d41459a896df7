// Which loopback address a service has under --auto-forward: 127.96.x.y by a hash of its name, so
// that it is the same on every machine and after every restart. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/address.hpp"

namespace ztna::agent {

// The choice number `attempt` for this name, port 0; x and y are 1 … 254. Attempts 0, 1, 2 … reach
// every address there is, each once.
[[nodiscard]] base::Address loopback_address(std::string_view service, std::uint32_t attempt);
inline constexpr std::uint32_t loopback_addresses = 254 * 254;

// Gives `service` the first of its choices that nobody has, unless it has one already. A name keeps
// its address as long as `assigned` lives. True: it did not get its first choice.
bool assign_loopback(std::map<std::string, base::Address>& assigned, const std::string& service);

// Where to listen when the service's own port cannot be had: 10000 + port, or any (0) beyond 65535.
[[nodiscard]] std::uint16_t high_port(std::uint16_t port);

}  // namespace ztna::agent
