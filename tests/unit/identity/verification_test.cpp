// What Credentials::verify says in a real handshake, to honest peers and to impostors whose
// certificates the right CA signed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/identity/forged_leaf.hpp"
#include "unit/identity/test_certificates.hpp"
#include "unit/identity/tls_pair.hpp"

namespace ztna::identity {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

Expectation expect(Role role, std::string name = {}, std::string trust_domain = "example.org") {
  Expectation expectation;
  expectation.role = role;
  expectation.trust_domain = std::move(trust_domain);
  expectation.name = std::move(name);
  return expectation;
}

std::string message_of(const std::optional<base::Result<Principal>>& verdict) {
  if (!verdict) return "never asked";
  return *verdict ? "accepted " + (*verdict)->uri() : verdict->error().message();
}

TlsOutcome meet(const Credentials& client, const Expectation& client_expects,
                const Credentials& server, const Expectation& server_expects,
                base::WallTime now = test_now) {
  TlsEnd client_end(GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT, client.handle(), &client,
                    client_expects, now);
  TlsEnd server_end(GNUTLS_SERVER, server.handle(), &server, server_expects, now);
  return handshake(client_end, server_end);
}

// What an honest Agent says about a server that holds `server`.
std::string agent_sees(const Credentials& agent, gnutls_certificate_credentials_t server,
                       const Expectation& expected, base::WallTime now = test_now) {
  TlsEnd client_end(GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT, agent.handle(), &agent, expected,
                    now);
  TlsEnd server_end(GNUTLS_SERVER, server, &agent, expect(Role::agent), now);
  return message_of(handshake(client_end, server_end).client_saw);
}

class Impostors : public testing::Test {
 protected:
  std::string sees(const ForgedLeaf& leaf, Role role = Role::agent, base::WallTime now = test_now) {
    const Impostor impostor(forge(authority_.ca(), leaf));
    return agent_sees(*agent_, impostor.handle(), expect(role), now);
  }
  TestAuthority authority_;
  std::shared_ptr<const Credentials> agent_ = authority_.agent("victim");
};

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
    EXPECT_NE(seen.spki, agent->self().spki);
    EXPECT_EQ(seen.not_after.seconds, test_now.seconds + 90 * day);
  }
}

TEST(Handshake, ServesAStarConnectorAndAnIntermediate) {
  TestAuthority authority;
  const auto agent = authority.agent("alice");
  const auto connector = authority.connector("any", {"*"});
  const TlsOutcome first =
      meet(*agent, expect(Role::connector), *connector, expect(Role::agent, "alice"));
  ASSERT_EQ(message_of(first.client_saw), "accepted spiffe://example.org/connector/any");
  EXPECT_TRUE((*first.client_saw)->may_serve("payroll"));
  const auto intermediate = authority.intermediate("relay");
  const TlsOutcome second =
      meet(*connector, expect(Role::intermediate), *intermediate, expect(Role::connector));
  EXPECT_EQ(message_of(second.client_saw), "accepted spiffe://example.org/intermediate/relay");
  EXPECT_EQ(message_of(second.server_saw), "accepted spiffe://example.org/connector/any");
}

TEST(Handshake, RefusesAnotherCaOfTheSameName) {
  TestAuthority ours, theirs;
  const auto connector = ours.connector("home", {"web"});
  const auto stranger = theirs.agent("alice");
  EXPECT_THAT(agent_sees(*stranger, connector->handle(), expect(Role::connector)),
              HasSubstr("not issued by a CA in ca-cert.pem"));
  EXPECT_THAT(agent_sees(*connector, stranger->handle(), expect(Role::agent)),
              HasSubstr("not issued by a CA in ca-cert.pem"));
}

TEST(Handshake, RefusesAClientWithoutACertificate) {
  TestAuthority authority;
  const auto connector = authority.connector("home", {"web"});
  gnutls_certificate_credentials_t nothing = nullptr;
  must(gnutls_certificate_allocate_credentials(&nothing));
  {
    TlsEnd client(GNUTLS_CLIENT, nothing, connector.get(), expect(Role::connector), test_now);
    TlsEnd server(GNUTLS_SERVER, connector->handle(), connector.get(), expect(Role::agent),
                  test_now);
    const TlsOutcome outcome = handshake(client, server);
    EXPECT_THAT(message_of(outcome.server_saw), HasSubstr("the peer sent no certificate"));
  }
  gnutls_certificate_free_credentials(nothing);
}

