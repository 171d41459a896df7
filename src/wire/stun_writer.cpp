#include <algorithm>
#include <array>

#include "wire/stun.hpp"
#include "wire/stun_integrity.hpp"

namespace ztna::wire::stun {

Writer::Writer(base::MutableBytes out, Class message_class, std::uint16_t method,
               const TransactionId& transaction)
    : out_(out) {
  if (out_.size() < header_size) {
    failed_ = true;
    return;
  }
  const auto bits = static_cast<unsigned>(message_class);
  const unsigned type = (method & 0x000fu) | (method & 0x0070u) << 1 | (method & 0x0f80u) << 2 |
                        (bits & 1) << 4 | (bits & 2) << 7;
  base::store_be16(out_.data(), static_cast<std::uint16_t>(type));
  base::store_be16(out_.data() + 2, 0);
  std::ranges::copy(transaction.octets, out_.begin() + 4);
  size_ = header_size;
}

base::MutableBytes Writer::append(Attribute type, std::size_t size) {
  constexpr std::size_t max_length = 65532;  // of all attributes: 16 bits, a multiple of four
  const std::size_t padded = (size + 3) / 4 * 4;
  const std::size_t room = failed_ ? 0 : std::min(out_.size(), header_size + max_length) - size_;
  if (size > max_length || 4 + padded > room) {
    failed_ = true;
    return {};
  }
  const base::MutableBytes attribute = out_.subspan(size_, 4 + padded);
  base::store_be16(attribute.data(), static_cast<std::uint16_t>(type));
  base::store_be16(attribute.data() + 2, static_cast<std::uint16_t>(size));
  std::ranges::fill(attribute.subspan(4), std::uint8_t{0});
  size_ += attribute.size();
  base::store_be16(out_.data() + 2, static_cast<std::uint16_t>(size_ - header_size));
  return attribute.subspan(4, size);
}

void Writer::add(Attribute type, base::BytesView value) {
  const base::MutableBytes out = append(type, value.size());
  if (!failed_) std::ranges::copy(value, out.begin());
}

void Writer::add_u32(Attribute type, std::uint32_t value) {
  const base::MutableBytes out = append(type, 4);
  if (!failed_) base::store_be32(out.data(), value);
}

void Writer::add_address(Attribute type, const base::Address& address) {
  const base::BytesView ip = address.octets();
  const base::MutableBytes out = append(type, 4 + ip.size());
  if (failed_) return;
  out[1] = address.is_v4() ? 1 : 2;
  base::store_be16(out.data() + 2, address.port());
  std::ranges::copy(ip, out.begin() + 4);
  if (type != Attribute::xor_mapped_address) return;
  const base::BytesView key = out_.subspan(4, 16);  // the transaction id, cookie included
  for (std::size_t i = 0; i < 2; ++i) out[2 + i] ^= key[i];
  for (std::size_t i = 0; i < ip.size(); ++i) out[4 + i] ^= key[i];
}

void Writer::add_error(unsigned code, std::string_view reason) {
  const base::MutableBytes out = append(Attribute::error_code, 4 + reason.size());
  if (failed_) return;
  out[2] = static_cast<std::uint8_t>(code / 100);
  out[3] = static_cast<std::uint8_t>(code % 100);
  std::ranges::copy(base::as_bytes(reason), out.begin() + 4);
}

void Writer::add_unknown(std::span<const std::uint16_t> types) {
  const base::MutableBytes out = append(Attribute::unknown_attributes, 2 * types.size());
  if (failed_) return;
  for (std::size_t i = 0; i < types.size(); ++i) base::store_be16(out.data() + 2 * i, types[i]);
}

void Writer::add_padding(std::size_t octets) { append(Attribute::padding, octets); }

void Writer::add_integrity(base::BytesView key) {
  add_hmac(Attribute::message_integrity, sha1_size, key);
}

void Writer::add_integrity_sha256(base::BytesView key) {
  add_hmac(Attribute::message_integrity_sha256, sha256_size, key);
}

void Writer::add_hmac(Attribute type, std::size_t size, base::BytesView key) {
  const std::size_t at = size_;
  const base::MutableBytes out = append(type, size);
  if (!failed_ && !integrity(type, key, out_, at, out)) failed_ = true;
}

void Writer::add_fingerprint() {
  const std::size_t at = size_;
  const base::MutableBytes out = append(Attribute::fingerprint, 4);
  if (!failed_) base::store_be32(out.data(), fingerprint(out_.first(at)));
}

base::BytesView Writer::message() const {
  return failed_ ? base::BytesView{} : base::BytesView(out_.first(size_));
}

}  // namespace ztna::wire::stun
