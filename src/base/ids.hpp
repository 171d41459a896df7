// Random identifiers, and where random octets come from.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>

#include "base/bytes.hpp"

namespace ztna::base {

// A source of random octets: the operating system's in the shell, a seeded one in the simulator.
class Random {
 public:
  Random() = default;
  Random(const Random&) = delete;
  Random& operator=(const Random&) = delete;
  virtual ~Random() = default;
  virtual void fill(MutableBytes out) = 0;

  [[nodiscard]] std::uint64_t u64() {
    std::array<std::uint8_t, 8> octets{};
    fill(octets);
    std::uint64_t value = 0;
    std::memcpy(&value, octets.data(), sizeof value);
    return value;
  }
};

// 128 random bits. The tag keeps a session id from being used as an incarnation.
template <class Tag>
struct Id128 {
  std::array<std::uint8_t, 16> octets{};

  [[nodiscard]] static Id128 make(Random& random) {
    Id128 id;
    random.fill(id.octets);
    return id;
  }
  // False when `bytes` is not 16 octets.
  [[nodiscard]] static bool from(BytesView bytes, Id128& out) {
    if (bytes.size() != 16) return false;
    std::memcpy(out.octets.data(), bytes.data(), 16);
    return true;
  }
  [[nodiscard]] std::string hex() const { return to_hex(octets); }
  [[nodiscard]] std::string short_hex() const { return to_hex(octets).substr(0, 8); }
  friend auto operator<=>(const Id128&, const Id128&) = default;
};

using SessionId = Id128<struct SessionTag>;          // one Agent↔Connector session
using IncarnationId = Id128<struct IncarnationTag>;  // one run of one daemon

}  // namespace ztna::base

template <class Tag>
struct std::hash<ztna::base::Id128<Tag>> {
  std::size_t operator()(const ztna::base::Id128<Tag>& id) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, id.octets.data(), sizeof value);
    return value;
  }
};
