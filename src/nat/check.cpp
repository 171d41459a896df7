#include "nat/check.hpp"

#include <array>

namespace ztna::nat {
namespace {

using wire::stun::Attribute;
using wire::stun::Class;
using wire::stun::Message;
using wire::stun::TransactionId;
using wire::stun::Writer;

// Comprehension-optional (RFC 8489 §18.3), not registered: a flags word and a sequence number.
constexpr auto path_state = static_cast<Attribute>(0xc0a5);
constexpr std::uint32_t flag_proven = 1, flag_doubt = 2;
// MESSAGE-INTEGRITY-SHA256 and FINGERPRINT with their headers.
constexpr std::size_t trailer = 4 + 32 + 4 + 4;

void add_state(Writer& writer, const CheckState& state) {
  std::array<std::uint8_t, 8> value{};
  base::store_be32(value.data(), (state.proven ? flag_proven : 0) | (state.doubt ? flag_doubt : 0));
  base::store_be32(value.data() + 4, state.sequence);
  writer.add(path_state, value);
}

base::BytesView finish(Writer& writer, base::BytesView key) {
  writer.add_integrity_sha256(key);
  writer.add_fingerprint();
  return writer.message();
}

}  // namespace

base::BytesView write_request(base::MutableBytes out, const TransactionId& transaction,
                              const base::SessionId& session, const CheckState& state,
                              std::size_t size, base::BytesView key) {
  Writer writer(out, Class::request, wire::stun::binding, transaction);
  const std::string name = session.hex();
  writer.add(Attribute::username, base::as_bytes(name));
  add_state(writer, state);
  const std::size_t plain = writer.message().size() + trailer;
  if (size >= plain + 8) writer.add_padding((size - plain - 4) / 4 * 4);
  return finish(writer, key);
}

base::BytesView write_answer(base::MutableBytes out, const TransactionId& transaction,
                             const CheckState& state, const base::Address& mapped,
                             base::BytesView key) {
  Writer writer(out, Class::success, wire::stun::binding, transaction);
  writer.add_address(Attribute::xor_mapped_address, mapped);
  add_state(writer, state);
  return finish(writer, key);
}

std::optional<base::SessionId> session_of(const Message& message) {
  if (message.method() != wire::stun::binding || message.message_class() != Class::request) {
    return std::nullopt;
  }
  const auto name = message.find(Attribute::username);
  base::SessionId id;
  if (!name || !base::from_hex(base::as_text(*name), id.octets)) return std::nullopt;
  return id;
}

std::optional<Check> read_check(const Message& message, base::BytesView key) {
  const bool request = message.message_class() == Class::request;
  if (message.method() != wire::stun::binding || message.classic() ||
      (!request && message.message_class() != Class::success)) {
    return std::nullopt;
  }
  const auto state = message.find(path_state);
  if (!state || state->size() != 8 || !message.check_integrity_sha256(key)) return std::nullopt;
  const std::uint32_t flags = base::load_be32(state->data());
  Check check;
  check.request = request;
  check.transaction = message.transaction();
  check.state = {base::load_be32(state->data() + 4), (flags & flag_proven) != 0,
                 (flags & flag_doubt) != 0};
  check.mapped = message.address(Attribute::xor_mapped_address);
  return check;
}

TransactionId make_transaction(std::uint32_t tag, base::Random& random) {
  TransactionId id = TransactionId::make(random);
  base::store_be32(id.octets.data() + 4, tag);
  return id;
}

std::uint32_t tag_of(const TransactionId& transaction) {
  return base::load_be32(transaction.octets.data() + 4);
}

}  // namespace ztna::nat
