#include "base/result.hpp"

#include <gtest/gtest.h>

namespace ztna::base {
namespace {

TEST(Error, ReadsAsASentence) {
  EXPECT_EQ((Error{ErrorCode::not_found, "no such file", "policy.toml:3", "ENOENT"}).message(),
            "policy.toml:3: no such file (ENOENT)");
  EXPECT_EQ((Error{ErrorCode::not_found, "no such file", {}, {}}).message(), "no such file");
}

TEST(Result, CarriesAValueOrAnError) {
  const Result<int> good = 5;
  EXPECT_EQ(good.value(), 5);
  const Result<int> bad = fail(ErrorCode::timed_out, "no answer", "example.org:4433");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::timed_out);
  EXPECT_EQ(bad.error().message(), "example.org:4433: no answer");
  EXPECT_EQ(to_string(bad.error().code), "timed_out");
}

}  // namespace
}  // namespace ztna::base
