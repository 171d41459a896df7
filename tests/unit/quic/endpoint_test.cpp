#include "quic/endpoint.hpp"

#include "unit/quic/pair.hpp"

namespace ztna::quic {
namespace {

const base::Address peer_address = base::Address::v4({192, 0, 2, 1}, 4433);
const base::Address other_address = base::Address::v4({192, 0, 2, 2}, 4433);

class EndpointTest : public testing::Test {
 protected:
  EndpointTest() : endpoint(keys(), {}, random) {}
  static Endpoint::Keys keys() {
    Endpoint::Keys keys;
    keys.retry.expose()[0] = 2;
    keys.reset.expose()[0] = 1;  // as Pair's server
    return keys;
  }
  // A client's next packets.
  static std::vector<base::Bytes> packets(Connection& connection, base::Time now) {
    std::vector<base::Bytes> out;
    base::Bytes buffer(64 * 1024);
    for (;;) {
      const Batch batch = connection.transmit(buffer, now);
      if (batch.size == 0) return out;
      for (std::size_t at = 0; at < batch.size; at += batch.segment) {
        const auto begin = buffer.begin() + static_cast<std::ptrdiff_t>(at);
        out.emplace_back(
            begin, begin + static_cast<std::ptrdiff_t>(std::min(batch.segment, batch.size - at)));
      }
    }
  }
  Endpoint::Verdict classify(base::BytesView packet, bool accept = true, bool retry = false,
                             const base::Address& from = peer_address) {
    return endpoint.classify(packet, from, {accept, retry}, now);
  }
  base::Bytes first_initial() {
    pair.connect();
    return packets(*pair.client.connection, now).at(0);
  }

