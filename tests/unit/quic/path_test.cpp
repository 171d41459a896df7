#include "unit/quic/pair.hpp"

namespace ztna::quic {
namespace {

using Migration = Connection::Migration;

class PathTest : public testing::Test {
 protected:
  // An upload that runs until the end of the test and must arrive whole.
  void begin(std::size_t size = 5'000'000) {
    ASSERT_TRUE(pair.establish());
    pair.idle(1s);
    data = pattern(size);
    id = *pair.client.connection->open_stream();
    writer.emplace(pair.client, id, data);
    ASSERT_TRUE(pair.run([&] { return pair.server.handler.received[id].size() > size / 10; }));
  }
  void end() {
    ASSERT_TRUE(pair.run([&] { return pair.server.handler.finished.contains(id); }, 600s));
    EXPECT_TRUE(pair.server.handler.received[id] == data);
  }
  Pair pair;
  base::Bytes data;
  StreamId id = -1;
  std::optional<Writer> writer;
};

TEST_F(PathTest, ValidatedMigrationMovesBothEnds) {
  begin();
  ASSERT_TRUE(pair.client.connection->migrate(PathId{2}, Migration::validated, pair.now));
  EXPECT_EQ(pair.client.connection->path(), PathId{1});  // not before it is proven
  ASSERT_TRUE(pair.run([&] { return pair.server.connection->path() == PathId{2}; }));
  EXPECT_EQ(pair.client.connection->path(), PathId{2});
  EXPECT_EQ(pair.client.handler.paths, (std::vector<std::uint32_t>{2}));
  EXPECT_EQ(pair.server.handler.paths, (std::vector<std::uint32_t>{2}));
  EXPECT_EQ(pair.client.handler.validated,
            (std::vector<std::pair<std::uint32_t, bool>>{{2, true}}));
  end();
}

TEST_F(PathTest, ImmediateMigrationNeedsNoAnswerFromTheOldPath) {
  begin();
  pair.network.cut = {1};
  ASSERT_TRUE(pair.client.connection->migrate(PathId{2}, Migration::immediate, pair.now));
  EXPECT_EQ(pair.client.connection->path(), PathId{2});
  end();
  EXPECT_EQ(pair.server.connection->path(), PathId{2});
}

TEST_F(PathTest, ValidatedMigrationToADeadPathStays) {
  begin(50'000'000);
  pair.network.cut = {2};
  ASSERT_TRUE(pair.client.connection->migrate(PathId{2}, Migration::validated, pair.now));
  ASSERT_TRUE(pair.run([&] { return !pair.client.handler.validated.empty(); }, 60s));
  EXPECT_EQ(pair.client.handler.validated.front(), (std::pair<std::uint32_t, bool>{2, false}));
  EXPECT_EQ(pair.client.connection->path(), PathId{1});
  EXPECT_TRUE(pair.client.handler.paths.empty());
  end();
}

TEST_F(PathTest, GoesBackAndForthWithFreshNumbers) {
  begin(50'000'000);
  for (std::uint32_t path = 2; path <= 9; ++path) {
    const auto mode = path % 2 == 0 ? Migration::validated : Migration::immediate;
    ASSERT_TRUE(pair.client.connection->migrate(PathId{path}, mode, pair.now)) << path;
    ASSERT_TRUE(pair.run([&] { return pair.server.connection->path() == PathId{path}; })) << path;
    pair.idle(1s);
  }
  end();
}

TEST_F(PathTest, OnlyTheClientMigrates) {
  ASSERT_TRUE(pair.establish());
  EXPECT_FALSE(pair.server.connection->migrate(PathId{2}, Migration::validated, pair.now));
}

// The old path was so slow that its last packets come when the new one's are long acknowledged.
TEST(PathChange, WhatIsLateOnTheOldPathArrives) {
  Pair pair;
  pair.network.delay = 1ms;
  pair.network.detour[1] = 150ms;
  ASSERT_TRUE(pair.establish());
  pair.idle(1s);
  std::size_t sent = 0;
  const auto game = [&](base::Duration time) {
    for (const base::Time end = pair.now + time; pair.now < end; pair.idle(5ms)) {
      pair.server.datagrams.push(base::Bytes(100, 1));
      ++sent;
    }
  };
  game(1s);
  ASSERT_TRUE(pair.client.connection->migrate(PathId{2}, Migration::validated, pair.now));
  game(1s);
  EXPECT_EQ(pair.server.connection->path(), PathId{2});
  EXPECT_EQ(pair.client.handler.datagrams.size(), sent);
}

TEST_F(PathTest, ABatchIsOnOnePath) {
  std::map<std::uint32_t, std::set<std::size_t>> sizes;
  pair.filter = [&sizes](bool, const Batch& batch, base::BytesView packet) {
    EXPECT_LE(packet.size(), batch.segment);
    sizes[batch.path.value].insert(packet.size());
    return true;
  };
  begin();
  ASSERT_TRUE(pair.client.connection->migrate(PathId{2}, Migration::validated, pair.now));
  end();
  EXPECT_TRUE(sizes[2].contains(1200));  // PATH_CHALLENGE is padded (RFC 9000 §8.2.1)
}

TEST(PathMtu, GrowsToWhatThePathCarries) {
  for (const auto& [carries, expected] : std::vector<std::pair<std::size_t, std::size_t>>{
           {65535, 1452}, {1410, 1406}, {1300, 1280}, {1200, 1200}}) {
    Pair pair;
    pair.network.max_packet = carries;
    ASSERT_TRUE(pair.establish());
    pair.idle(10s);
    EXPECT_EQ(pair.client.connection->max_udp_payload(), expected);
    EXPECT_EQ(pair.server.connection->max_udp_payload(), expected);
    const auto id = pair.client.connection->open_stream();
    const base::Bytes data = pattern(300'000);
    Writer writer(pair.client, *id, data);
    ASSERT_TRUE(pair.run([&] { return pair.server.handler.finished.contains(*id); }, 60s));
    EXPECT_TRUE(pair.server.handler.received[*id] == data);
  }
}

// A router that drops a probe would drop the whole of the batch that it travels in.
TEST(PathMtu, ProbesLeaveAlone) {
  Pair pair;
  pair.network.max_packet = 1250;
  std::size_t probes = 0;
  pair.filter = [&](bool from_client, const Batch& batch, base::BytesView packet) {
    if (from_client && packet.size() > pair.client.connection->max_udp_payload()) {
      ++probes;
      EXPECT_EQ(batch.size, batch.segment);
    }
    return true;
  };
  ASSERT_TRUE(pair.establish());
  // Late: what is due and what there is to say come together.
  for (int i = 0; i < 300; ++i) {
    pair.client.datagrams.push(pattern(700));
    pair.now += 10ms;
    pair.client.connection->expire(pair.now);
    pair.idle(1ms);
  }
  EXPECT_GT(probes, 10u);
}

// A route changes, or a tunnel appears on it: what passed before vanishes, and nobody says so.
TEST(PathMtu, ABlackHoleIsNoticed) {
  for (const std::size_t piece : {std::size_t{1300}, std::size_t{640}}) {  // 640: two in a packet
    Pair pair;
    ASSERT_TRUE(pair.establish());
    pair.idle(10s);
    ASSERT_EQ(pair.client.connection->max_udp_payload(), 1452u);
    pair.network.max_packet = 1250;
    for (int i = 0; i < 10; ++i) {
      for (std::size_t sent = 0; sent + piece <= 1300; sent += piece) {
        pair.client.datagrams.push(base::Bytes(piece, 1));
      }
      pair.idle(100ms);
    }
    EXPECT_EQ(pair.client.connection->max_udp_payload(), 1200u) << piece;
    const std::size_t before = pair.server.handler.datagrams.size();
    pair.client.datagrams.push(base::Bytes(pair.client.connection->max_datagram(), 1));
    pair.idle(1s);
    EXPECT_EQ(pair.server.handler.datagrams.size(), before + 1) << piece;
  }
}

// What a full queue drops at one moment, and what gets lost now and then, says nothing about sizes.
TEST(PathMtu, LossesAreNoBlackHole) {
  Pair pair(3);
  ASSERT_TRUE(pair.establish());
  pair.idle(10s);
  pair.network.loss = 0.05;
  for (int i = 0; i < 300; ++i) {
    for (int burst = 0; burst < 4; ++burst) pair.client.datagrams.push(base::Bytes(1300, 1));
    pair.idle(20ms);
  }
  EXPECT_EQ(pair.client.connection->max_udp_payload(), 1452u);
}

TEST(PathMtu, StaysWhenTold) {
  Pair pair;
  pair.client.config.pmtud = false;
  pair.server.config.pmtud = false;
  ASSERT_TRUE(pair.establish());
  pair.idle(5s);
  EXPECT_EQ(pair.client.connection->max_udp_payload(), 1200u);
  EXPECT_LE(pair.largest_packet, 1200u);
}

TEST(PathMtu, IsBoundedByTheOwner) {
  Pair pair;
  pair.client.config.max_udp_payload = 1350;
  pair.server.config.max_udp_payload = 1350;
  ASSERT_TRUE(pair.establish());
  pair.idle(5s);
  EXPECT_EQ(pair.client.connection->max_udp_payload(), 1350u);
  EXPECT_LE(pair.largest_packet, 1350u);
}

TEST(Ecn, PacketsAreCapableAndMarksSlowTheSender) {
  const auto window_after = [](double marks) {
    Pair pair;
    pair.network.ce_marks = marks;
    std::size_t capable = 0;
    pair.filter = [&capable](bool, const Batch& batch, base::BytesView) {
      capable += batch.ecn == 2 ? 1 : 0;  // ECT(0)
      return true;
    };
    EXPECT_TRUE(pair.establish());
    const auto id = pair.client.connection->open_stream();
    const base::Bytes data = pattern(5'000'000);
    Writer writer(pair.client, *id, data);
    EXPECT_TRUE(pair.run([&] { return pair.server.handler.finished.contains(*id); }, 60s));
    EXPECT_GT(capable, 1000u);
    return pair.client.connection->stats().cwnd;
  };
  EXPECT_LT(window_after(0.05), window_after(0) / 2);
}

TEST(Congestion, BbrIsNotSlowedDownByRandomLoss) {
  const auto delivered = [](CongestionControl algorithm) {
    Pair pair;
    pair.network.delay = 20ms;
    pair.client.config.congestion = algorithm;
    EXPECT_TRUE(pair.establish());
    pair.network.loss = 0.01;
    const auto id = pair.client.connection->open_stream();
    const base::Bytes data = pattern(20'000'000);
    Writer writer(pair.client, *id, data);
    pair.idle(5s);
    return pair.server.handler.received[*id].size();
  };
  EXPECT_GT(delivered(CongestionControl::bbr), 3 * delivered(CongestionControl::cubic));
}

}  // namespace
}  // namespace ztna::quic
