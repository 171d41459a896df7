// Intermediates with public certificates: checked by host name against public roots.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/identity/forged_leaf.hpp"
#include "unit/identity/test_certificates.hpp"
#include "unit/identity/tls_pair.hpp"

namespace ztna::identity {
namespace {

using testing::HasSubstr;

// "Let's Encrypt" is another CA of the same making; its leaves have no URI name.
class WebPki : public testing::Test {
 protected:
  WebPki() {
    Credentials::Pem pem = ours_.pem({.role = Role::agent, .name = "alice"});
    pem.web_roots = web_.roots();
    pem.web_roots_where = "ca-certificates.crt";
    agent_ = value_or_throw(Credentials::load(pem, test_now));
    expected_.role = Role::intermediate;
    expected_.trust_domain = "example.org";
    expected_.web_pki_host = "relay.example.net";
  }

  std::string sees(const ForgedPem& server, base::WallTime now = test_now) {
    return sees(server, *agent_, now);
  }
  std::string sees(const ForgedPem& server, const Credentials& agent,
                   base::WallTime now = test_now) {
    const Impostor impostor(server);
    TlsEnd client_end(GNUTLS_CLIENT, agent.handle(), &agent, expected_, now);
    TlsEnd server_end(GNUTLS_SERVER, impostor.handle(), &agent, {}, now);
    const TlsOutcome outcome = handshake(client_end, server_end);
    if (!outcome.client_saw) return "never asked";
    if (!*outcome.client_saw) return outcome.client_saw->error().message();
    const Principal& principal = **outcome.client_saw;
    return std::string(to_string(principal.role)) + " " + principal.name + " of " +
           principal.trust_domain;
  }
  ForgedPem leaf(const std::string& host) { return forge(web_.ca(), {.uris = {}, .dns = {host}}); }

  TestAuthority ours_, web_{"public.test"};
  Expectation expected_;
  std::shared_ptr<const Credentials> agent_;
};

TEST_F(WebPki, TheHostNameIsTheIdentity) {
  EXPECT_EQ(sees(leaf("relay.example.net")), "intermediate relay.example.net of example.org");
}

TEST_F(WebPki, AnotherHostIsRefused) {
  EXPECT_THAT(sees(leaf("evil.example.net")), HasSubstr("does not prove the host"));
}

// A certificate of our own CA that names hosts holds for these only: the one of another
// Intermediate, or a stolen one, does not pass everywhere.
TEST_F(WebPki, OurOwnCertificateHoldsForTheHostsItNames) {
  const auto ours = [&](std::vector<std::string> dns) {
    return sees(forge(ours_.ca(),
                      {.uris = {"spiffe://example.org/intermediate/one"}, .dns = std::move(dns)}));
  };
  EXPECT_EQ(ours({"other.example.net", "relay.example.net"}), "intermediate one of example.org");
  EXPECT_THAT(ours({"other.example.net"}),
              HasSubstr("the certificate does not name the host \"relay.example.net\""));
  EXPECT_EQ(ours({}), "intermediate one of example.org") << "it names none: any";
  expected_.web_pki_host = "192.0.2.7";
  EXPECT_THAT(ours({"relay.example.net"}), HasSubstr("does not name the host"));
}

TEST_F(WebPki, OurOwnCaIsNoPublicRoot) {
  EXPECT_THAT(sees(forge(ours_.ca(), {.uris = {}, .dns = {"relay.example.net"}})),
              HasSubstr("does not prove the host"));
}

TEST_F(WebPki, APublicCaCannotMakeOurIdentities) {
  EXPECT_THAT(sees(forge(web_.ca(), {.uris = {"spiffe://example.org/intermediate/relay"},
                                     .dns = {"relay.example.net"}})),
              HasSubstr("not issued by a CA in ca-cert.pem"));
}

TEST_F(WebPki, OurOwnIntermediateStillPasses) {
  EXPECT_EQ(sees(forge(ours_.ca(), {.uris = {"spiffe://example.org/intermediate/relay"}})),
            "intermediate relay of example.org");
}

TEST_F(WebPki, ClientOnlyCertificatesAreRefused) {
  EXPECT_THAT(sees(forge(web_.ca(), {.uris = {},
                                     .dns = {"relay.example.net"},
                                     .purposes = {GNUTLS_KP_TLS_WWW_CLIENT}})),
              HasSubstr("does not prove the host"));
}

TEST_F(WebPki, ExpiredIsRefusedAtTheTimeHandedIn) {
  EXPECT_THAT(sees(leaf("relay.example.net"), {test_now.seconds + 3601}), HasSubstr("expired at"));
}

TEST_F(WebPki, IsOffWhereNobodyAskedForIt) {
  expected_.web_pki_host.clear();
  EXPECT_THAT(sees(leaf("relay.example.net")), HasSubstr("not issued by a CA in ca-cert.pem"));
}

TEST_F(WebPki, NeedsPublicRoots) {
  const auto without = ours_.agent("bob");
  EXPECT_THAT(sees(leaf("relay.example.net"), *without), HasSubstr("no public roots are loaded"));
}

TEST_F(WebPki, IsForIntermediatesOnly) {
  expected_.role = Role::connector;
  EXPECT_THAT(sees(leaf("relay.example.net")), HasSubstr("not issued by a CA in ca-cert.pem"));
}

TEST_F(WebPki, AnIntermediateLoadsItsPublicCertificate) {
  const ForgedPem own = leaf("relay.example.net");
  const Credentials::Pem pem{own.certificate, "cert.pem",    own.key,
                             "key.pem",       ours_.roots(), "ca-cert.pem"};
  const auto loaded = Credentials::load(pem, test_now);
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ((*loaded)->self().role, Role::intermediate);
  EXPECT_EQ((*loaded)->self().name, "relay.example.net");
  EXPECT_EQ((*loaded)->self().trust_domain, "example.org") << "that of the roots";
}

TEST_F(WebPki, RootsThatDisagreeSayNoTrustDomain) {
  const ForgedPem own = leaf("relay.example.net");
  const TestAuthority other("example.com");
  const Credentials::Pem pem{
      own.certificate, "cert.pem", own.key, "key.pem", ours_.roots() + other.roots(),
      "ca-cert.pem"};
  const auto loaded = Credentials::load(pem, test_now);
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ((*loaded)->self().trust_domain, "");
}

TEST_F(WebPki, ALeafOfOurCaWithoutAnIdIsNotMistakenForAPublicOne) {
  const ForgedPem own = forge(ours_.ca(), {.uris = {}, .dns = {"relay.example.net"}});
  const Credentials::Pem pem{own.certificate, "cert.pem",    own.key,
                             "key.pem",       ours_.roots(), "ca-cert.pem"};
  const auto loaded = Credentials::load(pem, test_now);
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message(), HasSubstr("no URI names"));
}

}  // namespace
}  // namespace ztna::identity