TEST(Handshake, RefusesTheWrongRoleTrustDomainAndName) {
  TestAuthority authority;
  const auto agent = authority.agent("alice");
  const auto connector = authority.connector("home", {"web"});
  EXPECT_THAT(agent_sees(*agent, connector->handle(), expect(Role::intermediate)),
              HasSubstr("role is connector, expected intermediate"));
  EXPECT_THAT(agent_sees(*agent, connector->handle(), expect(Role::connector, "", "example.com")),
              HasSubstr("trust domain is \"example.org\", expected \"example.com\""));
  EXPECT_THAT(agent_sees(*agent, connector->handle(), expect(Role::connector, "", "")),
              HasSubstr("trust domain is \"example.org\", expected \"\""));
  EXPECT_THAT(agent_sees(*agent, connector->handle(), expect(Role::connector, "office")),
              HasSubstr("name is \"home\", expected \"office\""));
}

TEST(Handshake, AnIntermediateTakesAgentsAndConnectorsButNotItsLike) {
  TestAuthority authority;
  const auto intermediate = authority.intermediate("relay");
  Expectation node = expect(Role::agent);
  node.role = std::nullopt;
  const auto sees = [&](const Credentials& client) {
    TlsEnd client_end(GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT, client.handle(), &client,
                      expect(Role::intermediate), test_now);
    TlsEnd server_end(GNUTLS_SERVER, intermediate->handle(), intermediate.get(), node, test_now);
    return message_of(handshake(client_end, server_end).server_saw);
  };
  EXPECT_THAT(sees(*authority.agent("alice")), HasSubstr("accepted"));
  EXPECT_THAT(sees(*authority.connector("home", {"web"})), HasSubstr("accepted"));
  EXPECT_THAT(sees(*authority.intermediate("other")),
              HasSubstr("role is intermediate, expected agent or connector"));
}

TEST(Handshake, RefusesExpiredAndNotYetValid) {
  TestAuthority authority;
  const auto agent = authority.agent("alice");
  const auto connector = authority.connector("home", {"web"});
  const auto at = [&](std::int64_t offset) {
    return agent_sees(*agent, connector->handle(), expect(Role::connector),
                      {test_now.seconds + offset});
  };
  EXPECT_THAT(at(90 * day), HasSubstr("accepted"));
  EXPECT_THAT(at(90 * day + 1), HasSubstr("the certificate expired at 2026-04-01T00:00:00Z"));
  EXPECT_THAT(at(-5 * 60), HasSubstr("accepted"));
  EXPECT_THAT(at(-5 * 60 - 1), HasSubstr("not valid before 2025-12-31T23:55:00Z"));
}

TEST_F(Impostors, TheForgeryItselfIsGood) {
  EXPECT_EQ(sees({}), "accepted spiffe://example.org/agent/alice");
}

TEST_F(Impostors, NoUriName) {
  EXPECT_THAT(sees({.uris = {}}), HasSubstr("no URI names, expected exactly one"));
  EXPECT_THAT(sees({.uris = {}, .dns = {"agent.example.org"}}), HasSubstr("no URI names"));
}

TEST_F(Impostors, TwoUriNames) {
  EXPECT_THAT(
      sees({.uris = {"spiffe://example.org/agent/alice", "spiffe://example.org/agent/bob"}}),
      HasSubstr("2 URI names, expected exactly one"));
  EXPECT_THAT(sees({.uris = {"spiffe://example.org/agent/alice", "https://example.org/"}}),
              HasSubstr("2 URI names"));
}

TEST_F(Impostors, MalformedNames) {
  EXPECT_THAT(sees({.uris = {"spiffe://example.org/agent/Alice"}}), HasSubstr("malformed name"));
  EXPECT_THAT(sees({.uris = {"spiffe://example.org/agent/al*"}}), HasSubstr("malformed name"));
  EXPECT_THAT(sees({.uris = {"spiffe://example.org/agent/*"}}), HasSubstr("malformed name"));
  EXPECT_THAT(sees({.uris = {"spiffe://example.org/root/alice"}}), HasSubstr("the role is not"));
  EXPECT_THAT(sees({.uris = {"urn:alice"}}), HasSubstr("does not begin with spiffe://"));
}

