// AES-128-GCM packet protection (RFC 9001 §5.3) and AES header protection (§5.4.3), with two
// interchangeable back ends: GnuTLS everywhere, libipsec-mb on x86-64 with wide AES instructions,
// which is about twice as fast for whole connections.
//
// Threading: key objects belong to one connection; back ends are immutable and shared.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace ztna::quic {

inline constexpr std::size_t aead_key_length = 16;
inline constexpr std::size_t aead_nonce_length = 12;
inline constexpr std::size_t aead_tag_length = 16;
inline constexpr std::size_t header_sample_length = 16;
inline constexpr std::size_t header_mask_length = 5;

// One packet protection key.
class PacketKey {
 public:
  PacketKey() = default;
  PacketKey(const PacketKey&) = delete;
  PacketKey& operator=(const PacketKey&) = delete;
  virtual ~PacketKey() = default;
  // Writes plaintext.size() + 16 octets to `out`, which may be where the plaintext is.
  [[nodiscard]] virtual bool seal(std::uint8_t* out, base::BytesView plaintext,
                                  const std::uint8_t* nonce, base::BytesView associated) = 0;
  // `sealed` ends in the tag. Writes sealed.size() - 16 octets; false, and nothing to be used, when
  // the tag is wrong.
  [[nodiscard]] virtual bool open(std::uint8_t* out, base::BytesView sealed,
                                  const std::uint8_t* nonce, base::BytesView associated) = 0;
};

// One header protection key.
class HeaderKey {
 public:
  HeaderKey() = default;
  HeaderKey(const HeaderKey&) = delete;
  HeaderKey& operator=(const HeaderKey&) = delete;
  virtual ~HeaderKey() = default;
  // Reads header_sample_length octets, writes header_mask_length.
  [[nodiscard]] virtual bool mask(std::uint8_t* out, const std::uint8_t* sample) = 0;
};

class AeadBackend {
 public:
  AeadBackend() = default;
  AeadBackend(const AeadBackend&) = delete;
  AeadBackend& operator=(const AeadBackend&) = delete;
  virtual ~AeadBackend() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  // Keys are aead_key_length octets. Null when the library fails.
  [[nodiscard]] virtual std::unique_ptr<PacketKey> packet_key(const std::uint8_t* key) const = 0;
  [[nodiscard]] virtual std::unique_ptr<HeaderKey> header_key(const std::uint8_t* key) const = 0;
};

[[nodiscard]] const AeadBackend& gnutls_backend();
// Null when the library was not there at build time or this CPU gains nothing from it.
[[nodiscard]] const AeadBackend* ipsec_mb_backend();

// Chooses what connections made from now on use: by name ("gnutls", "ipsec-mb"), or the best for
// this CPU. Call it at start-up, before other threads exist; without it the best is used.
[[nodiscard]] base::Status select_aead(std::optional<std::string_view> name);
[[nodiscard]] const AeadBackend& selected_aead();

}  // namespace ztna::quic
