#include "identity/credentials.hpp"

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
using testing::StartsWith;
using testing_support::run;
using testing_support::ScratchFolder;

std::string load_message(const Credentials::Pem& pem, base::WallTime now = test_now) {
  const auto loaded = Credentials::load(pem, now);
  return loaded ? "loaded" : loaded.error().message();
}

std::string der_of(const std::string& pem) {
  gnutls_datum_t out{nullptr, 0};
  const gnutls_datum_t text = pem_datum(pem);
  must(gnutls_pem_base64_decode2("CERTIFICATE", &text, &out));
  std::string der(reinterpret_cast<char*>(out.data), out.size);
  gnutls_free(out.data);
  return der;
}

class Load : public testing::Test {
 protected:
  TestAuthority authority_;
  Credentials::Pem good_ = authority_.pem({.role = Role::agent, .name = "alice"});
};

TEST_F(Load, GivesOwnIdentity) {
  const auto loaded = Credentials::load(good_, test_now);
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ((*loaded)->self().uri(), "spiffe://example.org/agent/alice");
}

TEST_F(Load, NamesTheFileThatIsNoPem) {
  Credentials::Pem pem = good_;
  pem.certificate = "nonsense";
  EXPECT_THAT(load_message(pem), StartsWith("cert.pem: cannot read a certificate"));
  pem = good_;
  pem.key = "";
  EXPECT_THAT(load_message(pem), StartsWith("key.pem: cannot read a private key"));
  pem = good_;
  pem.roots = pem.key;
  EXPECT_THAT(load_message(pem), StartsWith("ca-cert.pem: cannot read a certificate"));
}

TEST_F(Load, RefusesAnotherNodesKey) {
  good_.key = authority_.pem({.role = Role::agent, .name = "bob"}).key;
  EXPECT_THAT(
      load_message(good_),
      StartsWith("key.pem: the private key does not belong to the certificate in cert.pem"));
}

TEST_F(Load, RefusesForeignRoots) {
  good_.roots = TestAuthority().roots();
  EXPECT_THAT(load_message(good_),
              StartsWith("cert.pem: the certificate is not issued by a CA in"));
}

TEST_F(Load, TakesSeveralRoots) {
  good_.roots = TestAuthority().roots() + good_.roots;
  EXPECT_EQ(load_message(good_), "loaded");
}

TEST_F(Load, RefusesALeafAmongTheRoots) {
  good_.roots += good_.certificate;
  EXPECT_THAT(load_message(good_), StartsWith("ca-cert.pem: certificate 2 is not a CA's"));
}

TEST_F(Load, RefusesExpired) {
  EXPECT_THAT(load_message(good_, {test_now.seconds + 91 * 86400}),
              StartsWith("cert.pem: the certificate expired at 2026-04-01T00:00:00Z"));
}

TEST_F(Load, RefusesAnExpiredRoot) {
  EXPECT_THAT(load_message(good_, {test_now.seconds + 3651LL * 86400}),
              AllOf(HasSubstr("not issued by a CA"),
                    HasSubstr("ca-cert.pem: the CA's certificate expired at")));
}

TEST_F(Load, RefusesTwoIdentities) {
  const ForgedPem two =
      forge(authority_.ca(),
            {.uris = {"spiffe://example.org/agent/alice", "spiffe://example.org/agent/bob"}});
  good_.certificate = two.certificate;
  good_.key = two.key;
  EXPECT_THAT(load_message(good_), StartsWith("cert.pem: the certificate carries 2 URI names"));
}

TEST_F(Load, RefusesAnEncryptedKey) {
  ZTNA_NEEDS_OPENSSL();
  const ScratchFolder folder;
  const std::string plain = folder.file("key.pem", good_.key);
  good_.key = run("openssl pkcs8 -topk8 -in " + plain + " -passout pass:secret").output;
  ASSERT_THAT(good_.key, HasSubstr("ENCRYPTED"));
  EXPECT_THAT(load_message(good_), StartsWith("key.pem: the private key is encrypted"));
}

