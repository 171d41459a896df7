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

}  // namespace
}  // namespace ztna::quic
