#include "nat/address_discovery.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <vector>

#include "nat/timeouts.hpp"
#include "sim/seeded_random.hpp"
#include "wire/stun_server.hpp"

namespace ztna::nat {
namespace {

using namespace std::chrono_literals;
using base::Address;
using wire::stun::Attribute;
using wire::stun::Class;
using wire::stun::Message;

const Address server = Address::v4({203, 0, 113, 1}, 4433);
const Address local = Address::v4({192, 168, 1, 2}, 4434);
const Address mapped = Address::v4({198, 51, 100, 7}, 61000);
constexpr base::SocketId socket = 3;

class AddressDiscoveryTest : public testing::Test {
 protected:
  // The request that is due now; empty: none.
  base::Bytes request() {
    const base::Outgoing out = discovery.transmit(buffer);
    if (out.size == 0) return {};
    EXPECT_EQ(out.socket, socket);
    EXPECT_EQ(out.to, server);
    EXPECT_EQ(out.segment, out.size);
    return {buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(out.size)};
  }

  // What an Intermediate answers to one that came from `source`.
  static base::Bytes answer(const base::Bytes& request, const Address& source = mapped) {
    base::Bytes out(512);
    const wire::stun::StunServer asked({server});
    const auto made = asked.answer(request, source, server, out);
    EXPECT_TRUE(made.has_value());
    return made ? base::Bytes(made->message.begin(), made->message.end()) : base::Bytes();
  }

  // An answer with these attributes, whoever asked.
  static base::Bytes reply(const wire::stun::TransactionId& id, Class kind,
                           const std::function<void(wire::stun::Writer&)>& fill) {
    base::Bytes out(512);
    wire::stun::Writer writer(out, kind, wire::stun::binding, id);
    fill(writer);
    return {writer.message().begin(), writer.message().end()};
  }
  static wire::stun::TransactionId id_of(const base::Bytes& request) {
    return Message::parse(request)->transaction();
  }

  bool deliver(const base::Bytes& packet, const Address& from = server,
               base::SocketId at = socket) {
    const auto message = Message::parse(packet);
    return message && discovery.receive({at, from, local, 0, packet}, *message);
  }

  // When requests leave until then, if nothing is answered.
  std::vector<base::Duration> requests_until(base::Duration end) {
    std::vector<base::Duration> sent;
    const base::Time start = now;
    if (!request().empty()) sent.emplace_back();
    while (discovery.next_deadline() <= start + end) {
      now = std::max(now, discovery.next_deadline());
      discovery.expire(now);
      if (!request().empty()) sent.push_back(now - start);
    }
    now = start + end;
    return sent;
  }

