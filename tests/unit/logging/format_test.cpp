#include "logging/format.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

namespace ztna::logging {
namespace {

TEST(TextLine, ShowsMessageThenFields) {
  const std::vector<Field> fields{{"session", "ab12"}, {"reason", "start"}, {"rtt_ms", 3.2},
                                  {"flows", 7},        {"relay", true},     {"delta", -4}};
  EXPECT_EQ(
      text_line(Level::info, "agent", "Path selected: RELAY (peer: relay.example:4433)", fields),
      "INFO  agent  Path selected: RELAY (peer: relay.example:4433) session=ab12 "
      "reason=start rtt_ms=3.2 flows=7 relay=true delta=-4");
}

TEST(TextLine, LevelsAreFiveColumnsWide) {
  EXPECT_EQ(text_line(Level::warn, "p", "m", {}), "WARN  p  m");
  EXPECT_EQ(text_line(Level::error, "p", "m", {}), "ERROR p  m");
  EXPECT_EQ(text_line(Level::debug, "p", "m", {}), "DEBUG p  m");
}

TEST(TextLine, QuotesValuesThatWouldReadAsMore) {
  const std::vector<Field> fields{
      {"a", "two words"}, {"b", "x=y"}, {"c", "say \"hi\""}, {"d", ""}, {"e", "back\\slash"}};
  EXPECT_EQ(text_line(Level::info, "p", "m", fields),
            R"(INFO  p  m a="two words" b="x=y" c="say \"hi\"" d="" e="back\\slash")");
}

TEST(TextLine, PeerCannotForgeALine) {
  const std::vector<Field> fields{{"name", "x\n2026-01-01T00:00:00.000Z INFO  agent  all is well"}};
  const std::string line = text_line(Level::warn, "p", "bad\r\nname", fields);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\r'), std::string::npos);
  EXPECT_NE(line.find("bad\\r\\nname"), std::string::npos);
  EXPECT_NE(line.find("name=\"x\\n2026"), std::string::npos);
}

TEST(Escaped, KeepsPrintableText) {
  EXPECT_EQ(escaped("plain, grün, 日本, 😀"), "plain, grün, 日本, 😀");
}

TEST(Escaped, DefusesTerminalControls) {
  EXPECT_EQ(escaped("\x1b[2J"), "\\x1b[2J");
  EXPECT_EQ(escaped("\x7f"), "\\x7f");
  EXPECT_EQ(escaped("\xc2\x9b"
                    "2J"),
            "\\u{9b}2J");  // C1 control, as UTF-8
  EXPECT_EQ(escaped("a\xe2\x80\xae"
                    "b"),
            "a\\u{202e}b");  // right-to-left override
  EXPECT_EQ(escaped("a\xe2\x80\xa8"
                    "b"),
            "a\\u{2028}b");  // line separator
  EXPECT_EQ(escaped(std::string_view("\0", 1)), "\\x00");
}

// RFC 3629 section 3: overlong forms, surrogates and stray octets are not UTF-8.
TEST(Escaped, DefusesWhatIsNotUtf8) {
  EXPECT_EQ(escaped("\xff"), "\\xff");
  EXPECT_EQ(escaped("\xc0\xaf"), "\\xc0\\xaf");
  EXPECT_EQ(escaped("\xc2"), "\\xc2");
  EXPECT_EQ(escaped("\xed\xa0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(escaped("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(escaped("\xe2\x80"), "\\xe2\\x80");
}

TEST(JsonRest, IsOneObjectAndKeepsTypes) {
  const std::vector<Field> fields{
      {"n", 3U}, {"neg", -3}, {"real", 0.5}, {"flag", false}, {"text", "a\nb\"\xff"}};
  const std::string line = "{" + json_rest(Level::error, "agent", "hello\x1b", fields);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto parsed = nlohmann::json::parse(line);
  EXPECT_EQ(parsed["level"], "error");
  EXPECT_EQ(parsed["program"], "agent");
  EXPECT_EQ(parsed["message"], "hello\\x1b");
  EXPECT_EQ(parsed["n"], 3);
  EXPECT_EQ(parsed["neg"], -3);
  EXPECT_EQ(parsed["real"], 0.5);
  EXPECT_EQ(parsed["flag"], false);
  EXPECT_EQ(parsed["text"], "a\\nb\"\\xff");
}

}  // namespace
}  // namespace ztna::logging
