// The checksums of STUN, shared by reader and writer: HMACs by GnuTLS and FINGERPRINT's CRC-32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"
#include "wire/stun.hpp"

namespace ztna::wire::stun {

inline constexpr std::size_t sha1_size = 20;
inline constexpr std::size_t sha256_size = 32;

// HMAC over the message up to `end`, which is where the attribute `type` (MESSAGE-INTEGRITY or
// MESSAGE-INTEGRITY-SHA256) stands, as if the message ended behind it. `out` has that HMAC's size.
[[nodiscard]] bool integrity(Attribute type, base::BytesView key, base::BytesView message,
                             std::size_t end, base::MutableBytes out);

// The value of a FINGERPRINT that stands behind `covered` (RFC 8489 §14.7).
[[nodiscard]] std::uint32_t fingerprint(base::BytesView covered);

}  // namespace ztna::wire::stun
