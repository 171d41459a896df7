#include "tool/ping_view.hpp"

#include <gtest/gtest.h>

namespace ztna::tool {
namespace {

const std::string direct = R"({"service":"web","connector":"spiffe://example.org/connector/home",)"
                           R"("via":"DIRECT","peer":"203.0.113.7:4434","rtt_ms":0.5})";
const std::string relayed = R"({"service":"web","connector":"spiffe://example.org/connector/home",)"
                            R"("via":"RELAY","peer":"relay.example.org:4433","rtt_ms":42.0})";

TEST(Ping, ALineNamesThePathAndTheTime) {
  const auto answer = read_ping(3, direct);
  ASSERT_TRUE(answer.has_value());
  EXPECT_TRUE(answer->answered && answer->direct && !answer->final);
  EXPECT_EQ(answer->line, "web: seq=3 from home via DIRECT (203.0.113.7:4434) time=0.50 ms");
  EXPECT_EQ(answer->json, R"({"seq":3,)" + direct.substr(1));
  const auto other = read_ping(4, relayed);
  ASSERT_TRUE(other.has_value());
  EXPECT_TRUE(other->answered && !other->direct);
  EXPECT_EQ(other->line, "web: seq=4 from home via RELAY (relay.example.org:4433) time=42 ms");
}

TEST(Ping, ARefusalSaysWhyAndWhetherToAskAgain) {
  const auto denied = read_ping(1, R"({"service":"web","error":"denied","text":"default deny"})");
  ASSERT_TRUE(denied.has_value());
  EXPECT_TRUE(denied->final && !denied->answered);
  EXPECT_EQ(denied->line, "web: seq=1 no answer: denied (default deny)");
  const auto away = read_ping(1, R"({"service":"web","error":"unavailable","text":""})");
  ASSERT_TRUE(away.has_value());
  EXPECT_FALSE(away->final);
  EXPECT_EQ(away->line, "web: seq=1 no answer: unavailable");
}

TEST(Ping, WhatADaemonSaysCannotPlayWithTheTerminal) {
  const auto answer = read_ping(1, R"({"service":"web","error":"x","text":"\u001b[2J\n"})");
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->line.find('\033'), std::string::npos);
  EXPECT_EQ(answer->line.find('\n'), std::string::npos);
  EXPECT_FALSE(read_ping(1, "nonsense").has_value());
}

TEST(Ping, TotalsCountAnswersOnly) {
  PingTotals totals;
  EXPECT_EQ(totals.text(), "0 asked, 0 answered (0 direct)");
  totals.add(*read_ping(1, relayed));
  totals.add(*read_ping(2, direct));
  totals.add(*read_ping(3, R"({"service":"web","error":"timed_out"})"));
  EXPECT_EQ(totals.text(),
            "3 asked, 2 answered (1 direct), round trip min / mean / max 0.50 ms / 21 ms / 42 ms");
}

}  // namespace
}  // namespace ztna::tool