TEST(Derive, IsRepeatableAndSeparatedByLabel) {
  TestAuthority authority;
  const Credentials::Pem pem = authority.pem({.role = Role::agent, .name = "alice"});
  const auto first = value_or_throw(Credentials::load(pem, test_now));
  const auto again = value_or_throw(Credentials::load(pem, test_now));
  EXPECT_EQ(base::to_hex(first->derive("retry").expose()),
            base::to_hex(again->derive("retry").expose()));
  EXPECT_NE(base::to_hex(first->derive("retry").expose()),
            base::to_hex(first->derive("reset").expose()));
  EXPECT_NE(base::to_hex(first->derive("retry").expose()),
            base::to_hex(authority.agent("alice")->derive("retry").expose()));
}

// P-256 keys in the form of RFC 5915, by their private number alone.
std::string key_of_number(const std::string& number) {
  const ScratchFolder folder;
  const std::string hex = "30310201010420" + number + "a00a06082a8648ce3d030107";
  base::Bytes octets(hex.size() / 2);
  EXPECT_TRUE(base::from_hex(hex, octets));
  const std::string der = folder.file("key.der", std::string(base::as_text(octets)));
  return run("openssl ec -inform DER -in " + der + " 2>/dev/null").output;
}

class DeriveVectors : public testing::TestWithParam<const char*> {};

TEST_P(DeriveVectors, IsHkdfOfThePrivateNumber) {
  ZTNA_NEEDS_OPENSSL();
  const std::string number = GetParam();
  TestAuthority authority;
  Credentials::Pem pem;
  pem.key = key_of_number(number);
  ASSERT_THAT(pem.key, HasSubstr("BEGIN EC PRIVATE KEY"));
  pem.roots = authority.roots();
  CountingRandom random;
  pem.certificate = value_or_throw(issue_for_key(authority.ca(), {.role = Role::agent, .name = "a"},
                                                 pem.key, "key.pem", test_now, random))
                        .certificate;
  const auto credentials = value_or_throw(Credentials::load(pem, test_now));
  const std::string expected =
      run("openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:" + number +
          " -kdfopt info:ztna-retry HKDF | tr -d ':\\n' | tr A-F a-f")
          .output;
  ASSERT_EQ(expected.size(), 64U) << expected;
  EXPECT_EQ(base::to_hex(credentials->derive("ztna-retry").expose()), expected);
}

// The first octet has its highest bit set, has it clear, and is zero.
INSTANTIATE_TEST_SUITE_P(
    Numbers, DeriveVectors,
    testing::Values("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
                    "49afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
                    "0000a9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"));

class StillTrusts : public testing::Test {
 protected:
  StillTrusts() {
    const Credentials::Pem pem =
        authority_.pem({.role = Role::connector, .name = "home", .serve = {"web"}});
    peer_ = value_or_throw(Credentials::load(pem, test_now))->self();
    leaf_ = der_of(pem.certificate);
  }
  TestAuthority authority_;
  Principal peer_;
  std::string leaf_;
};

TEST_F(StillTrusts, WhileTheRootIsThere) {
  const auto agent = authority_.agent("alice");
  const auto trusted = agent->still_trusts(leaf_, peer_, test_now);
  EXPECT_TRUE(trusted) << trusted.error().message();
}

TEST_F(StillTrusts, NotAfterTheRootWasRemoved) {
  const auto elsewhere = TestAuthority().agent("alice");
  const auto trusted = elsewhere->still_trusts(leaf_, peer_, test_now);
  ASSERT_FALSE(trusted);
  EXPECT_THAT(trusted.error().message(),
              AllOf(HasSubstr("spiffe://example.org/connector/home"), HasSubstr("not issued by")));
}

TEST_F(StillTrusts, NotAfterExpiry) {
  const auto trusted =
      authority_.agent("alice")->still_trusts(leaf_, peer_, {peer_.not_after.seconds + 1});
  ASSERT_FALSE(trusted);
  EXPECT_THAT(trusted.error().message(), HasSubstr("expired at"));
}

TEST_F(StillTrusts, NotWithAnotherPeersCertificate) {
  const auto other = authority_.agent("alice");
  EXPECT_FALSE(other->still_trusts(leaf_, other->self(), test_now));
  EXPECT_FALSE(other->still_trusts("", peer_, test_now));
}

}  // namespace
}  // namespace ztna::identity
