#include "policy/glob.hpp"

#include <gtest/gtest.h>

#include <string>

namespace ztna::policy {
namespace {

TEST(Glob, WithoutAStarIsEquality) {
  EXPECT_TRUE(glob_matches("web", "web"));
  EXPECT_FALSE(glob_matches("web", "we"));
  EXPECT_FALSE(glob_matches("web", "webs"));
  EXPECT_FALSE(glob_matches("web", ""));
}

TEST(Glob, StarStandsForAnyCharactersAndNone) {
  EXPECT_TRUE(glob_matches("*", "a"));
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("home-*", "home-1"));
  EXPECT_TRUE(glob_matches("home-*", "home-"));
  EXPECT_FALSE(glob_matches("home-*", "home"));
  EXPECT_FALSE(glob_matches("home-*", "my-home-1"));
  EXPECT_TRUE(glob_matches("*-1", "home-1"));
  EXPECT_FALSE(glob_matches("*-1", "home-12"));
  EXPECT_TRUE(glob_matches("a*b*c", "aXbXbXc"));
  EXPECT_FALSE(glob_matches("a*b*c", "aXcXb"));
  EXPECT_TRUE(glob_matches("**", "x"));
}

TEST(Glob, TakesNoTimeOnHostilePatterns) {
  std::string pattern;
  for (int i = 0; i < 31; ++i) pattern += "*a";
  EXPECT_FALSE(glob_matches(pattern + "b", std::string(63, 'a')));
}

TEST(Glob, OnlyNameCharactersAndStars) {
  EXPECT_TRUE(is_valid_glob("ci-*"));
  EXPECT_TRUE(is_valid_glob("-a"));
  for (const char* pattern : {"", "A", "a?", "[a]", "a.b", "a b", "{a,b}"}) {
    EXPECT_FALSE(is_valid_glob(pattern)) << pattern;
  }
  EXPECT_FALSE(is_valid_glob(std::string(64, 'a')));
}

}  // namespace
}  // namespace ztna::policy
