#include <algorithm>

#include "base/secret.hpp"
#include "wire/stun.hpp"
#include "wire/stun_integrity.hpp"

namespace ztna::wire::stun {
namespace {

constexpr std::size_t padded(std::size_t size) { return (size + 3) / 4 * 4; }

std::optional<base::Address> decode_address(base::BytesView value, const TransactionId* key) {
  if (value.size() < 4) return std::nullopt;
  constexpr std::uint8_t v4 = 1;
  constexpr std::uint8_t v6 = 2;
  const std::uint8_t family = value[1];
  if (value.size() != (family == v4 ? 8u : 20u) || (family != v4 && family != v6)) {
    return std::nullopt;
  }
  std::array<std::uint8_t, 16> ip{};
  std::copy(value.begin() + 4, value.end(), ip.begin());
  std::uint16_t port = base::load_be16(value.data() + 2);
  if (key != nullptr) {
    port = static_cast<std::uint16_t>(port ^ base::load_be16(key->octets.data()));
    for (std::size_t i = 0; i < ip.size(); ++i) ip[i] ^= key->octets[i];
  }
  if (family == v6) return base::Address::v6(ip, port);
  return base::Address::v4({ip[0], ip[1], ip[2], ip[3]}, port);
}

}  // namespace

TransactionId TransactionId::make(base::Random& random) {
  TransactionId id;
  base::store_be32(id.octets.data(), magic_cookie);
  random.fill(base::MutableBytes(id.octets).subspan(4));
  return id;
}

bool is_stun(base::BytesView datagram) {
  if (datagram.size() < header_size || (datagram[0] & 0xc0) != 0) return false;
  if (base::load_be32(datagram.data() + 4) == magic_cookie) return true;
  const std::size_t length = base::load_be16(datagram.data() + 2);
  return length % 4 == 0 && length + header_size == datagram.size();
}

std::optional<Message> Message::parse(base::BytesView datagram) {
  if (!is_stun(datagram)) return std::nullopt;
  const std::size_t length = base::load_be16(datagram.data() + 2);
  if (length % 4 != 0 || length + header_size != datagram.size()) return std::nullopt;
  Message message;
  message.datagram_ = datagram;
  std::copy_n(datagram.begin() + 4, message.transaction_.octets.size(),
              message.transaction_.octets.begin());
  if (!message.index_attributes()) return std::nullopt;
  return message;
}

bool Message::index_attributes() {
  attributes_end_ = datagram_.size();
  for (std::size_t at = header_size; at < datagram_.size();) {
    // The end is a multiple of four, and so is `at`: the attribute's header is there.
    const auto type = static_cast<Attribute>(base::load_be16(datagram_.data() + at));
    const std::size_t size = base::load_be16(datagram_.data() + at + 2);
    if (padded(size) > datagram_.size() - at - 4) return false;
    if (!note_trailer(type, at, size)) return false;
    at += 4 + padded(size);
  }
  return true;
}

// False when an integrity attribute has a wrong size, or something follows FINGERPRINT.
bool Message::note_trailer(Attribute type, std::size_t at, std::size_t size) {
  if (fingerprint_ != 0) return false;
  if (type == Attribute::fingerprint) {
    if (size != 4) return false;
    fingerprint_ = at;
  } else if (type == Attribute::message_integrity_sha256 && integrity_sha256_ == 0) {
    if (size != sha256_size) return false;
    integrity_sha256_ = at;
  } else if (type == Attribute::message_integrity && integrity_ == 0 && integrity_sha256_ == 0) {
    if (size != sha1_size) return false;
    integrity_ = at;
  } else {
    return true;
  }
  attributes_end_ = std::min(attributes_end_, at);
  return true;
}

Class Message::message_class() const {
  const unsigned type = base::load_be16(datagram_.data());
  return static_cast<Class>((type >> 7 & 2) | (type >> 4 & 1));
}

std::uint16_t Message::method() const {
  const unsigned type = base::load_be16(datagram_.data());
  return static_cast<std::uint16_t>((type & 0x000f) | (type >> 1 & 0x0070) | (type >> 2 & 0x0f80));
}

std::optional<base::BytesView> Message::find(Attribute type) const {
  std::optional<base::BytesView> found;
  for_each([&](Attribute candidate, base::BytesView value) {
    if (!found && candidate == type) found = value;
  });
  return found;
}

std::optional<base::Address> Message::address(Attribute type) const {
  const auto value = find(type);
  if (!value) return std::nullopt;
  return decode_address(*value, type == Attribute::xor_mapped_address ? &transaction_ : nullptr);
}

std::optional<std::uint32_t> Message::u32(Attribute type) const {
  const auto value = find(type);
  if (!value || value->size() != 4) return std::nullopt;
  return base::load_be32(value->data());
}

std::optional<ErrorCode> Message::error() const {
  const auto value = find(Attribute::error_code);
  if (!value || value->size() < 4) return std::nullopt;
  const unsigned hundreds = (*value)[2] & 7;
  const unsigned rest = (*value)[3];
  if (hundreds < 3 || hundreds > 6 || rest > 99) return std::nullopt;
  return ErrorCode{hundreds * 100 + rest, base::as_text(value->subspan(4))};
}

bool Message::check_integrity(base::BytesView key) const {
  std::array<std::uint8_t, sha1_size> expected{};
  return has_integrity() &&
         integrity(Attribute::message_integrity, key, datagram_, integrity_, expected) &&
         base::equal_constant_time(expected, datagram_.subspan(integrity_ + 4, sha1_size));
}

bool Message::check_integrity_sha256(base::BytesView key) const {
  std::array<std::uint8_t, sha256_size> expected{};
  return has_integrity_sha256() &&
         integrity(Attribute::message_integrity_sha256, key, datagram_, integrity_sha256_,
                   expected) &&
         base::equal_constant_time(expected, datagram_.subspan(integrity_sha256_ + 4, sha256_size));
}

bool Message::check_fingerprint() const {
  return has_fingerprint() && base::load_be32(datagram_.data() + fingerprint_ + 4) ==
                                  fingerprint(datagram_.first(fingerprint_));
}

}  // namespace ztna::wire::stun
