#include "wire/stun_integrity.hpp"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <algorithm>
#include <array>

namespace ztna::wire::stun {
namespace {

// CRC-32 of ITU-T V.42, reflected.
constexpr std::array<std::uint32_t, 256> crc_table = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    table[i] = crc;
  }
  return table;
}();

}  // namespace

bool integrity(Attribute type, base::BytesView key, base::BytesView message, std::size_t end,
               base::MutableBytes out) {
  const bool sha1 = type == Attribute::message_integrity;
  if (out.size() != (sha1 ? sha1_size : sha256_size)) return false;
  // The header as it would be if nothing followed the HMAC.
  std::array<std::uint8_t, header_size> header{};
  std::copy_n(message.begin(), header_size, header.begin());
  base::store_be16(header.data() + 2,
                   static_cast<std::uint16_t>(end - header_size + 4 + out.size()));

  gnutls_hmac_hd_t hmac = nullptr;
  if (gnutls_hmac_init(&hmac, sha1 ? GNUTLS_MAC_SHA1 : GNUTLS_MAC_SHA256, key.data(), key.size()) <
      0) {
    return false;
  }
  const base::BytesView body = message.subspan(header_size, end - header_size);
  const bool ok = gnutls_hmac(hmac, header.data(), header.size()) == 0 &&
                  (body.empty() || gnutls_hmac(hmac, body.data(), body.size()) == 0);
  gnutls_hmac_deinit(hmac, out.data());
  return ok;
}

std::uint32_t fingerprint(base::BytesView covered) {
  std::uint32_t crc = 0xffffffff;
  for (const std::uint8_t octet : covered) crc = crc >> 8 ^ crc_table[(crc ^ octet) & 0xff];
  constexpr std::uint32_t stun = 0x5354554e;  // "STUN"
  return ~crc ^ stun;
}

}  // namespace ztna::wire::stun
