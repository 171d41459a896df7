#include "agent/shell_loopback.hpp"

#include <algorithm>

namespace ztna::agent {
namespace {

constexpr std::uint32_t per_octet = 254;

// FNV-1a, 32 bits: this mapping is seen by people and must never change.
std::uint32_t hash(std::string_view text) {
  std::uint32_t value = 2166136261U;
  for (const char c : text) {
    value ^= static_cast<std::uint8_t>(c);
    value *= 16777619U;
  }
  return value;
}

}  // namespace

base::Address loopback_address(std::string_view service, std::uint32_t attempt) {
  const std::uint32_t index = (hash(service) % loopback_addresses + attempt) % loopback_addresses;
  const auto x = static_cast<std::uint8_t>(1 + index / per_octet);
  const auto y = static_cast<std::uint8_t>(1 + index % per_octet);
  return base::Address::v4({127, 96, x, y}, 0);
}

bool assign_loopback(std::map<std::string, base::Address>& assigned, const std::string& service) {
  if (assigned.contains(service)) return false;
  for (std::uint32_t attempt = 0; attempt < loopback_addresses; ++attempt) {
    const base::Address choice = loopback_address(service, attempt);
    const bool taken =
        std::ranges::any_of(assigned, [&](const auto& entry) { return entry.second == choice; });
    if (taken) continue;
    assigned[service] = choice;
    return attempt > 0;
  }
  return false;
}

std::uint16_t high_port(std::uint16_t port) {
  constexpr int offset = 10000;
  return port + offset > 65535 ? std::uint16_t{0} : static_cast<std::uint16_t>(port + offset);
}

}  // namespace ztna::agent
