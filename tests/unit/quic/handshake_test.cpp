#include <gmock/gmock.h>
#include <gnutls/gnutls.h>

#include "quic/tls_session.hpp"
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

TEST(Handshake, AnotherAuthorityIsRefusedByBoth) {
  identity::TestAuthority stranger;  // the same trust domain, another key
  {
    Pair pair;
    pair.client.config.credentials = stranger.agent("alice");
    pair.server.config.credentials = Pair::authority().connector("home", {"web"});
    const auto refusal = refused(pair);
    EXPECT_EQ(refusal.client.cause, CloseCause::handshake);
    EXPECT_EQ(refusal.client.code, 0x100u + 48);  // unknown_ca: our roots lack the server's
    EXPECT_EQ(pair.client.handler.established, 0);
  }
  Pair pair;
  auto mixed = Pair::authority().pem({.role = identity::Role::agent, .name = "alice"});
  auto strange = stranger.pem({.role = identity::Role::agent, .name = "alice"});
  strange.roots += mixed.roots;  // trusts both, so that only the server refuses
  pair.client.config.credentials =
      identity::value_or_throw(identity::Credentials::load(strange, identity::test_now));
  const auto refusal = refused(pair);
  EXPECT_EQ(refusal.server.cause, CloseCause::handshake);
  EXPECT_EQ(refusal.server.code, 0x100u + 48);
  EXPECT_EQ(refusal.client.cause, CloseCause::handshake);
  EXPECT_EQ(refusal.client.code, 0x100u + 48);
}

TEST(Handshake, AnExpiredCertificateIsRefused) {
  Pair pair;
  pair.server.config.wall_now = {identity::test_now.seconds + 91 * 86400};
  const auto refusal = refused(pair);
  EXPECT_EQ(refusal.server.cause, CloseCause::handshake);
  EXPECT_EQ(refusal.server.code, 0x100u + 45);  // certificate_expired
  EXPECT_THAT(refusal.server.reason, HasSubstr("expired"));
  EXPECT_EQ(refusal.client.code, 0x100u + 45);
  EXPECT_THAT(refusal.client.reason, HasSubstr("expired"));
}

TEST(Handshake, AClientWithoutACertificateIsRefused) {
  Pair pair;
  gnutls_certificate_free_keys(pair.client.config.credentials->handle());
  const auto refusal = refused(pair);
  EXPECT_EQ(refusal.server.cause, CloseCause::handshake);
  EXPECT_EQ(refusal.server.code, 0x100u + 116);  // certificate_required
  EXPECT_EQ(refusal.client.cause, CloseCause::handshake);
}

TEST(Handshake, AnotherNameOrTrustDomainIsRefused) {
  Pair named;
  named.client.config.expect.name = "office";
  EXPECT_EQ(refused(named).client.code, 0x100u + 49);
  Pair foreign;
  foreign.client.config.expect.trust_domain = "example.com";
  EXPECT_EQ(refused(foreign).client.code, 0x100u + 49);
}

TEST(Handshake, AnotherProtocolIsRefused) {
  Pair pair;
  pair.client.config.alpn = "h3";
  const auto refusal = refused(pair);
  EXPECT_EQ(refusal.client.cause, CloseCause::handshake);
  EXPECT_EQ(refusal.client.code, 0x100u + 120);  // no_application_protocol
  EXPECT_EQ(refusal.server.code, 0x100u + 120);
}

TEST(Handshake, GivesUpAfterItsTimeout) {
  Pair pair;
  pair.network.cut = {1};
  pair.client.config.handshake_timeout = 4s;
  pair.connect();
  const base::Time start = pair.now;
  ASSERT_TRUE(pair.run([&] { return pair.client.handler.closed.has_value(); }, 60s));
  EXPECT_EQ(pair.client.handler.closed->cause, CloseCause::handshake);
  EXPECT_GE(pair.now - start, 4s);
  EXPECT_LT(pair.now - start, 5s);
  EXPECT_TRUE(pair.client.connection->finished());
}

TEST(Handshake, NothingIsPossibleBeforeIt) {
  Pair pair;
  pair.connect();
  auto& client = *pair.client.connection;
  EXPECT_FALSE(client.open_stream());
  EXPECT_EQ(client.max_datagram(), 0u);
  EXPECT_EQ(client.peer(), nullptr);
  EXPECT_TRUE(client.peer_certificate().empty());
  EXPECT_FALSE(client.export_key("a", {}));
  EXPECT_FALSE(client.migrate(PathId{2}, Connection::Migration::validated, pair.now));
}

TEST(Handshake, RefusesAnUnusableConfiguration) {
  Pair pair;
  const auto error_of = [&pair](const Config& config) {
    auto made = Connection::connect(config, PathId{1}, pair.client.handler, nullptr, pair.now);
    return made ? base::ErrorCode::internal : made.error().code;
  };
  Config config = pair.client.config;
  config.alpn.clear();
  EXPECT_EQ(error_of(config), base::ErrorCode::invalid_argument);
  config = pair.client.config;
  config.credentials.reset();
  EXPECT_EQ(error_of(config), base::ErrorCode::invalid_argument);
  config = pair.client.config;
  config.random = nullptr;
  EXPECT_EQ(error_of(config), base::ErrorCode::invalid_argument);
  config = pair.client.config;
  config.max_udp_payload = 1199;
  EXPECT_EQ(error_of(config), base::ErrorCode::invalid_argument);
}

// RFC 8446 §7.5, held against GnuTLS's own exporter is not possible once the session is gone; so
// against its definition with independently computed values (Python's hmac and hashlib):
// secret = 00 01 … 1f, label "EXPORTER-test", context "ctx", 32 octets.
TEST(TlsExport, MatchesItsDefinition) {
  base::Secret<32> secret;
  for (std::uint8_t i = 0; i < 32; ++i) secret.expose()[i] = i;
  const auto out = tls_export(secret.expose(), "EXPORTER-test", base::as_bytes("ctx"));
  ASSERT_TRUE(out);
  EXPECT_EQ(base::to_hex(out->expose()),
            "803d55618cf5ca09a280f970d4f67a3800fe56aa25e1edb4afef839053b6d9ba");
}

}  // namespace
}  // namespace ztna::quic
