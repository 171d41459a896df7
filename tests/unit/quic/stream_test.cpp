#include "quic/send_buffer.hpp"
#include "unit/quic/pair.hpp"

namespace ztna::quic {
namespace {

TEST(Stream, CarriesBytesBothWaysUnderLoss) {
  Pair pair;
  pair.network.loss = 0.05;
  pair.network.jitter = 3ms;
  ASSERT_TRUE(pair.establish());
  const base::Bytes up = pattern(10'000'000, 1);
  const base::Bytes down = pattern(10'000'000, 2);
  const auto id = pair.client.connection->open_stream();
  ASSERT_TRUE(id);
  Writer upload(pair.client, *id, up);
  ASSERT_TRUE(pair.run([&] { return !pair.server.handler.opened.empty(); }));
  Writer download(pair.server, *id, down);
  ASSERT_TRUE(pair.run(
      [&] {
        return pair.client.handler.streams_closed.size() == 1 &&
               pair.server.handler.streams_closed.size() == 1;
      },
      600s));
  EXPECT_TRUE(pair.server.handler.received[*id] == up);
  EXPECT_TRUE(pair.client.handler.received[*id] == down);
  EXPECT_GT(pair.client.connection->stats().packets_lost, 100u);
}

class StreamTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(pair.establish()); }
  Connection& client() { return *pair.client.connection; }
  Connection& server() { return *pair.server.connection; }
  StreamId open() {
    const auto id = client().open_stream();
    EXPECT_TRUE(id);
    return id.value_or(-1);
  }
  Pair pair;
};

TEST_F(StreamTest, HalfCloseLeavesTheOtherDirectionOpen) {
  const StreamId id = open();
  ASSERT_EQ(client().write(id, base::as_bytes("question")), 8u);
  client().finish(id);
  ASSERT_TRUE(pair.run([&] { return pair.server.handler.finished.contains(id); }));
  EXPECT_EQ(client().write(id, base::as_bytes("more")), 0u);
  EXPECT_TRUE(pair.client.handler.streams_closed.empty());
  ASSERT_EQ(server().write(id, base::as_bytes("answer")), 6u);
  ASSERT_TRUE(pair.run([&] { return pair.client.handler.received[id].size() == 6; }));
  EXPECT_TRUE(pair.client.handler.streams_closed.empty());
  server().finish(id);
  ASSERT_TRUE(pair.run([&] {
    return pair.client.handler.streams_closed.size() == 1 &&
           pair.server.handler.streams_closed.size() == 1;
  }));
}

TEST_F(StreamTest, AnEmptyStreamEndsToo) {
  const StreamId id = open();
  client().finish(id);
  ASSERT_TRUE(pair.run([&] { return pair.server.handler.finished.contains(id); }));
  EXPECT_TRUE(pair.server.handler.received[id].empty());
}

TEST_F(StreamTest, ResetAndStopSendingReachThePeer) {
  const StreamId first = open();
  const base::Bytes data(1'000'000, 1);
  ASSERT_GT(client().write(first, data), 0u);
  ASSERT_TRUE(pair.run([&] { return !pair.server.handler.received[first].empty(); }));
  client().reset(first, 77);
  EXPECT_EQ(client().write(first, data), 0u);
  ASSERT_TRUE(pair.run([&] { return pair.server.handler.resets.contains(first); }));
  EXPECT_EQ(pair.server.handler.resets[first], 77u);
  server().finish(first);
  EXPECT_TRUE(pair.run([&] { return !pair.client.handler.streams_closed.empty(); }));

  const StreamId second = open();
  ASSERT_GT(client().write(second, data), 0u);
  ASSERT_TRUE(pair.run([&] { return !pair.server.handler.received[second].empty(); }));
  server().stop_sending(second, 88);
  ASSERT_TRUE(pair.run([&] { return pair.client.handler.stops.contains(second); }));
  EXPECT_EQ(client().writable(second), 0u);
  server().finish(second);
  EXPECT_TRUE(pair.run([&] { return pair.client.handler.streams_closed.size() == 2; }));
}

