// STUN messages (RFC 8489), with the attributes of NAT behaviour discovery (RFC 5780) and the form
// of RFC 3489 that old tools speak ("classic": no magic cookie, 128-bit transaction id).
//
// Reading makes views into the datagram and writing fills the caller's buffer: nothing is allocated
// but by GnuTLS inside an HMAC. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/ids.hpp"

namespace ztna::wire::stun {

inline constexpr std::uint32_t magic_cookie = 0x2112a442;
inline constexpr std::size_t header_size = 20;
inline constexpr std::uint16_t binding = 0x001;  // the only method we speak

enum class Class : std::uint8_t { request = 0, indication = 1, success = 2, error = 3 };

// Types below 0x8000 must be understood by who reads them (RFC 8489 §14).
enum class Attribute : std::uint16_t {
  mapped_address = 0x0001,
  change_request = 0x0003,   // RFC 5780 §7.2
  source_address = 0x0004,   // RFC 3489
  changed_address = 0x0005,  // RFC 3489
  username = 0x0006,
  message_integrity = 0x0008,
  error_code = 0x0009,
  unknown_attributes = 0x000a,
  message_integrity_sha256 = 0x001c,
  xor_mapped_address = 0x0020,
  padding = 0x0026,        // RFC 5780 §7.6
  response_port = 0x0027,  // RFC 5780 §7.5
  software = 0x8022,
  fingerprint = 0x8028,
  response_origin = 0x802b,  // RFC 5780 §7.3
  other_address = 0x802c,    // RFC 5780 §7.4
};

// The flags of CHANGE-REQUEST.
inline constexpr std::uint32_t change_ip = 0x4;
inline constexpr std::uint32_t change_port = 0x2;

// Octets 4 to 19 of a message: the magic cookie and 96 random bits, or the 128 random bits of a
// classic message.
struct TransactionId {
  std::array<std::uint8_t, 16> octets{};

  [[nodiscard]] static TransactionId make(base::Random& random);
  [[nodiscard]] bool classic() const { return base::load_be32(octets.data()) != magic_cookie; }
  friend auto operator<=>(const TransactionId&, const TransactionId&) = default;
};

// Tells STUN from QUIC on one socket (RFC 9443): the first two bits are 00, and either the magic
// cookie is there or the length is exactly that of the datagram. A cheap test, not a verdict:
// Message::parse() may still refuse it.
[[nodiscard]] bool is_stun(base::BytesView datagram);

struct ErrorCode {
  unsigned code = 0;  // 300 … 699
  std::string_view reason;
};

// A parsed message: a view, valid as long as the datagram is.
class Message {
 public:
  // Nothing when it is not exactly one well-formed message. A FINGERPRINT is not checked yet.
  [[nodiscard]] static std::optional<Message> parse(base::BytesView datagram);

  [[nodiscard]] Class message_class() const;
  [[nodiscard]] std::uint16_t method() const;
  [[nodiscard]] const TransactionId& transaction() const { return transaction_; }
  [[nodiscard]] bool classic() const { return transaction_.classic(); }

  // Calls visit(type, value) for each attribute in order, up to the integrity attributes: what
  // stands behind those is not protected and is ignored (RFC 8489 §14.5), and they have members of
  // their own below.
  template <class Visitor>
  void for_each(Visitor visit) const {
    for (std::size_t at = header_size; at < attributes_end_;) {
      const std::uint16_t type = base::load_be16(datagram_.data() + at);
      const std::size_t size = base::load_be16(datagram_.data() + at + 2);
      visit(static_cast<Attribute>(type), datagram_.subspan(at + 4, size));
      at += 4 + (size + 3) / 4 * 4;
    }
  }

  // The value of the first attribute of that type.
  [[nodiscard]] std::optional<base::BytesView> find(Attribute type) const;
  // The same, decoded. Nothing when it is missing or malformed. XOR-MAPPED-ADDRESS is recognised by
  // its type; IPv4-mapped IPv6 addresses come back as IPv4.
  [[nodiscard]] std::optional<base::Address> address(Attribute type) const;
  [[nodiscard]] std::optional<std::uint32_t> u32(Attribute type) const;
  [[nodiscard]] std::optional<ErrorCode> error() const;

  [[nodiscard]] bool has_integrity() const { return integrity_ != 0; }
  [[nodiscard]] bool has_integrity_sha256() const { return integrity_sha256_ != 0; }
  [[nodiscard]] bool has_fingerprint() const { return fingerprint_ != 0; }
  // False also when the attribute is missing. Compared in constant time.
  [[nodiscard]] bool check_integrity(base::BytesView key) const;
  [[nodiscard]] bool check_integrity_sha256(base::BytesView key) const;
  [[nodiscard]] bool check_fingerprint() const;

 private:
  [[nodiscard]] bool index_attributes();
  [[nodiscard]] bool note_trailer(Attribute type, std::size_t at, std::size_t size);

  base::BytesView datagram_;
  TransactionId transaction_;
  std::size_t attributes_end_ = 0;
  // Offsets of these attributes; 0: not there.
  std::size_t integrity_ = 0, integrity_sha256_ = 0, fingerprint_ = 0;
};

// Writes one message into `out`, attribute by attribute. When the buffer is too small, or an HMAC
// fails, the result is empty.
class Writer {
 public:
  Writer(base::MutableBytes out, Class message_class, std::uint16_t method,
         const TransactionId& transaction);

  void add(Attribute type, base::BytesView value);
  void add_u32(Attribute type, std::uint32_t value);
  // XORed when the type is XOR-MAPPED-ADDRESS, plain else.
  void add_address(Attribute type, const base::Address& address);
  void add_error(unsigned code, std::string_view reason);  // 300 … 699
  void add_unknown(std::span<const std::uint16_t> types);
  void add_padding(std::size_t octets);  // zeros
  // In this order, after everything else (RFC 8489 §14.5-14.7).
  void add_integrity(base::BytesView key);
  void add_integrity_sha256(base::BytesView key);
  void add_fingerprint();

  // The message so far; empty when it did not fit.
  [[nodiscard]] base::BytesView message() const;

 private:
  // Room for a value of that size, padded with zeros, and the header's length set; empty: failed.
  base::MutableBytes append(Attribute type, std::size_t size);
  void add_hmac(Attribute type, std::size_t size, base::BytesView key);

  base::MutableBytes out_;
  std::size_t size_ = 0;
  bool failed_ = false;
};

}  // namespace ztna::wire::stun
