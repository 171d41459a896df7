#include "base/datagram.hpp"
#include "unit/quic/pair.hpp"

namespace ztna::quic {
namespace {

TEST(Datagram, ArrivesWithHeaderAndPayloadInOnePiece) {
  Pair pair;
  ASSERT_TRUE(pair.establish());
  pair.client.datagrams.push({4, 5, 6}, 0, {1, 2, 3});
  pair.client.datagrams.push({}, 0, {9});
  pair.client.datagrams.push({7}, 0, {});
  pair.client.datagrams.push({}, 0, {});
  ASSERT_TRUE(pair.run([&] { return pair.server.handler.datagrams.size() == 4; }));
  const auto& got = pair.server.handler.datagrams;
  EXPECT_EQ(got[0], (base::Bytes{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(got[1], (base::Bytes{9}));
  EXPECT_EQ(got[2], (base::Bytes{7}));
  EXPECT_TRUE(got[3].empty());
}

TEST(Datagram, SmallOnesShareAPacket) {
  Pair pair;
  ASSERT_TRUE(pair.establish());
  pair.idle(2s);
  const auto before = pair.client.connection->stats().packets_sent;
  for (int i = 0; i < 100; ++i) pair.client.datagrams.push(base::Bytes(50, 1));
  ASSERT_TRUE(pair.run([&] { return pair.server.handler.datagrams.size() == 100; }));
  EXPECT_LE(pair.client.connection->stats().packets_sent - before, 10u);
}

// A game's ticks and answers on a short path: the ACKs travel with them.
TEST(Datagram, AnswersCarryTheAcks) {
  Pair pair;
  pair.network.delay = 100us;
  ASSERT_TRUE(pair.establish());
  pair.idle(2s);
  const auto sent = [&](const Pair::Side& side) { return side.connection->stats().packets_sent; };
  const auto client = sent(pair.client), server = sent(pair.server);
  constexpr std::size_t ticks = 50;
  const std::size_t heard = pair.client.handler.datagrams.size();
  for (std::size_t tick = 1; tick <= ticks; ++tick) {
    pair.client.datagrams.push(base::Bytes(60, 1));
    ASSERT_TRUE(pair.run([&] { return pair.server.handler.datagrams.size() == tick; }));
    pair.idle(100us);  // the server thinks
    pair.server.datagrams.push(base::Bytes(60, 2));
    ASSERT_TRUE(pair.run([&] { return pair.client.handler.datagrams.size() == heard + tick; }));
    pair.idle(8ms);
  }
  pair.idle(100ms);
  EXPECT_LE(sent(pair.client) - client, ticks + 5);
  EXPECT_LE(sent(pair.server) - server, ticks + 5);
}

// RFC 9000 §13.2.1: an ACK leaves within max_ack_delay, 25 ms, also where nothing goes its way;
// a timer may take a millisecond more (RFC 9002 §6.1.2).
TEST(Datagram, LoneOneIsAcknowledgedInTime) {
  for (const auto delay : std::initializer_list<base::Duration>{100us, 5ms, 50ms, 300ms}) {
    Pair pair;
    pair.network.delay = delay;
    ASSERT_TRUE(pair.establish());
    pair.idle(10s);
    pair.client.datagrams.push(base::Bytes(60, 1), 7);
    const base::Time begin = pair.now;
    ASSERT_TRUE(pair.run([&] { return pair.client.handler.acked.contains(7); }));
    EXPECT_LE(pair.now - begin, 2 * delay + 26ms);
    EXPECT_EQ(pair.client.handler.lost.size(), 0u);
  }
}

TEST(Datagram, OwnersLearnWhatWasLost) {
  Pair pair(3);
  ASSERT_TRUE(pair.establish());
  pair.idle(2s);
  pair.network.loss = 0.2;
  constexpr std::uint64_t count = 500;
  for (std::uint64_t tag = 1; tag <= count; ++tag) {
    base::Bytes payload(1000);
    base::store_be32(payload.data(), static_cast<std::uint32_t>(tag));
    pair.client.datagrams.push(std::move(payload), tag);
  }
  auto& client = pair.client.handler;
  ASSERT_TRUE(pair.run([&] { return client.acked.size() + client.lost.size() == count; }, 60s));
  std::set<std::uint64_t> arrived;
  for (const auto& datagram : pair.server.handler.datagrams) {
    arrived.insert(base::load_be32(datagram.data()));
  }
  for (const auto tag : client.acked) EXPECT_TRUE(arrived.contains(tag)) << tag;
  EXPECT_GT(client.lost.size(), count / 10);
  EXPECT_LT(client.lost.size(), count / 3);
}

TEST(Datagram, TheLargestFitsAndOneMoreIsRefused) {
  Pair pair;
  ASSERT_TRUE(pair.establish());
  pair.idle(2s);
  const std::size_t limit = pair.client.connection->max_datagram();
  // Around it in a short-header packet: 1 + 18 + 4 + 16 octets, and 1 + 2 of the frame.
  EXPECT_EQ(limit, pair.client.connection->max_udp_payload() - 42);
  pair.client.datagrams.push(base::Bytes(limit, 1));
  pair.client.datagrams.push(base::Bytes(limit - 2, 1), 0, base::Bytes(3, 1));
  pair.client.datagrams.push(base::Bytes(1, 1));
  ASSERT_TRUE(pair.run([&] { return pair.server.handler.datagrams.size() == 2; }));
  EXPECT_EQ(pair.server.handler.datagrams[0].size(), limit);
  EXPECT_EQ(pair.server.handler.datagrams[1].size(), 1u);
  EXPECT_EQ(pair.client.datagrams.too_large, 1u);
  EXPECT_EQ(pair.client.datagrams.sent, 2u);
  EXPECT_EQ(pair.client.connection->stats().datagrams_refused, 1u);
}

TEST(Datagram, WaitForTheHandshake) {
  Pair pair;
  pair.client.datagrams.push({1});
  pair.server.datagrams.push({2});
  ASSERT_TRUE(pair.establish());
  EXPECT_TRUE(pair.run([&] {
    return pair.server.handler.datagrams.size() == 1 && pair.client.handler.datagrams.size() == 1;
  }));
}

// One small window after another: DATAGRAMs first, ordinary streams after, urgent ones before.
TEST(Datagram, GoBeforeOrdinaryStreamsAndAfterUrgentOnes) {
  Pair pair;
  ASSERT_TRUE(pair.establish());
  pair.idle(2s);
  auto& client = *pair.client.connection;
  const auto bulk = client.open_stream();
  const auto control = client.open_stream();
  ASSERT_TRUE(bulk && control);
  client.set_urgent(*control);
  const base::Bytes data(200'000, 1);
  ASSERT_EQ(client.write(*bulk, data), data.size());
  for (int i = 0; i < 100; ++i) pair.client.datagrams.push(base::Bytes(1000, 1));
  ASSERT_EQ(client.write(*control, base::as_bytes("now")), 3u);
  std::size_t bulk_at_control = 1, datagrams_at_control = 1, bulk_at_datagrams = 1;
  auto& server = pair.server.handler;
  ASSERT_TRUE(pair.run([&] {
    if (!server.received.contains(*control)) {
      bulk_at_control = server.received[*bulk].size();
      datagrams_at_control = server.datagrams.size();
    }
    if (server.datagrams.size() < 100) bulk_at_datagrams = server.received[*bulk].size();
    return server.received[*bulk].size() == data.size();
  }));
  EXPECT_EQ(bulk_at_control, 0u);
  EXPECT_EQ(datagrams_at_control, 0u);
  // What space the last datagram of a packet leaves may carry a little of the stream.
  EXPECT_LT(bulk_at_datagrams, 100 * 500u);
  EXPECT_EQ(server.datagrams.size(), 100u);
}

// On a short path an eighth of the round trip is over before the program has answered.
TEST(DatagramAck, TravelsWithTheAnswer) {
  Pair pair;
  pair.network.delay = 500us;
  ASSERT_TRUE(pair.establish());
  pair.idle(10s);
  base::Bytes buffer(base::transmit_buffer_size);
  const auto pass = [&](Pair::Side& from, Pair::Side& to) {
    const Batch batch = from.connection->transmit(buffer, pair.now);
    if (batch.size > 0) {
      to.connection->receive(batch.path, batch.ecn, base::BytesView(buffer).first(batch.size),
                             pair.now);
    }
    return batch.size;
  };
  pair.client.datagrams.push(base::Bytes(100, 1));
  ASSERT_GT(pass(pair.client, pair.server), 0u);
  ASSERT_EQ(pair.server.handler.datagrams.size(), 1u);
  EXPECT_GT(pair.client.connection->stats().bytes_in_flight, 0u);
  pair.now += 300us;
  EXPECT_EQ(pass(pair.server, pair.client), 0u) << "the acknowledgement left alone";
  pair.server.datagrams.push(base::Bytes(100, 1));
  ASSERT_GT(pass(pair.server, pair.client), 0u);
  EXPECT_EQ(pair.client.connection->stats().bytes_in_flight, 0u);
}

}  // namespace
}  // namespace ztna::quic
