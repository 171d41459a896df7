#include <gmock/gmock.h>

#include "unit/quic/pair.hpp"

namespace ztna::quic {
namespace {

using testing::HasSubstr;

TEST(Handshake, BothEndsLearnWhoThePeerIs) {
  Pair pair;
  ASSERT_TRUE(pair.establish());
  EXPECT_EQ(pair.client.handler.principal->uri(), "spiffe://example.org/connector/home");
  EXPECT_EQ(pair.server.handler.principal->uri(), "spiffe://example.org/agent/alice");
  EXPECT_TRUE(pair.client.connection->established());
  EXPECT_FALSE(pair.client.connection->peer_certificate().empty());
}

TEST(Handshake, BothEndsExportTheSameKeys) {
  Pair pair;
  ASSERT_TRUE(pair.establish());
  const auto key = [](const Pair::Side& side, std::string_view label, std::string_view context) {
    const auto secret = side.connection->export_key(label, base::as_bytes(context));
    EXPECT_TRUE(secret);
    return base::to_hex(secret->expose());
  };
  EXPECT_EQ(key(pair.client, "a", "x"), key(pair.server, "a", "x"));
  EXPECT_NE(key(pair.client, "a", "x"), key(pair.client, "b", "x"));
  EXPECT_NE(key(pair.client, "a", "x"), key(pair.client, "a", "y"));
}

TEST(Handshake, SurvivesLossAndReordering) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Pair pair(seed);
    pair.network.loss = 0.2;
    pair.network.jitter = 10ms;
    EXPECT_TRUE(pair.establish()) << "seed " << seed;
  }
}

struct Refusal {
  CloseInfo client, server;
};
Refusal refused(Pair& pair) {
  pair.connect();
  EXPECT_TRUE(pair.run([&] {
    return pair.client.handler.closed && (!pair.server.connection || pair.server.handler.closed);
  }));
  EXPECT_EQ(pair.server.handler.established, 0);
  return {pair.client.handler.closed.value_or(CloseInfo{}),
          pair.server.handler.closed.value_or(CloseInfo{})};
}

TEST(Handshake, ClientRefusesTheWrongRole) {
  Pair pair;
  pair.server.config.credentials = Pair::authority().agent("mallory");
  const auto refusal = refused(pair);
  EXPECT_EQ(pair.client.handler.established, 0);
  EXPECT_EQ(refusal.client.cause, CloseCause::handshake);
  EXPECT_EQ(refusal.client.code, 0x100u + 49);  // access_denied
  EXPECT_EQ(refusal.server.cause, CloseCause::handshake);
  EXPECT_EQ(refusal.server.code, 0x100u + 49);
}

TEST(Handshake, ServerRefusesTheWrongRole) {
  Pair pair;
  pair.client.config.credentials = Pair::authority().connector("other", {"web"});
  const auto refusal = refused(pair);
  EXPECT_EQ(refusal.server.cause, CloseCause::handshake);
  EXPECT_THAT(refusal.server.reason, HasSubstr("connector"));
  EXPECT_EQ(refusal.client.cause, CloseCause::handshake);
  EXPECT_EQ(refusal.client.code, 0x100u + 49);
}

}  // namespace
}  // namespace ztna::quic
