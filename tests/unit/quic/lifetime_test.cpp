#include <gmock/gmock.h>

#include "unit/quic/pair.hpp"

namespace ztna::quic {
namespace {

TEST(Close, TheReasonArrives) {
  Pair pair;
  ASSERT_TRUE(pair.establish());
  pair.client.connection->close(7, "gone for lunch\n", pair.now);
  ASSERT_TRUE(pair.client.handler.closed);
  EXPECT_EQ(pair.client.handler.closed->cause, CloseCause::local);
  ASSERT_TRUE(pair.run([&] { return pair.server.handler.closed.has_value(); }));
  const CloseInfo& info = *pair.server.handler.closed;
  EXPECT_EQ(info.cause, CloseCause::peer);
  EXPECT_TRUE(info.application);
  EXPECT_EQ(info.code, 7u);
  EXPECT_EQ(info.reason, "gone for lunch?");
  EXPECT_FALSE(pair.server.connection->established());
  EXPECT_TRUE(pair.run(
      [&] { return pair.client.connection->finished() && pair.server.connection->finished(); }));
  EXPECT_EQ(pair.client.connection->next_deadline(), base::never);
}

TEST(Close, IsRepeatedWhenThePeerGoesOn) {
  Pair pair;
  ASSERT_TRUE(pair.establish());
  int lost = 0;
  pair.filter = [&lost](bool from_client, const Batch&, base::BytesView) {
    return !from_client || lost++ > 0;  // the first CONNECTION_CLOSE is lost
  };
  pair.client.connection->close(1, "", pair.now);
  pair.server.datagrams.push(base::Bytes(10, 1));
  EXPECT_TRUE(pair.run([&] { return pair.server.handler.closed.has_value(); }));
}

TEST(Close, BeforeTheHandshakeIsOverToo) {
  Pair pair;
  pair.connect();
  EXPECT_TRUE(pair.run([&] { return pair.server.connection != nullptr; }));
  pair.client.connection->close(7, "never mind", pair.now);
  EXPECT_TRUE(pair.run([&] { return pair.server.handler.closed.has_value(); }));
  // RFC 9000 §10.2.3: no application code may show up here.
  EXPECT_FALSE(pair.server.handler.closed->application);
  EXPECT_EQ(pair.server.handler.closed->code, 0x0cu);  // APPLICATION_ERROR
}

TEST(Close, AConnectionThatNeverSentAnythingJustEnds) {
  Pair pair;
  pair.connect();
  pair.client.connection->close(0, "", pair.now);
  base::Bytes buffer(2000);
  EXPECT_EQ(pair.client.connection->transmit(buffer, pair.now).size, 0u);
  EXPECT_TRUE(pair.client.connection->finished());
}

TEST(Close, LeavesCallsHarmless) {
  Pair pair;
  ASSERT_TRUE(pair.establish());
  auto& client = *pair.client.connection;
  const auto id = client.open_stream();
  ASSERT_TRUE(id);
  client.close(0, "", pair.now);
  client.close(0, "", pair.now);
  EXPECT_EQ(client.write(*id, base::as_bytes("x")), 0u);
  client.finish(*id);
  client.reset(*id, 1);
  client.stop_sending(*id, 1);
  client.consume(*id, 1);
  client.set_urgent(*id);
  EXPECT_FALSE(client.open_stream());
  EXPECT_FALSE(client.migrate(PathId{2}, Connection::Migration::immediate, pair.now));
  EXPECT_EQ(client.max_datagram(), 0u);
}

TEST(Idle, EndsASilentConnection) {
  Pair pair;
  pair.client.config.idle_timeout = 5s;
  ASSERT_TRUE(pair.establish());
  pair.idle(4s);
  EXPECT_FALSE(pair.client.handler.closed);
  pair.idle(3s);
  ASSERT_TRUE(pair.client.handler.closed);
  EXPECT_EQ(pair.client.handler.closed->cause, CloseCause::idle);
  EXPECT_EQ(pair.server.handler.closed->cause, CloseCause::idle);  // the smaller of both counts
  EXPECT_TRUE(pair.client.connection->finished());
}

TEST(Idle, KeepAliveKeepsItAlive) {
  Pair pair;
  pair.client.config.idle_timeout = 5s;
  pair.client.config.keep_alive = 1s;
  ASSERT_TRUE(pair.establish());
  pair.idle(60s);
  EXPECT_FALSE(pair.client.handler.closed);
  EXPECT_FALSE(pair.server.handler.closed);
}

TEST(Idle, AWaitingConnectionDoesNotSpin) {
  Pair pair;
  pair.client.config.keep_alive = 1s;
  ASSERT_TRUE(pair.establish());
  pair.idle(5s);
  const std::uint64_t before = pair.steps;
  pair.idle(60s);
  EXPECT_LT(pair.steps - before, 600u);
}

// An update has to wait until the one before is confirmed and 3 PTO old (RFC 9001 §6.5), so there
// is a pause between the transfers.
TEST(KeyUpdate, HappensAndDataGoesOn) {
  Pair pair;
  pair.client.config.key_update_after = 100;
  ASSERT_TRUE(pair.establish());
  for (std::uint64_t transfer = 1; transfer <= 4; ++transfer) {
    const auto id = pair.client.connection->open_stream();
    ASSERT_TRUE(id);
    const base::Bytes data = pattern(5'000'000);
    Writer writer(pair.client, *id, data);
    ASSERT_TRUE(pair.run([&] { return pair.server.handler.finished.contains(*id); }, 600s));
    EXPECT_TRUE(pair.server.handler.received[*id] == data);
    EXPECT_GE(pair.client.connection->stats().key_updates, transfer);
    pair.idle(1s);
  }
}

TEST(Ids, AreToldAndTakenBack) {
  Pair pair;
  ASSERT_TRUE(pair.establish());
  pair.idle(1s);
  const std::set<ConnectionId> first = pair.server.handler.ids;
  // Each move retires an id at both ends (RFC 9000 §9.5) and calls for a new one.
  for (std::uint32_t path = 2; path <= 4; ++path) {
    ASSERT_TRUE(
        pair.client.connection->migrate(PathId{path}, Connection::Migration::validated, pair.now));
    pair.idle(5s);
  }
  EXPECT_NE(pair.server.handler.ids, first);
  for (const auto* side : {&pair.client, &pair.server}) {
    const auto now = side->connection->connection_ids();
    EXPECT_EQ(side->handler.ids, std::set<ConnectionId>(now.begin(), now.end()));
    EXPECT_GE(now.size(), 7u);
    for (const auto& id : now) EXPECT_EQ(id.length, cid_length);
  }
}

}  // namespace
}  // namespace ztna::quic
