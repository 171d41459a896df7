#include "wire/stun_server.hpp"

#include <gtest/gtest.h>

#include "addresses.hpp"
#include "unit/wire/bytes_of.hpp"

namespace ztna::wire::stun {
namespace {

using base::Address;

struct Request {
  std::array<std::uint8_t, 2048> buffer{};
  TransactionId id;
  Writer writer;

  explicit Request(bool classic = false)
      : id(make(classic)), writer(buffer, Class::request, binding, id) {}
  static TransactionId make(bool classic) {
    TransactionId id;
    EXPECT_TRUE(base::from_hex(
        classic ? "0123456789abcdef0123456789abcdef" : "2112a442b7e7a701bc34d686fa87dfae",
        id.octets));
    return id;
  }
};

class StunServerTest : public testing::Test {
 protected:
  std::optional<StunServer::Answer> ask(const StunServer& server, const Request& request,
                                        const Address& to) {
    return server.answer(request.writer.message(), client, to, out);
  }
  const Address client = at("198.51.100.7:40000");
  const Address a1 = at("192.0.2.1:4433"), a2 = at("192.0.2.1:4435");
  const Address b1 = at("192.0.2.9:4433"), b2 = at("192.0.2.9:4435");
  const StunServer full{{a1, a2, b1, b2}};
  const StunServer one_ip{{a1, a2}};
  const StunServer single{{a1}};
  std::array<std::uint8_t, 2048> out{};
};

TEST_F(StunServerTest, TellsTheClientItsAddress) {
  const Request request;
  const auto answer = ask(full, request, a1);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->from, a1);
  EXPECT_EQ(answer->to, client);
  const auto message = Message::parse(answer->message);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->message_class(), Class::success);
  EXPECT_EQ(message->transaction(), request.id);
  EXPECT_EQ(message->address(Attribute::xor_mapped_address), client);
  EXPECT_EQ(message->address(Attribute::mapped_address), client);
  EXPECT_EQ(message->address(Attribute::response_origin), a1);
  EXPECT_EQ(message->address(Attribute::other_address), b2);
  EXPECT_FALSE(message->has_fingerprint());
}

// RFC 5780 §6.1, table 1.
TEST_F(StunServerTest, ChangesItsAddressWhenAsked) {
  const struct {
    std::uint32_t flags;
    Address from;
  } table[] = {{0, b1}, {change_ip, a1}, {change_port, b2}, {change_ip | change_port, a2}};
  for (const auto& row : table) {
    Request request;
    request.writer.add_u32(Attribute::change_request, row.flags);
    const auto answer = ask(full, request, b1);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->from, row.from);
    const auto message = Message::parse(answer->message);
    EXPECT_EQ(message->address(Attribute::response_origin), row.from);
    EXPECT_EQ(message->address(Attribute::other_address), a2);
  }
}

TEST_F(StunServerTest, WithOneIpItChangesOnlyThePortAndPromisesNothing) {
  Request request;
  request.writer.add_u32(Attribute::change_request, change_port);
  const auto answer = ask(one_ip, request, a1);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->from, a2);
  EXPECT_FALSE(Message::parse(answer->message)->find(Attribute::other_address));
}

TEST_F(StunServerTest, RefusesAChangeThatItCannotMake) {
  Request request;
  request.writer.add_u32(Attribute::change_request, change_ip | change_port);
  const auto answer = ask(one_ip, request, a1);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->from, a1);
  const auto message = Message::parse(answer->message);
  EXPECT_EQ(message->error()->code, 420u);
  EXPECT_EQ(base::to_hex(*message->find(Attribute::unknown_attributes)), "0003");
}

TEST_F(StunServerTest, AlternatesNeedTheSamePortsOnBothAddresses) {
  for (const StunServer& uneven :
       {StunServer({a1, b2}), StunServer({a1, a2, b2}), StunServer({a1, b1, b2})}) {
    const auto answer = ask(uneven, Request(), a1);
    ASSERT_TRUE(answer);
    EXPECT_FALSE(Message::parse(answer->message)->find(Attribute::other_address));
  }
}

TEST_F(StunServerTest, AnswersOldClientsInTheirForm) {
  Request request(true);
  request.writer.add_u32(Attribute::change_request, 0);
  const auto answer = ask(full, request, a1);
  ASSERT_TRUE(answer);
  const auto message = Message::parse(answer->message);
  ASSERT_TRUE(message);
  EXPECT_TRUE(message->classic());
  EXPECT_EQ(message->address(Attribute::mapped_address), client);
  EXPECT_EQ(message->address(Attribute::source_address), a1);
  EXPECT_EQ(message->address(Attribute::changed_address), b2);
  EXPECT_FALSE(message->find(Attribute::xor_mapped_address));
  EXPECT_FALSE(message->find(Attribute::response_origin));
}

