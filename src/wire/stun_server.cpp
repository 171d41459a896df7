#include "wire/stun_server.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace ztna::wire::stun {
namespace {

using base::Address;

// Comprehension-required attributes that a Binding request may carry to us. Credentials are
// understood and not asked for.
bool understood(Attribute type) {
  switch (type) {
    case Attribute::change_request:
    case Attribute::username:
    case Attribute::message_integrity:
    case Attribute::message_integrity_sha256:
    case Attribute::padding:
    case Attribute::response_port: return true;
    default: return static_cast<std::uint16_t>(type) >= 0x8000;
  }
}

bool same_ip(const Address& a, const Address& b) { return a.with_port(0) == b.with_port(0); }

struct Unknown {
  std::array<std::uint16_t, 16> types{};  // enough to be told about; bounds the answer
  std::size_t count = 0;
};

Unknown unknown_attributes(const Message& request) {
  Unknown unknown;
  request.for_each([&](Attribute type, base::BytesView) {
    if (understood(type) || unknown.count == unknown.types.size()) return;
    unknown.types[unknown.count++] = static_cast<std::uint16_t>(type);
  });
  return unknown;
}

base::BytesView refuse_unknown(const Message& request, std::span<const std::uint16_t> types,
                               base::MutableBytes out) {
  Writer writer(out, Class::error, binding, request.transaction());
  writer.add_error(420, "Unknown Attribute");
  writer.add_unknown(types);
  if (request.has_fingerprint()) writer.add_fingerprint();
  return writer.message();
}

base::BytesView refuse_malformed(const Message& request, base::MutableBytes out) {
  Writer writer(out, Class::error, binding, request.transaction());
  writer.add_error(400, "Bad Request");
  if (request.has_fingerprint()) writer.add_fingerprint();
  return writer.message();
}

base::BytesView succeed(const Message& request, const Address& source, const Address& origin,
                        const std::optional<Address>& other, base::MutableBytes out) {
  Writer writer(out, Class::success, binding, request.transaction());
  const bool classic = request.classic();
  // RFC 5780 §6.1 wants both forms, which shows a client that something rewrites addresses.
  if (!classic) writer.add_address(Attribute::xor_mapped_address, source);
  writer.add_address(Attribute::mapped_address, source);
  writer.add_address(classic ? Attribute::source_address : Attribute::response_origin, origin);
  if (other) {
    writer.add_address(classic ? Attribute::changed_address : Attribute::other_address, *other);
  }
  if (const auto padding = request.find(Attribute::padding)) writer.add_padding(padding->size());
  if (request.has_fingerprint()) writer.add_fingerprint();
  return writer.message();
}

}  // namespace

StunServer::StunServer(std::vector<Address> listen) : listen_(std::move(listen)) {}

bool StunServer::listens(const Address& address) const {
  return std::ranges::find(listen_, address) != listen_.end();
}

StunServer::Alternate StunServer::alternate(const Address& to) const {
  Alternate found;
  for (const Address& own : listen_) {
    if (own.family() != to.family()) continue;
    if (same_ip(own, to)) {
      if (own.port() != to.port() && !found.port) found.port = own;
    } else if (own.port() != to.port() && !found.both && listens(own.with_port(to.port())) &&
               listens(to.with_port(own.port()))) {
      found.both = own;
    }
  }
  if (found.both) {
    found.ip = found.both->with_port(to.port());
    found.port = to.with_port(found.both->port());
  }
  return found;
}

std::optional<StunServer::Answer> StunServer::answer(base::BytesView request, const Address& source,
                                                     const Address& to,
                                                     base::MutableBytes out) const {
  const auto message = Message::parse(request);
  if (!message || message->message_class() != Class::request || message->method() != binding) {
    return std::nullopt;
  }
  if (message->has_fingerprint() && !message->check_fingerprint()) return std::nullopt;
  // Two of us must never be made to talk to each other.
  if (listens(source) || source.port() == 0) return std::nullopt;

  Answer answer{to, source, {}};
  const auto finish = [&](base::BytesView bytes) -> std::optional<Answer> {
    answer.message = bytes;
    return bytes.empty() ? std::nullopt : std::optional(answer);
  };
  const Unknown unknown = unknown_attributes(*message);
  if (unknown.count > 0) {
    return finish(refuse_unknown(*message, std::span(unknown.types).first(unknown.count), out));
  }
  const Alternate other = alternate(to);
  if (message->find(Attribute::change_request)) {
    const auto flags = message->u32(Attribute::change_request);
    if (!flags) return finish(refuse_malformed(*message, out));
    const std::uint32_t change = *flags & (change_ip | change_port);
    const auto from = change == 0             ? std::optional(to)
                      : change == change_ip   ? other.ip
                      : change == change_port ? other.port
                                              : other.both;
    if (!from) {
      // A classic client takes any answer for success; silence is what it understands.
      if (message->classic()) return std::nullopt;
      constexpr std::array types{static_cast<std::uint16_t>(Attribute::change_request)};
      return finish(refuse_unknown(*message, types, out));
    }
    answer.from = *from;
  }
  if (const auto port = message->find(Attribute::response_port)) {
    // RFC 5780 §7.5: never together with PADDING, which would aim fragments at somebody else.
    const std::uint16_t number = port->size() >= 2 ? base::load_be16(port->data()) : 0;
    if (number == 0 || message->find(Attribute::padding)) {
      answer.from = to;
      return finish(refuse_malformed(*message, out));
    }
    answer.to = source.with_port(number);
    if (listens(answer.to)) return std::nullopt;
  }
  // RFC 3489 §8.1 wants CHANGED-ADDRESS in every answer.
  const auto told = message->classic() && !other.both ? other.port.value_or(to) : other.both;
  return finish(succeed(*message, source, answer.from, told, out));
}

}  // namespace ztna::wire::stun