  base::Bytes buffer = base::Bytes(base::transmit_buffer_size);
  sim::SeededRandom random{1};
  base::Time now{1000s};
  AddressDiscovery discovery{random};
};

TEST_F(AddressDiscoveryTest, LearnsWhatTheServerSees) {
  EXPECT_EQ(discovery.next_deadline(), base::never);
  discovery.start({{socket, server}}, now);
  const base::Bytes question = request();
  const auto message = Message::parse(question);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->message_class(), Class::request);
  EXPECT_EQ(message->method(), wire::stun::binding);
  EXPECT_FALSE(message->classic());
  EXPECT_TRUE(request().empty()) << "one is enough for the moment";
  EXPECT_TRUE(deliver(answer(question)));
  EXPECT_EQ(discovery.mapped(), mapped);
  EXPECT_EQ(discovery.next_deadline(), base::never) << "nobody wants to know more";
}

TEST_F(AddressDiscoveryTest, RepeatsARequestAndGivesUp) {
  discovery.start({{socket, server}}, now);
  const auto sent = requests_until(10min);
  EXPECT_EQ(sent, (std::vector<base::Duration>{0s, 500ms, 1s, 2s}));
  EXPECT_EQ(discovery.mapped(), std::nullopt);
}

TEST_F(AddressDiscoveryTest, TheAnswerToARepeatedRequestCounts) {
  discovery.start({{socket, server}}, now);
  const base::Bytes first = request();
  now += 500ms;
  discovery.expire(now);
  const base::Bytes second = request();
  EXPECT_EQ(first, second) << "one transaction (RFC 8489 §6.2.1)";
  EXPECT_TRUE(deliver(answer(second)));
  EXPECT_EQ(discovery.mapped(), mapped);
  // The other one's answer is late, and no stranger's.
  EXPECT_TRUE(deliver(answer(first, mapped.with_port(9))));
  EXPECT_EQ(discovery.mapped(), mapped);
}

TEST_F(AddressDiscoveryTest, NothingButTheAnswerCounts) {
  discovery.start({{socket, server}}, now);
  const base::Bytes question = request();
  const base::Bytes good = answer(question);
  EXPECT_FALSE(deliver(good, server.with_port(4434)));
  EXPECT_FALSE(deliver(good, Address::v4({203, 0, 113, 9}, 4433)));
  EXPECT_FALSE(deliver(good, server, socket + 1));
  EXPECT_FALSE(deliver(question)) << "a request is no answer";
  for (std::size_t octet = 4; octet < wire::stun::header_size; ++octet) {
    base::Bytes forged = good;
    forged[octet] ^= 1;
    EXPECT_FALSE(deliver(forged)) << octet;
  }
  EXPECT_EQ(discovery.mapped(), std::nullopt);
  EXPECT_TRUE(deliver(good));
  EXPECT_EQ(discovery.mapped(), mapped);
}

TEST_F(AddressDiscoveryTest, ARefusalOrNonsenseIsNoAddress) {
  const std::array<std::function<base::Bytes(const base::Bytes&)>, 4> answers = {
      [](const auto& q) {
        return reply(id_of(q), Class::error, [](auto& w) { w.add_error(400, "Bad Request"); });
      },
      [](const auto& q) { return reply(id_of(q), Class::success, [](auto&) {}); },
      // What RFC 3489 had, and gateways rewrite.
      [](const auto& q) {
        return reply(id_of(q), Class::success,
                     [](auto& w) { w.add_address(Attribute::mapped_address, mapped); });
      },
      [](const auto& q) {
        return reply(id_of(q), Class::success, [](auto& w) {
          w.add_address(Attribute::xor_mapped_address, Address::v6({0x20, 1, 0xd, 0xb8}, 1));
        });
      }};
  for (const auto& make : answers) {
    discovery.start({{socket, server}}, now);
    EXPECT_TRUE(deliver(answer(request())));
    EXPECT_EQ(discovery.mapped(), mapped);
    discovery.ask(now);
    EXPECT_EQ(discovery.mapped(), mapped) << "holds until there is another answer";
    EXPECT_TRUE(deliver(make(request())));
    EXPECT_EQ(discovery.mapped(), std::nullopt);
    EXPECT_TRUE(request().empty());
  }
}

// Less often than many NATs forget a mapping, it would not be kept alive.
TEST_F(AddressDiscoveryTest, AsksAgainWhileItIsWanted) {
  static_assert(timeouts::address_refresh < 30s);
  discovery.set_wanted(true);
  discovery.start({{socket, server}}, now);
  for (int i = 0; i < 5; ++i) {
    const Address seen = mapped.with_port(static_cast<std::uint16_t>(61000 + i));
    discovery.expire(now);
    ASSERT_TRUE(deliver(answer(request(), seen)));
    EXPECT_EQ(discovery.mapped(), seen);
    EXPECT_EQ(discovery.next_deadline(), now + timeouts::address_refresh);
    now = discovery.next_deadline();
  }
  discovery.set_wanted(false);
  EXPECT_EQ(discovery.next_deadline(), base::never);
  now += 5min;
  discovery.set_wanted(true);
  EXPECT_LE(discovery.next_deadline(), now) << "the mapping may be another by now";
}

TEST_F(AddressDiscoveryTest, SilenceEndsWhatWasKnownAndIsAskedAboutRarely) {
  discovery.set_wanted(true);
  discovery.start({{socket, server}}, now);
  ASSERT_TRUE(deliver(answer(request())));
  now += timeouts::address_refresh;
  const auto sent = requests_until(4s);
  EXPECT_EQ(sent.size(), timeouts::address_request.size());
  EXPECT_EQ(discovery.mapped(), std::nullopt);
  EXPECT_EQ(requests_until(10min).size(), 10 * timeouts::address_request.size());
}

TEST_F(AddressDiscoveryTest, AQuestionAskedAnewIsAnother) {
  discovery.start({{socket, server}}, now);
  const base::Bytes old = request();
  discovery.ask(now);
  EXPECT_FALSE(deliver(answer(old))) << "the network may be another since";
  const base::Bytes fresh = request();
  EXPECT_NE(old, fresh);
  EXPECT_TRUE(deliver(answer(fresh)));
}

TEST_F(AddressDiscoveryTest, LostPathsAskOnceAMoment) {
  discovery.start({{socket, server}}, now);
  const base::Bytes question = request();
  now += timeouts::round_gap;
  discovery.suspect(now);
  EXPECT_TRUE(deliver(answer(question))) << "a question is under way";
  discovery.suspect(now);
  EXPECT_FALSE(request().empty());
  ASSERT_TRUE(deliver(answer(base::Bytes(buffer.begin(), buffer.begin() + 20))));
  discovery.suspect(now + timeouts::round_gap / 2);
  EXPECT_TRUE(request().empty());
  EXPECT_EQ(discovery.mapped(), mapped);
}

TEST_F(AddressDiscoveryTest, StoppedItAsksNobody) {
  discovery.set_wanted(true);
  discovery.start({{socket, server}}, now);
  const base::Bytes question = request();
  ASSERT_TRUE(deliver(answer(question)));
  discovery.stop();
  discovery.ask(now);
  EXPECT_EQ(discovery.next_deadline(), base::never);
  EXPECT_TRUE(request().empty());
  EXPECT_FALSE(deliver(answer(question)));
  EXPECT_EQ(discovery.mapped(), mapped);
  // The same server again: it holds. Another one, or none: it does not.
  discovery.start({{socket, server}}, now);
  EXPECT_EQ(discovery.mapped(), mapped);
  discovery.start({{socket + 1, server}}, now);
  EXPECT_EQ(discovery.mapped(), std::nullopt);
  discovery.start(std::nullopt, now);
  EXPECT_EQ(discovery.next_deadline(), base::never);
}

}  // namespace
}  // namespace ztna::nat