  SeededRandom random{5};
  base::Time now{1s};
  Endpoint endpoint;
  Pair pair;
};

TEST_F(EndpointTest, AcceptsAnInitialAndThenDeliversByConnectionId) {
  const base::Bytes initial = first_initial();
  const auto verdict = classify(initial);
  const auto* accept = std::get_if<Endpoint::Accept>(&verdict);
  ASSERT_NE(accept, nullptr);
  EXPECT_EQ(accept->initial.version, 1u);
  EXPECT_EQ(accept->initial.dcid.length, cid_length);
  EXPECT_FALSE(accept->validated);
  endpoint.add(accept->initial.dcid, 42);
  const auto again = classify(initial);
  ASSERT_TRUE(std::holds_alternative<Endpoint::Deliver>(again));
  EXPECT_EQ(std::get<Endpoint::Deliver>(again).handle, 42u);
  endpoint.remove(accept->initial.dcid);
  EXPECT_EQ(endpoint.size(), 0u);
  EXPECT_TRUE(std::holds_alternative<Endpoint::Accept>(classify(initial)));
}

Endpoint::Drop::Why why(const Endpoint::Verdict& verdict) {
  return std::get<Endpoint::Drop>(verdict).why;
}

TEST_F(EndpointTest, DropsWhatIsNoUse) {
  using Why = Endpoint::Drop::Why;
  base::Bytes initial = first_initial();
  EXPECT_EQ(why(classify(initial, false)), Why::unknown_connection);
  EXPECT_EQ(why(classify({})), Why::malformed);
  EXPECT_EQ(why(classify(base::BytesView(initial).first(1199))), Why::malformed);
  EXPECT_EQ(why(classify(base::Bytes(1200, 0x00))), Why::malformed);  // STUN's and DTLS's bits
  base::Bytes no_fixed_bit = initial;
  no_fixed_bit[0] &= 0xbf;
  EXPECT_EQ(why(classify(no_fixed_bit)), Why::malformed);
  base::Bytes handshake = initial;
  handshake[0] = 0xe0;
  EXPECT_EQ(why(classify(handshake)), Why::malformed);
  base::Bytes long_id = initial;
  long_id[5] = 21;
  EXPECT_EQ(why(classify(long_id)), Why::malformed);
}

TEST_F(EndpointTest, NegotiatesTheVersion) {
  base::Bytes initial = first_initial();
  base::store_be32(initial.data() + 1, 0x1a2a3a4a);
  const auto verdict = classify(initial);
  const auto* reply = std::get_if<Endpoint::Reply>(&verdict);
  ASSERT_NE(reply, nullptr);
  EXPECT_EQ(reply->kind, Endpoint::Reply::Kind::version_negotiation);
  // RFC 9000 §17.2.1: version 0, the ids swapped, then the versions we speak.
  const auto& p = reply->packet;
  EXPECT_EQ(base::load_be32(p.data() + 1), 0u);
  EXPECT_EQ(p[5], cid_length);
  EXPECT_TRUE(std::equal(p.begin() + 6, p.begin() + 24, initial.begin() + 25));
  EXPECT_TRUE(std::equal(p.begin() + 25, p.begin() + 43, initial.begin() + 6));
  EXPECT_EQ(base::load_be32(p.data() + 43), 1u);
  EXPECT_EQ(p.size(), 47u);
}

TEST_F(EndpointTest, ClientGivesUpWhenTheServerSpeaksNoVersionOfIts) {
  base::Bytes initial = first_initial();
  base::store_be32(initial.data() + 1, 0x1a2a3a4a);
  auto verdict = classify(initial);
  auto packet = std::get<Endpoint::Reply>(verdict).packet;
  base::store_be32(packet.data() + 43, 0x1a2a3a4a);
  pair.client.connection->receive(PathId{1}, 0, packet, now);
  ASSERT_TRUE(pair.client.handler.closed);
  EXPECT_EQ(pair.client.handler.closed->cause, CloseCause::handshake);
}

// Follows a Retry and returns the client's second Initial.
TEST_F(EndpointTest, RetryProvesTheAddressAndTheHandshakeGoesOn) {
  const base::Bytes initial = first_initial();
  auto verdict = classify(initial, true, true);
  auto* reply = std::get_if<Endpoint::Reply>(&verdict);
  ASSERT_NE(reply, nullptr);
  ASSERT_EQ(reply->kind, Endpoint::Reply::Kind::retry);
  EXPECT_LT(reply->packet.size(), initial.size());
  pair.client.connection->receive(PathId{1}, 0, reply->packet, now);
  const base::Bytes second = packets(*pair.client.connection, now).at(0);

  // From another address, or too late, the token is worth nothing, and the client is told.
  auto stolen = classify(second, true, true, other_address);
  ASSERT_TRUE(std::holds_alternative<Endpoint::Reply>(stolen));
  EXPECT_EQ(std::get<Endpoint::Reply>(stolen).kind, Endpoint::Reply::Kind::close);
  const base::Time late = now + 11s;
  auto expired = endpoint.classify(second, peer_address, {true, true}, late);
  EXPECT_EQ(std::get<Endpoint::Reply>(expired).kind, Endpoint::Reply::Kind::close);

  auto proven = classify(second, true, true);
  auto* accept = std::get_if<Endpoint::Accept>(&proven);
  ASSERT_NE(accept, nullptr);
  EXPECT_TRUE(accept->validated);
  ASSERT_TRUE(accept->initial.original_dcid && accept->initial.retry_scid);
  auto& server = pair.server;
  auto made =
      Connection::accept(server.config, accept->initial, PathId{1}, server.handler, nullptr, now);
  ASSERT_TRUE(made);
  server.connection = std::move(*made);
  server.handler.connection = server.connection.get();
  server.connection->receive(PathId{1}, 0, second, now);
  pair.now = now;
  EXPECT_TRUE(pair.run([&] {
    return pair.client.handler.established == 1 && pair.server.handler.established == 1;
  }));
}

TEST_F(EndpointTest, ClientEndsWhenItsTokenIsRefused) {
  const base::Bytes initial = first_initial();
  auto verdict = classify(initial, true, true);
  pair.client.connection->receive(PathId{1}, 0, std::get<Endpoint::Reply>(verdict).packet, now);
  const base::Bytes second = packets(*pair.client.connection, now).at(0);
  auto refused = classify(second, true, true, other_address);
  pair.client.connection->receive(PathId{1}, 0, std::get<Endpoint::Reply>(refused).packet, now);
  ASSERT_TRUE(pair.client.handler.closed);
  EXPECT_EQ(pair.client.handler.closed->code, 0x0bu);  // INVALID_TOKEN
}

TEST_F(EndpointTest, StatelessResetWorksAcrossARestart) {
  ASSERT_TRUE(pair.establish());
  pair.idle(1s);
  // The server is gone; a new Endpoint with the same key meets a packet of the old connection.
  pair.server.connection.reset();
  pair.client.datagrams.push(base::Bytes(100, 1));
  const auto out = packets(*pair.client.connection, pair.now);
  ASSERT_FALSE(out.empty());
  const auto verdict = classify(out.back());
  const auto* reply = std::get_if<Endpoint::Reply>(&verdict);
  ASSERT_NE(reply, nullptr);
  EXPECT_EQ(reply->kind, Endpoint::Reply::Kind::stateless_reset);
  EXPECT_LT(reply->packet.size(), out.back().size());
  EXPECT_EQ(reply->packet[0] & 0xc0, 0x40);  // looks like a short-header packet
  pair.client.connection->receive(PathId{1}, 0, reply->packet, pair.now);
  ASSERT_TRUE(pair.client.handler.closed);
  EXPECT_EQ(pair.client.handler.closed->cause, CloseCause::reset);
}

TEST_F(EndpointTest, ResetsAreSmallerThanTheirTriggerAndRateLimited) {
  base::Bytes packet(30, 0x40);
  auto verdict = classify(packet);
  EXPECT_EQ(std::get<Endpoint::Reply>(verdict).packet.size(), 29u);
  EXPECT_EQ(why(classify(base::BytesView(packet).first(21))),
            Endpoint::Drop::Why::unknown_connection);
  std::size_t answered = 0;
  for (int i = 0; i < 10'000; ++i) {
    answered += std::holds_alternative<Endpoint::Reply>(classify(packet)) ? 1 : 0;
  }
  EXPECT_LE(answered, 500u);
  EXPECT_EQ(why(classify(packet)), Endpoint::Drop::Why::rate_limited);
  now += 1s;
  EXPECT_TRUE(std::holds_alternative<Endpoint::Reply>(classify(packet)));
}

TEST(ConnectionIdLayout, CarriesTheServerIdForALoadBalancer) {
  SeededRandom random(1);
  const ConnectionIdLayout layout{{{1, 2, 3, 4, 5, 6, 7, 8}}};
  for (int i = 0; i < 100; ++i) {
    const ConnectionId id = layout.make(random);
    ASSERT_EQ(id.length, cid_length);
    EXPECT_EQ(id.octets[0] >> 5, 0);  // configuration 0
    EXPECT_TRUE(
        std::equal(layout.server_id->begin(), layout.server_id->end(), id.octets.begin() + 1));
  }
}

}  // namespace
}  // namespace ztna::quic
