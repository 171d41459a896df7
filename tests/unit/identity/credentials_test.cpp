#include "identity/credentials.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/identity/test_certificates.hpp"
#include "unit/identity/tls_pair.hpp"

namespace ztna::identity {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t day = 24 * 60 * 60;

Expectation expect(Role role, std::string name = {}, std::string trust_domain = "example.org") {
  Expectation expectation;
  expectation.role = role;
  expectation.trust_domain = std::move(trust_domain);
  expectation.name = std::move(name);
  return expectation;
}

TlsOutcome meet(const Credentials& client, const Expectation& client_expects,
                const Credentials& server, const Expectation& server_expects,
                base::WallTime now = test_now) {
  TlsEnd client_end(GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT, client.handle(), &client,
                    client_expects, now);
  TlsEnd server_end(GNUTLS_SERVER, server.handle(), &server, server_expects, now);
  return handshake(client_end, server_end);
}

std::string message_of(const std::optional<base::Result<Principal>>& verdict) {
  if (!verdict) return "never asked";
  return *verdict ? "accepted " + (*verdict)->uri() : verdict->error().message();
}

TEST(Handshake, EachEndLearnsTheOthersPrincipal) {
  for (const KeyType type : {KeyType::ecdsa_p256, KeyType::ed25519}) {
    TestAuthority authority("example.org", type);
    const auto agent = authority.agent("alice");
    const auto connector = authority.connector("home-1", {"web", "quake"});
    const TlsOutcome outcome =
        meet(*agent, expect(Role::connector, "home-1"), *connector, expect(Role::agent));
    ASSERT_EQ(message_of(outcome.client_saw), "accepted spiffe://example.org/connector/home-1");
    ASSERT_EQ(message_of(outcome.server_saw), "accepted spiffe://example.org/agent/alice");
    const Principal& seen = **outcome.client_saw;
    EXPECT_THAT(seen.serve, ElementsAre("web", "quake"));
    EXPECT_EQ(seen.spki, connector->self().spki);
    EXPECT_EQ(seen.not_after.seconds, test_now.seconds + 90 * day);
  }
}

TEST(Handshake, RefusesAnotherCa) {
  TestAuthority ours, theirs;
  const auto agent = theirs.agent("alice");
  const auto connector = ours.connector("home", {"web"});
  const TlsOutcome outcome = meet(*agent, expect(Role::connector), *connector, expect(Role::agent));
  EXPECT_THAT(message_of(outcome.client_saw), HasSubstr("not issued by a CA in ca-cert.pem"));
}

}  // namespace
}  // namespace ztna::identity