TEST_F(Impostors, ANulEndsNoName) {
  const std::string plain = "spiffe://example.org/agent/alice";
  EXPECT_EQ(sees({.uris = {}, .raw_uri = plain}), "accepted " + plain);
  EXPECT_THAT(sees({.uris = {}, .raw_uri = plain + std::string("\0.evil", 6)}),
              HasSubstr("alice?.evil"));
}

TEST_F(Impostors, GlobsInServiceNames) {
  const std::vector<std::string> home = {"spiffe://example.org/connector/home"};
  EXPECT_THAT(sees({.uris = home, .dns = {"pay*.svc.example.org"}}, Role::connector),
              AllOf(HasSubstr("pay*.svc.example.org"), HasSubstr("names no service")));
  EXPECT_THAT(sees({.uris = home, .dns = {"*.*.svc.example.org"}}, Role::connector),
              HasSubstr("names no service"));
  EXPECT_THAT(
      sees({.uris = home, .dns = {"*.example.org", "web.svc.example.com"}}, Role::connector),
      HasSubstr("accepted"));
}

TEST_F(Impostors, ForeignServiceNamesGiveNothing) {
  const Impostor impostor(
      forge(authority_.ca(), {.uris = {"spiffe://example.org/connector/home"},
                              .dns = {"*.example.org", "web.svc.example.com", "*"}}));
  TlsEnd client(GNUTLS_CLIENT, agent_->handle(), agent_.get(), expect(Role::connector), test_now);
  TlsEnd server(GNUTLS_SERVER, impostor.handle(), agent_.get(), expect(Role::agent), test_now);
  const TlsOutcome outcome = handshake(client, server);
  ASSERT_TRUE(outcome.client_saw && *outcome.client_saw);
  EXPECT_THAT((*outcome.client_saw)->serve, testing::IsEmpty());
}

TEST_F(Impostors, WrongUsage) {
  EXPECT_THAT(sees({.purposes = {GNUTLS_KP_TLS_WWW_SERVER}}), HasSubstr("lacks clientAuth"));
  EXPECT_THAT(sees({.uris = {"spiffe://example.org/intermediate/i"},
                    .purposes = {GNUTLS_KP_TLS_WWW_CLIENT}},
                   Role::intermediate),
              HasSubstr("lacks serverAuth"));
  EXPECT_THAT(
      sees({.uris = {"spiffe://example.org/connector/c"}, .purposes = {GNUTLS_KP_TLS_WWW_SERVER}},
           Role::connector),
      HasSubstr("lacks clientAuth"));
}

TEST_F(Impostors, ACaIsNoNode) {
  EXPECT_THAT(
      sees({.key_usage = GNUTLS_KEY_DIGITAL_SIGNATURE | GNUTLS_KEY_KEY_CERT_SIGN, .ca = true}),
      HasSubstr("the certificate is a CA's"));
}

TEST_F(Impostors, Sha1Signatures) {
  EXPECT_THAT(sees({.digest = GNUTLS_DIG_SHA1}), AllOf(HasSubstr("SHA1"), HasSubstr("not secure")));
}

TEST_F(Impostors, ALeafCannotIssue) {
  // A valid node signs itself a new identity with its own key, and sends its own certificate along
  // as if it were a subordinate CA.
  const ForgedPem honest = forge(authority_.ca(), {});
  ForgedPem forged = forge({honest.certificate, "", honest.key, ""},
                           {.uris = {"spiffe://example.org/agent/admin"}});
  forged.certificate += honest.certificate;
  const Impostor impostor(forged);
  EXPECT_THAT(agent_sees(*agent_, impostor.handle(), expect(Role::agent)),
              HasSubstr("not issued by a CA"));
}

TEST_F(Impostors, OnlyTheLeafIsTheIdentity) {
  // Another node's good certificate, sent after one's own, lends nothing (OpenZiti GHSA-mrpr).
  ForgedPem mallory = forge(authority_.ca(), {.uris = {"spiffe://example.org/agent/mallory"}});
  mallory.certificate += forge(authority_.ca(), {}).certificate;
  const Impostor impostor(mallory);
  EXPECT_EQ(agent_sees(*agent_, impostor.handle(), expect(Role::agent)),
            "accepted spiffe://example.org/agent/mallory");
}

}  // namespace
}  // namespace ztna::identity
