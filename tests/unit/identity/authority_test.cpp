#include "identity/authority.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.hpp"
#include "unit/identity/forged_leaf.hpp"
#include "unit/identity/openssl.hpp"
#include "unit/identity/test_certificates.hpp"

namespace ztna::identity {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using testing_support::run;
using testing_support::ScratchFolder;

template <class T>
std::string message_of(const base::Result<T>& result) {
  return result ? "accepted" : result.error().message();
}

std::string check_message(const LeafRequest& leaf) {
  const auto checked = check_leaf_request(leaf);
  return checked ? "accepted" : checked.error().message();
}

TEST(LeafRequest, NamesWhatIsWrong) {
  EXPECT_EQ(check_message({.role = Role::agent, .name = "alice"}), "accepted");
  EXPECT_THAT(check_message({.role = Role::agent, .name = "Alice"}),
              HasSubstr("\"Alice\" is not a name"));
  EXPECT_THAT(check_message({.role = Role::agent, .name = "ci-*"}), HasSubstr("is not a name"));
  EXPECT_THAT(check_message({.role = Role::connector, .name = "home"}),
              HasSubstr("expected one or more names, or *"));
  EXPECT_THAT(check_message({.role = Role::connector, .name = "home", .serve = {"we*"}}),
              HasSubstr("\"we*\" is not a service"));
  EXPECT_THAT(check_message({.role = Role::agent, .name = "alice", .serve = {"web"}}),
              HasSubstr("services to serve are for connectors"));
  EXPECT_THAT(check_message({.role = Role::agent, .name = "alice", .dns = {"a.org"}}),
              HasSubstr("are for intermediates"));
  EXPECT_THAT(check_message({.role = Role::intermediate, .name = "i", .dns = {"A.org"}}),
              HasSubstr("\"A.org\" is not a host name"));
  EXPECT_THAT(check_message({.role = Role::intermediate, .name = "i", .ip = {"1.2.3"}}),
              HasSubstr("\"1.2.3\" is not an IP address"));
  EXPECT_THAT(check_message({.role = Role::agent, .name = "alice", .days = 0}),
              HasSubstr("0 days of validity, expected 1 to"));
  EXPECT_THAT(check_message({.role = Role::agent, .name = "alice", .days = max_days + 1}),
              HasSubstr("days of validity, expected 1 to"));
}

TEST(Root, RefusesABadTrustDomain) {
  CountingRandom random;
  EXPECT_THAT(message_of(make_root("Example", KeyType::ecdsa_p256, 10, test_now, random)),
              HasSubstr("\"Example\" is not a trust domain"));
}

class Issue : public testing::Test {
 protected:
  std::string write_ca() { return folder_.file("ca.pem", authority_.roots()); }
  // openssl's reading of a certificate, and its verdict at test_now.
  std::string text_of(const std::string& pem) {
    return run("openssl x509 -noout -text -in " + folder_.file("leaf.pem", pem)).output;
  }
  std::string verdict_of(const std::string& pem, const std::string& options) {
    return run("openssl verify -x509_strict -attime " + std::to_string(test_now.seconds) + " " +
               options + " -CAfile " + write_ca() + " " + folder_.file("leaf.pem", pem))
        .output;
  }
  ScratchFolder folder_;
  TestAuthority authority_;
  CountingRandom random_;
};

TEST_F(Issue, OpensslAgreesAboutTheRoot) {
  ZTNA_NEEDS_OPENSSL();
  EXPECT_THAT(text_of(authority_.roots()),
              AllOf(HasSubstr("Version: 3"), HasSubstr("prime256v1"),
                    HasSubstr("Basic Constraints: critical\n                CA:TRUE, pathlen:0"),
                    HasSubstr("Key Usage: critical\n                Certificate Sign, CRL Sign"),
                    HasSubstr("URI:spiffe://example.org\n"), HasSubstr("ecdsa-with-SHA256")));
  EXPECT_THAT(verdict_of(authority_.roots(), ""), HasSubstr("leaf.pem: OK"));
}

TEST_F(Issue, OpensslAgreesAboutAConnector) {
  ZTNA_NEEDS_OPENSSL();
  const std::string pem =
      authority_.pem({.role = Role::connector, .name = "home", .serve = {"web", "quake", "web"}})
          .certificate;
  EXPECT_THAT(text_of(pem), AllOf(HasSubstr("URI:spiffe://example.org/connector/home, "
                                            "DNS:web.svc.example.org, DNS:quake.svc.example.org\n"),
                                  HasSubstr("CA:FALSE"), HasSubstr("Digital Signature\n"),
                                  HasSubstr("Not Before: Dec 31 23:55:00 2025 GMT"),
                                  HasSubstr("Not After : Apr  1 00:00:00 2026 GMT")));
  EXPECT_THAT(verdict_of(pem, "-purpose sslserver"), HasSubstr("leaf.pem: OK"));
  EXPECT_THAT(verdict_of(pem, "-purpose sslclient"), HasSubstr("leaf.pem: OK"));
}

TEST_F(Issue, OpensslAgreesAboutAStar) {
  ZTNA_NEEDS_OPENSSL();
  const std::string pem =
      authority_.pem({.role = Role::connector, .name = "home", .serve = {"*"}}).certificate;
  EXPECT_THAT(text_of(pem), HasSubstr("DNS:*.svc.example.org\n"));
}

TEST_F(Issue, AgentsAreClientsAndIntermediatesServers) {
  ZTNA_NEEDS_OPENSSL();
  const std::string agent = authority_.pem({.role = Role::agent, .name = "alice"}).certificate;
  EXPECT_THAT(verdict_of(agent, "-purpose sslclient"), HasSubstr("leaf.pem: OK"));
  EXPECT_THAT(verdict_of(agent, "-purpose sslserver"), Not(HasSubstr("leaf.pem: OK")));
  const std::string relay = authority_
                                .pem({.role = Role::intermediate,
                                      .name = "relay",
                                      .dns = {"relay.example.net"},
                                      .ip = {"192.0.2.1", "2001:db8::1"}})
                                .certificate;
  EXPECT_THAT(verdict_of(relay, "-purpose sslclient"), Not(HasSubstr("leaf.pem: OK")));
  EXPECT_THAT(verdict_of(relay, "-purpose sslserver -verify_hostname relay.example.net"),
              HasSubstr("leaf.pem: OK"));
  EXPECT_THAT(verdict_of(relay, "-purpose sslserver -verify_ip 192.0.2.1"),
              HasSubstr("leaf.pem: OK"));
  EXPECT_THAT(verdict_of(relay, "-purpose sslserver -verify_ip 2001:db8::1"),
              HasSubstr("leaf.pem: OK"));
}

TEST_F(Issue, OpensslAgreesAboutEd25519) {
  ZTNA_NEEDS_OPENSSL();
  TestAuthority edwards("example.org", KeyType::ed25519);
  const std::string pem = edwards.pem({.role = Role::agent, .name = "alice"}).certificate;
  const std::string ca = folder_.file("ed-ca.pem", edwards.roots());
  EXPECT_THAT(run("openssl verify -x509_strict -attime " + std::to_string(test_now.seconds) +
                  " -CAfile " + ca + " " + folder_.file("ed.pem", pem))
                  .output,
              HasSubstr("ed.pem: OK"));
}

TEST_F(Issue, TheSpkiIsTheHashThatOpensslComputes) {
  ZTNA_NEEDS_OPENSSL();
  const Credentials::Pem pem = authority_.pem({.role = Role::agent, .name = "alice"});
  const auto summary = value_or_throw(read_leaf(pem.certificate, "cert.pem"));
  const std::string hash =
      run("openssl x509 -pubkey -noout -in " + folder_.file("leaf.pem", pem.certificate) +
          " | openssl pkey -pubin -outform DER | openssl dgst -sha256 -r | cut -d' ' -f1 | tr -d "
          "'\\n'")
          .output;
  EXPECT_EQ(base::to_hex(summary.principal.spki), hash);
}

TEST_F(Issue, DoesNotOutliveTheCa) {
  const LeafRequest leaf{.role = Role::agent, .name = "alice", .days = 3651};
  const std::string key = value_or_throw(make_key(KeyType::ecdsa_p256));
  EXPECT_THAT(message_of(issue_for_key(authority_.ca(), leaf, key, "key.pem", test_now, random_)),
              AllOf(StartsWith("ca-cert.pem: "), HasSubstr("past the end of the CA itself")));
}

TEST_F(Issue, NotByAnExpiredCa) {
  const std::string key = value_or_throw(make_key(KeyType::ecdsa_p256));
  EXPECT_THAT(message_of(issue_for_key(authority_.ca(), {.role = Role::agent, .name = "alice"}, key,
                                       "key.pem", {test_now.seconds + 4000 * day}, random_)),
              HasSubstr("the CA's certificate expired at"));
}

TEST_F(Issue, NotWithAnotherCasKey) {
  CaPem mixed = authority_.ca();
  mixed.key = TestAuthority().ca().key;
  const std::string key = value_or_throw(make_key(KeyType::ecdsa_p256));
  EXPECT_THAT(message_of(issue_for_key(mixed, {.role = Role::agent, .name = "alice"}, key,
                                       "key.pem", test_now, random_)),
              StartsWith("ca-key.pem: the private key does not belong to the CA's certificate"));
}

TEST_F(Issue, NotByALeaf) {
  const Credentials::Pem leaf = authority_.pem({.role = Role::agent, .name = "alice"});
  const CaPem pretender{leaf.certificate, "cert.pem", leaf.key, "key.pem"};
  EXPECT_THAT(message_of(ca_trust_domain(pretender)), HasSubstr("is not a CA's"));
}

TEST_F(Issue, RefusesAWeakKey) {
  ZTNA_NEEDS_OPENSSL();
  const std::string rsa = run("openssl genrsa 1024 2>/dev/null").output;
  EXPECT_THAT(
      message_of(issue_for_key(authority_.ca(), {.role = Role::agent, .name = "alice"}, rsa,
                               "key.pem", test_now, random_)),
      AllOf(StartsWith("key.pem: the key is RSA of 1024 bits"), HasSubstr("expected ECDSA")));
}

class Request : public Issue {
 protected:
  std::string request_for(Role role, const std::string& name,
                          const std::string& trust_domain = "example.org") {
    return value_or_throw(make_signing_request(trust_domain, role, name, key_, "key.pem"));
  }
  base::Result<Issued> issue(const std::string& request, const LeafRequest& leaf) {
    return issue_for_request(authority_.ca(), leaf, request, "node.csr", test_now, random_);
  }
  std::string key_ = value_or_throw(make_key(KeyType::ecdsa_p256));
  LeafRequest alice_{.role = Role::agent, .name = "alice"};
};

TEST_F(Request, BecomesACertificateForItsKey) {
  const auto issued = issue(request_for(Role::agent, "alice"), alice_);
  ASSERT_TRUE(issued) << issued.error().message();
  const Credentials::Pem pem{issued->certificate, "cert.pem",         key_,
                             "key.pem",           authority_.roots(), "ca-cert.pem"};
  const auto loaded = Credentials::load(pem, test_now);
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ((*loaded)->self().uri(), "spiffe://example.org/agent/alice");
  EXPECT_EQ((*loaded)->self().spki, issued->principal.spki);
}

TEST_F(Request, OpensslAgreesAboutIt) {
  ZTNA_NEEDS_OPENSSL();
  const std::string path = folder_.file("node.csr", request_for(Role::agent, "alice"));
  const std::string text = run("openssl req -verify -noout -text -in " + path).output;
  EXPECT_THAT(text,
              AllOf(HasSubstr("verify OK"), HasSubstr("URI:spiffe://example.org/agent/alice")));
}

TEST_F(Request, MustAskForWhatTheOperatorAskedFor) {
  EXPECT_THAT(message_of(issue(request_for(Role::agent, "mallory"), alice_)),
              AllOf(StartsWith("node.csr: the signing request asks for "
                               "\"spiffe://example.org/agent/mallory\""),
                    HasSubstr("expected exactly \"spiffe://example.org/agent/alice\"")));
  EXPECT_THAT(message_of(issue(request_for(Role::intermediate, "alice"), alice_)),
              HasSubstr("spiffe://example.org/intermediate/alice"));
  EXPECT_THAT(message_of(issue(request_for(Role::agent, "alice", "example.com"), alice_)),
              HasSubstr("spiffe://example.com/agent/alice"));
}

// Requests that only another program makes.
TEST_F(Request, ItsOtherNamesAreIgnoredAndSeveralIdsRefused) {
  ZTNA_NEEDS_OPENSSL();
  const std::string key = folder_.file("key.pem", key_);
  const auto with_names = [&](const std::string& names) {
    return run("openssl req -new -subj /CN=x -key " + key + " -addext 'subjectAltName=" + names +
               "'")
        .output;
  };
  const std::string mine = "URI:spiffe://example.org/agent/alice";
  const auto issued = issue(with_names(mine + ",DNS:*.svc.example.org"), alice_);
  ASSERT_TRUE(issued) << issued.error().message();
  EXPECT_THAT(text_of(issued->certificate), Not(HasSubstr("DNS:")));
  EXPECT_THAT(message_of(issue(with_names(mine + ",URI:spiffe://example.org/agent/bob"), alice_)),
              HasSubstr("asks for 2 URI names"));
  EXPECT_THAT(message_of(issue(run("openssl req -new -subj /CN=x -key " + key).output, alice_)),
              HasSubstr("asks for no URI name"));
}

TEST_F(Request, MustBeSignedByItsOwnKey) {
  // Another valid request's signature under this one's body: cut the DER's tail.
  std::string request = request_for(Role::agent, "alice");
  const std::size_t end = request.find("-----END");
  const std::size_t at = end - 12;
  request[at] = request[at] == 'A' ? 'B' : 'A';
  EXPECT_THAT(message_of(issue(request, alice_)), StartsWith("node.csr: "));
  EXPECT_THAT(message_of(issue("hello", alice_)),
              StartsWith("node.csr: cannot read a signing request"));
}

TEST_F(Issue, RenewKeepsKeyAndNames) {
  const Credentials::Pem old = authority_.pem({.role = Role::intermediate,
                                               .name = "relay",
                                               .dns = {"relay.example.net"},
                                               .ip = {"192.0.2.1", "2001:db8::1"}});
  const base::WallTime later{test_now.seconds + 100 * day};  // the old one has expired
  const auto issued = renew(authority_.ca(), old.certificate, "cert.pem", 30, later, random_);
  ASSERT_TRUE(issued) << issued.error().message();
  const auto before = value_or_throw(read_leaf(old.certificate, ""));
  const auto after = value_or_throw(read_leaf(issued->certificate, ""));
  EXPECT_EQ(after.principal.spki, before.principal.spki);
  EXPECT_EQ(after.principal.uri(), before.principal.uri());
  EXPECT_NE(after.serial, before.serial);
  EXPECT_EQ(after.serial, issued->serial);
  EXPECT_EQ(after.principal.not_after.seconds, later.seconds + 30 * day);
  if (testing_support::have_openssl()) {
    EXPECT_THAT(text_of(issued->certificate),
                HasSubstr("URI:spiffe://example.org/intermediate/relay, DNS:relay.example.net, "
                          "IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1"));
  }
}

TEST_F(Issue, RenewKeepsTheServices) {
  const Credentials::Pem old =
      authority_.pem({.role = Role::connector, .name = "home", .serve = {"web", "*"}});
  const auto issued = renew(authority_.ca(), old.certificate, "cert.pem", 30, test_now, random_);
  ASSERT_TRUE(issued) << issued.error().message();
  EXPECT_THAT(value_or_throw(read_leaf(issued->certificate, "")).principal.serve,
              testing::ElementsAre("web", "*"));
}

TEST_F(Issue, RenewOnlyWhatThisCaSigned) {
  const Credentials::Pem foreign = TestAuthority().pem({.role = Role::agent, .name = "alice"});
  EXPECT_THAT(
      message_of(renew(authority_.ca(), foreign.certificate, "cert.pem", 30, test_now, random_)),
      StartsWith("cert.pem: the certificate is not issued by a CA in ca-cert.pem"));
}

}  // namespace
}  // namespace ztna::identity