TEST_F(StunServerTest, OldClientsHearNothingWhenAChangeIsImpossible) {
  Request request(true);
  request.writer.add_u32(Attribute::change_request, change_ip);
  EXPECT_FALSE(ask(one_ip, request, a1));
}

TEST_F(StunServerTest, NamesTheAttributesItMustButDoesNotKnow) {
  Request request;
  request.writer.add_u32(static_cast<Attribute>(0x0024), 1);
  request.writer.add_u32(static_cast<Attribute>(0x8029), 1);  // optional: skipped
  request.writer.add_u32(static_cast<Attribute>(0x7ffe), 1);
  const auto answer = ask(full, request, a1);
  ASSERT_TRUE(answer);
  const auto message = Message::parse(answer->message);
  EXPECT_EQ(message->error()->code, 420u);
  EXPECT_EQ(base::to_hex(*message->find(Attribute::unknown_attributes)), "00247ffe");
}

TEST_F(StunServerTest, SendsToTheResponsePort) {
  Request request;
  request.writer.add(Attribute::response_port, hex("9c410000"));
  const auto answer = ask(full, request, a1);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->to, client.with_port(40001));
  EXPECT_EQ(Message::parse(answer->message)->address(Attribute::xor_mapped_address), client);
}

TEST_F(StunServerTest, NeverSendsPaddingToAResponsePort) {
  Request request;
  request.writer.add(Attribute::response_port, hex("9c410000"));
  request.writer.add_padding(1000);
  const auto answer = ask(full, request, a1);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->to, client);
  const auto error = Message::parse(answer->message)->error();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, 400u);
  EXPECT_LT(answer->message.size(), 100u);
}

TEST_F(StunServerTest, ReturnsAsMuchPaddingAsCame) {
  Request request;
  request.writer.add_padding(1000);
  const auto answer = ask(full, request, a1);
  ASSERT_TRUE(answer);
  EXPECT_EQ(Message::parse(answer->message)->find(Attribute::padding)->size(), 1000u);
}

TEST_F(StunServerTest, ProtectsItsAnswerWhenTheRequestWas) {
  Request request;
  request.writer.add_fingerprint();
  const auto answer = ask(full, request, a1);
  ASSERT_TRUE(answer);
  EXPECT_TRUE(Message::parse(answer->message)->check_fingerprint());
  request.buffer[27] ^= 1;  // the fingerprint itself
  EXPECT_FALSE(ask(full, request, a1));
}

TEST_F(StunServerTest, IsSilentToAnythingElse) {
  EXPECT_FALSE(full.answer(pattern(100), client, a1, out));
  std::array<std::uint8_t, 64> buffer{};
  for (const Class other : {Class::indication, Class::success, Class::error}) {
    EXPECT_FALSE(full.answer(Writer(buffer, other, binding, Request::make(false)).message(), client,
                             a1, out));
  }
  EXPECT_FALSE(full.answer(Writer(buffer, Class::request, 3, Request::make(false)).message(),
                           client, a1, out));
  // From ourselves, or to nowhere: forged.
  EXPECT_FALSE(full.answer(Request().writer.message(), b2, a1, out));
  EXPECT_FALSE(full.answer(Request().writer.message(), client.with_port(0), a1, out));
}

// The numbers that stun_server.hpp states.
TEST_F(StunServerTest, AmplifiesNoMoreThanItSays) {
  EXPECT_EQ(ask(full, Request(), a1)->message.size(), 20u + 4 * 12);
  const Address v1 = at("[2001:db8::1]:1"), v2 = at("[2001:db8::1]:2");
  const Address w1 = at("[2001:db8::2]:1"), w2 = at("[2001:db8::2]:2");
  const StunServer six({v1, v2, w1, w2});
  const auto answer = six.answer(Request().writer.message(), at("[2001:db8::9]:9"), v1, out);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->message.size(), 20u + 4 * 24);
  EXPECT_FALSE(six.answer(Request().writer.message(), at("[2001:db8::9]:9"), v1,
                          base::MutableBytes(out).first(100)));
}

}  // namespace
}  // namespace ztna::wire::stun