// Without anything to write, and also when the stream is one of many.
TEST_F(StreamTest, StopSendingIsToldOfIdleStreamsToo) {
  std::vector<StreamId> ids;
  for (int i = 0; i < 16; ++i) {
    ids.push_back(open());
    ASSERT_EQ(client().write(ids.back(), base::as_bytes("x")), 1u);
  }
  ASSERT_TRUE(pair.run([&] { return pair.server.handler.opened.size() == 16; }));
  pair.idle(1s);
  server().stop_sending(ids[3], 1);
  server().stop_sending(ids[15], 1);
  ASSERT_TRUE(pair.run([&] { return pair.client.handler.stops.size() == 2; }));
  EXPECT_TRUE(pair.client.handler.stops.contains(ids[3]));
  EXPECT_TRUE(pair.client.handler.stops.contains(ids[15]));
  // The end that said STOP_SENDING may go on writing.
  ASSERT_EQ(server().write(ids[3], base::as_bytes("still here")), 10u);
  ASSERT_TRUE(pair.run([&] { return pair.client.handler.received[ids[3]].size() == 10; }));
  EXPECT_TRUE(pair.server.handler.stops.empty());
}

TEST_F(StreamTest, AReaderThatDoesNotConsumeStopsTheWriter) {
  pair.server.handler.consume = false;
  const StreamId id = open();
  const base::Bytes data = pattern(8'000'000);
  Writer writer(pair.client, id, data);
  pair.idle(30s);
  const auto& config = pair.server.config;
  EXPECT_EQ(pair.server.handler.received[id].size(), config.stream_window);
  // Full but for what is too little to wake the writer for.
  EXPECT_LE(writer.written, config.stream_window + pair.client.config.send_buffer);
  EXPECT_LT(client().writable(id), 4 * chunk_size);
  // Another stream is not held up by it.
  const StreamId other = open();
  ASSERT_EQ(client().write(other, base::as_bytes("x")), 1u);
  ASSERT_TRUE(pair.run([&] { return pair.server.handler.received[other].size() == 1; }));
  // Once the reader goes on, all arrives.
  pair.server.handler.consume = true;
  server().consume(id, config.stream_window);
  ASSERT_TRUE(pair.run([&] { return pair.server.handler.finished.contains(id); }, 60s));
  EXPECT_TRUE(pair.server.handler.received[id] == data);
}

TEST_F(StreamTest, AFullConnectionWindowStopsAllStreams) {
  pair.server.handler.consume = false;
  const base::Bytes data(400'000, 1);
  std::vector<StreamId> ids;
  for (int i = 0; i < 8; ++i) {
    ids.push_back(open());
    ASSERT_EQ(client().write(ids.back(), data), data.size());
  }
  pair.idle(30s);
  std::size_t total = 0;
  for (const auto& [id, bytes] : pair.server.handler.received) total += bytes.size();
  EXPECT_EQ(total, pair.server.config.connection_window);
  pair.server.handler.consume = true;
  for (const StreamId id : ids) server().consume(id, pair.server.handler.received[id].size());
  ASSERT_TRUE(pair.run(
      [&] {
        total = 0;
        for (const auto& [id, bytes] : pair.server.handler.received) total += bytes.size();
        return total == 8 * data.size();
      },
      60s));
}

// What is never consumed of streams that are gone must not use up the window for ever.
TEST_F(StreamTest, ClosedStreamsGiveTheirWindowBack) {
  pair.server.handler.consume = false;
  for (int i = 0; i < 30; ++i) {
    const StreamId id = open();
    const base::Bytes data(100'000, 1);
    ASSERT_EQ(client().write(id, data), data.size());
    client().finish(id);
    ASSERT_TRUE(pair.run([&] { return pair.server.handler.finished.contains(id); })) << i;
    server().finish(id);
    ASSERT_TRUE(pair.run([&] {
      return pair.client.handler.streams_closed.size() == static_cast<std::size_t>(i + 1);
    })) << i;
  }
}

TEST_F(StreamTest, ThePeersLimitHoldsAndMovesOn) {
  std::vector<StreamId> ids;
  for (int i = 0; i < 16; ++i) ids.push_back(open());
  const auto refused = client().open_stream();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::ErrorCode::exhausted);
  client().finish(ids[0]);
  ASSERT_TRUE(pair.run([&] { return pair.server.handler.finished.contains(ids[0]); }));
  server().finish(ids[0]);
  EXPECT_TRUE(pair.run([&] { return client().open_stream().has_value(); }));
}

TEST_F(StreamTest, TheServerMayOpenNoneUnlessTheClientAllows) {
  const auto refused = server().open_stream();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::ErrorCode::exhausted);
}

