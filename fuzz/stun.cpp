// One datagram through the STUN reader, through a rewrite of what was read, and to the server.
#include "wire/stun.hpp"

#include "fuzz/input.hpp"
#include "wire/stun_server.hpp"

using namespace ztna;
using namespace ztna::wire::stun;

namespace {

const base::Bytes key = {1, 2, 3};

void read_all(const Message& message) {
  (void)message.address(Attribute::xor_mapped_address);
  (void)message.address(Attribute::mapped_address);
  (void)message.u32(Attribute::change_request);
  (void)message.error();
  FUZZ_ASSERT(!message.check_integrity(key) || message.has_integrity());
  FUZZ_ASSERT(!message.check_integrity_sha256(key) || message.has_integrity_sha256());
  (void)message.check_fingerprint();
}

void rewrite(const Message& message, std::size_t size) {
  base::Bytes buffer(size + 64 + 32);
  Writer writer(buffer, message.message_class(), message.method(), message.transaction());
  std::size_t count = 0;
  message.for_each([&](Attribute type, base::BytesView value) {
    writer.add(type, value);
    ++count;
  });
  writer.add_integrity(key);
  writer.add_integrity_sha256(key);
  writer.add_fingerprint();
  if (writer.message().empty()) {
    FUZZ_ASSERT(size > 65000);  // more than the length field can say
    return;
  }
  const auto again = Message::parse(writer.message());
  FUZZ_ASSERT(again && again->transaction() == message.transaction());
  FUZZ_ASSERT(again->message_class() == message.message_class());
  FUZZ_ASSERT(again->method() == message.method());
  FUZZ_ASSERT(again->check_integrity(key) && again->check_integrity_sha256(key));
  FUZZ_ASSERT(again->check_fingerprint());
  std::size_t count_again = 0;
  again->for_each([&](Attribute, base::BytesView) { ++count_again; });
  FUZZ_ASSERT(count == count_again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::BytesView datagram(data, size);
  const auto message = Message::parse(datagram);
  FUZZ_ASSERT(!message || is_stun(datagram));
  if (message) {
    read_all(*message);
    rewrite(*message, size);
  }
  const auto own = [](std::uint8_t host, std::uint16_t port) {
    return base::Address::v4({192, 0, 2, host}, port);
  };
  static const StunServer server({own(1, 1), own(1, 2), own(2, 1), own(2, 2)});
  const auto source = base::Address::v4({198, 51, 100, 7}, 4000);
  base::Bytes out(size + 128);
  const auto answer = server.answer(datagram, source, own(1, 1), out);
  if (!answer) return 0;
  FUZZ_ASSERT(message && message->message_class() == Class::request);
  FUZZ_ASSERT(answer->message.size() <= size + 100);
  FUZZ_ASSERT(answer->to.with_port(0) == source.with_port(0));
  const auto reply = Message::parse(answer->message);
  FUZZ_ASSERT(reply && reply->transaction() == message->transaction());
  FUZZ_ASSERT(reply->message_class() == Class::success || reply->message_class() == Class::error);
  return 0;
}
