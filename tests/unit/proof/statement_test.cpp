#include "proof/statement.hpp"

#include <gtest/gtest.h>

#include "unit/identity/test_certificates.hpp"

namespace ztna::proof {
namespace {

using identity::KeyType;
using identity::Role;
using identity::TestAuthority;

Statement example(const identity::Credentials& signer) {
  Statement s;
  s.role = signer.self().role;
  s.node = signer.self().uri();
  s.nonce = "n-1";
  s.at = {1767225600, 250};
  s.session = std::string(32, 'a');
  s.agent = "spiffe://example.org/agent/alice";
  s.connector = "spiffe://example.org/connector/home";
  if (s.role == Role::intermediate) {
    s.relay = RelayView{12, 3, 4, true};
  } else {
    s.end = EndView{"DIRECT", "198.51.100.7:4434", "0123", true, {1, 2, 3, 4, 5}};
  }
  return s;
}

TEST(Statement, IsReadAsItWasSigned) {
  for (const KeyType type : {KeyType::ecdsa_p256, KeyType::ed25519}) {
    TestAuthority authority("example.org", type);
    for (const auto& signer : {authority.agent("alice"), authority.connector("home", {"web"}),
                               authority.intermediate("relay")}) {
      const Statement said = example(*signer);
      const auto signed_text = sign(said, *signer);
      ASSERT_TRUE(signed_text) << signed_text.error().message();
      const auto read = open(*signed_text);
      ASSERT_TRUE(read) << read.error().message();
      EXPECT_EQ(to_text(*read), to_text(said));
      EXPECT_EQ(read->at, said.at);
      EXPECT_EQ(read->end.has_value(), said.end.has_value());
      EXPECT_EQ(read->end ? read->end->counts.direct_dropped : read->relay->checks,
                read->end ? 5u : 3u);
    }
  }
}

TEST(Statement, NoOctetOfItCanBeChanged) {
  TestAuthority authority;
  const auto alice = authority.agent("alice");
  const auto good = sign(example(*alice), *alice).value();
  auto text = good;
  text.text.replace(text.text.find("DIRECT"), 6, "RELAY!");
  EXPECT_FALSE(open(text));
  auto signature = good;
  signature.signature.back() ^= 1;
  EXPECT_FALSE(open(signature));
  auto certificate = good;
  certificate.certificate = sign(example(*alice), *authority.agent("mallory")).value().certificate;
  EXPECT_FALSE(open(certificate));
  auto none = good;
  none.certificate.clear();
  EXPECT_FALSE(open(none));
}

// What was signed for one role, or for something else altogether, is no statement of another.
TEST(Statement, ASignatureStandsForItsPurposeOnly) {
  TestAuthority authority;
  const auto alice = authority.agent("alice");
  const std::string text = to_text(example(*alice));
  EXPECT_TRUE(open(alice->sign(prefix(Role::agent), text).value()));
  EXPECT_FALSE(open(alice->sign(prefix(Role::connector), text).value()));
  EXPECT_FALSE(open(alice->sign("", text).value()));
}

TEST(Statement, MalformedTextsAreRefused) {
  TestAuthority authority;
  const auto alice = authority.agent("alice");
  const std::string good = to_text(example(*alice));
  ASSERT_TRUE(parse_statement(good));
  for (const std::string& bad : {std::string(), std::string("{}"), std::string("[1]"),
                                 good.substr(0, good.size() - 1), to_text([&] {
                                   Statement s = example(*alice);
                                   s.relay = RelayView{};  // an Agent cannot know what was relayed
                                   return s;
                                 }()),
                                 to_text([&] {
                                   Statement s = example(*alice);
                                   s.end.reset();
                                   return s;
                                 }())}) {
    EXPECT_FALSE(parse_statement(bad)) << bad;
  }
  std::string other_role = good;
  other_role.replace(other_role.find("\"agent\""), 7, "\"admin\"");
  EXPECT_FALSE(parse_statement(other_role));
  for (const char* const value : {"\"x\"", "-1", "1e300", "1.5", "null", "99999999999999999999"}) {
    std::string count = good;
    count.replace(count.find("\"direct_sent\":1"), 15, std::string("\"direct_sent\":") + value);
    EXPECT_FALSE(parse_statement(count)) << value;
  }
}

TEST(Statement, Nonces) {
  EXPECT_TRUE(is_valid_nonce("A-z.0_9"));
  EXPECT_TRUE(is_valid_nonce(std::string(64, 'x')));
  EXPECT_FALSE(is_valid_nonce(""));
  EXPECT_FALSE(is_valid_nonce(std::string(65, 'x')));
  EXPECT_FALSE(is_valid_nonce("a b"));
  EXPECT_FALSE(is_valid_nonce("a\n"));
}

}  // namespace
}  // namespace ztna::proof
