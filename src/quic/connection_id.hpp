// Connection ids (RFC 9000 §5.1), one fixed length everywhere: octet 0 is the QUIC-LB configuration
// octet, 1–8 a server id, 9 a shard, 10–17 random. Nodes that stand behind no load balancer fill
// all of it at random.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>

#include "base/bytes.hpp"
#include "base/ids.hpp"

namespace ztna::quic {

inline constexpr std::size_t cid_length = 18;

// Any peer's connection id: up to 20 octets (RFC 9000 §17.2).
struct ConnectionId {
  std::uint8_t length = 0;
  std::array<std::uint8_t, 20> octets{};

  [[nodiscard]] static ConnectionId from(base::BytesView bytes) {
    ConnectionId id;
    id.length = static_cast<std::uint8_t>(bytes.size() < 20 ? bytes.size() : 20);
    std::memcpy(id.octets.data(), bytes.data(), id.length);
    return id;
  }
  [[nodiscard]] base::BytesView view() const { return base::BytesView(octets).first(length); }
  friend auto operator<=>(const ConnectionId&, const ConnectionId&) = default;
};

// How this process makes its ids.
struct ConnectionIdLayout {
  std::optional<std::array<std::uint8_t, 8>> server_id;  // set behind a QUIC-aware load balancer
  [[nodiscard]] ConnectionId make(base::Random& random) const;
};

}  // namespace ztna::quic

template <>
struct std::hash<ztna::quic::ConnectionId> {
  std::size_t operator()(const ztna::quic::ConnectionId& id) const noexcept {
    // Ours end in eight random octets; foreign ones (a client's first choice) are random from the
    // start (RFC 9000 §7.2: at least eight octets).
    std::size_t value = 0;
    if (id.length >= sizeof value) {
      std::memcpy(&value, id.octets.data() + id.length - sizeof value, sizeof value);
    }
    return value;
  }
};
