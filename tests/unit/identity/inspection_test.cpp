#include "identity/inspection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/identity/test_certificates.hpp"

namespace ztna::identity {
namespace {

using testing::HasSubstr;

std::string said(const base::Status& status) { return status ? "" : status.error().message(); }

class Inspect : public testing::Test {
 protected:
  TestAuthority authority_;
  Credentials::Pem pem_ =
      authority_.pem({.role = Role::connector, .name = "home", .serve = {"web"}, .days = 30});
};

TEST_F(Inspect, WhatIsRight) {
  const Inspection found = inspect(pem_, test_now);
  ASSERT_TRUE(found.leaf);
  EXPECT_EQ(found.leaf->uri(), "spiffe://example.org/connector/home");
  ASSERT_TRUE(found.validity);
  EXPECT_EQ(found.validity->from.seconds, test_now.seconds - backdate_seconds);
  EXPECT_EQ(found.validity->until.seconds, test_now.seconds + 30 * day);
  EXPECT_EQ(found.root_validity.size(), 1U);
  EXPECT_EQ(said(found.key) + said(found.roots) + said(found.issued), "");
}

// One wrong thing hides no other.
TEST_F(Inspect, EachThingByItself) {
  TestAuthority other;
  pem_.key = other.pem({.role = Role::agent, .name = "eve"}).key;
  pem_.roots = other.roots();
  Inspection found = inspect(pem_, {test_now.seconds + 31 * day});
  EXPECT_TRUE(found.leaf) << "an expired certificate still has a name";
  EXPECT_THAT(said(found.key), HasSubstr("does not belong to the certificate in cert.pem"));
  EXPECT_THAT(said(found.issued), HasSubstr("is not issued by a CA in ca-cert.pem"));

  pem_.certificate.clear();
  pem_.roots = "nonsense";
  found = inspect(pem_, test_now);
  EXPECT_THAT(found.leaf.error().message(), HasSubstr("cert.pem: cannot read a certificate"));
  EXPECT_FALSE(found.validity);
  EXPECT_EQ(said(found.key), "") << "a key that can be read, and nothing to compare it with";
  EXPECT_THAT(said(found.roots), HasSubstr("ca-cert.pem: cannot read a certificate"));
}

TEST_F(Inspect, ARootThatHasEndedVouchesForNobody) {
  const Inspection found = inspect(pem_, {test_now.seconds + 3651 * day});
  EXPECT_THAT(said(found.issued), HasSubstr("the CA's certificate expired"));
}

}  // namespace
}  // namespace ztna::identity