TEST_F(StreamTest, StreamsShareTheConnectionFairly) {
  constexpr std::size_t count = 4;
  const base::Bytes data(1 << 20, 1);
  std::vector<StreamId> ids;
  for (std::size_t i = 0; i < count; ++i) {
    ids.push_back(open());
    ASSERT_EQ(client().write(ids.back(), data), data.size());
  }
  auto& received = pair.server.handler.received;
  ASSERT_TRUE(pair.run([&] { return received[ids[0]].size() > 500'000; }));
  for (const StreamId id : ids) EXPECT_GT(received[id].size(), 400'000u);
}

TEST(SendBuffer, KeepsOctetsInPlaceUntilTheyAreAcknowledged) {
  ChunkPool pool;
  SendBuffer buffer(pool);
  const base::Bytes data = pattern(10 * chunk_size + 123);
  base::Bytes sent;
  std::vector<std::pair<const std::uint8_t*, std::size_t>> pieces;
  SeededRandom random(4);
  std::size_t written = 0, acknowledged = 0;
  while (acknowledged < data.size()) {
    const std::size_t step = random.u64() % 3000;
    const base::BytesView rest = base::BytesView(data).subspan(written);
    buffer.append(rest.first(std::min(step, rest.size())));
    written += std::min(step, rest.size());
    const auto next = buffer.next();
    std::size_t take = std::min<std::size_t>(next.size, random.u64() % 2500);
    buffer.sent(take);
    for (std::size_t i = 0; i < next.count && take > 0; ++i) {
      const std::size_t size = std::min(take, next.vec[i].len);
      sent.insert(sent.end(), next.vec[i].base, next.vec[i].base + size);
      pieces.emplace_back(next.vec[i].base, size);
      take -= size;
    }
    const std::size_t ack = std::min<std::size_t>(sent.size() - acknowledged, random.u64() % 2000);
    // What is not acknowledged must still be readable where it was.
    std::size_t at = 0;
    for (const auto& [where, size] : pieces) {
      if (at >= acknowledged) {
        ASSERT_EQ(std::memcmp(where, data.data() + at, size), 0) << at;
      }
      at += size;
    }
    buffer.acknowledged(ack);
    acknowledged += ack;
    ASSERT_EQ(buffer.size(), written - acknowledged);
    ASSERT_EQ(buffer.unsent(), written - sent.size());
  }
  EXPECT_TRUE(sent == data);
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(SendBuffer, DropsWhatWasNotSent) {
  ChunkPool pool;
  SendBuffer buffer(pool);
  buffer.append(pattern(5 * chunk_size));
  buffer.sent(chunk_size + 10);
  buffer.drop_unsent();
  EXPECT_EQ(buffer.unsent(), 0u);
  EXPECT_EQ(buffer.next().count, 0u);
  buffer.acknowledged(chunk_size + 10);
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_EQ(pool.in_use(), 0u);
}

}  // namespace
}  // namespace ztna::quic
