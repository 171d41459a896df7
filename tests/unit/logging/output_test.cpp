// What really arrives at standard error.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>

#include "logging/logging.hpp"

namespace ztna::logging {
namespace {

// Puts a pipe in the place of standard error.
class Captured {
 public:
  Captured() {
    EXPECT_EQ(pipe(ends_.data()), 0);
    saved_ = dup(STDERR_FILENO);
    dup2(ends_[1], STDERR_FILENO);
    fcntl(ends_[0], F_SETFL, O_NONBLOCK);
  }
  ~Captured() {
    dup2(saved_, STDERR_FILENO);
    close(saved_);
    close(ends_[0]);
    close(ends_[1]);
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;

  std::string take() const {
    std::string text;
    std::array<char, 4096> chunk{};
    for (ssize_t count = 0; (count = read(ends_[0], chunk.data(), chunk.size())) > 0;) {
      text.append(chunk.data(), static_cast<std::size_t>(count));
    }
    return text;
  }
  int write_end() const { return ends_[1]; }

 private:
  std::array<int, 2> ends_{};
  int saved_ = -1;
};

TEST(Log, TextHasUtcTimeLevelProgramMessage) {
  const Captured captured;
  init(Level::info, Format::text, "agent");
  info("hello", {{"peer", "a b"}});
  const std::regex line(
      R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO  agent  hello peer="a b"\n)");
  const std::string text = captured.take();
  EXPECT_TRUE(std::regex_match(text, line)) << text;
}

TEST(Log, JsonIsOneObjectALine) {
  const Captured captured;
  init(Level::info, Format::json, "connector");
  warn("backend \"web\" is away", {{"tries", 3}, {"why", "line\nbreak"}});
  const std::string text = captured.take();
  ASSERT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  const auto parsed = nlohmann::json::parse(text);
  EXPECT_TRUE(std::regex_match(std::string(parsed["time"]),
                               std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)")));
  EXPECT_EQ(parsed["level"], "warn");
  EXPECT_EQ(parsed["message"], "backend \"web\" is away");
  EXPECT_EQ(parsed["tries"], 3);
}

// A "{}" or a "%" in a message is text, not a directive.
TEST(Log, TakesNoDirectivesFromMessages) {
  const Captured captured;
  init(Level::info, Format::text, "p");
  info("{} {0} %v %n");
  EXPECT_NE(captured.take().find("p  {} {0} %v %n\n"), std::string::npos);
}

TEST(Log, FiltersByLevel) {
  const Captured captured;
  init(Level::warn, Format::text, "p");
  EXPECT_FALSE(enabled(Level::info));
  EXPECT_TRUE(enabled(Level::error));
  info("quiet");
  debug("quieter");
  EXPECT_EQ(captured.take(), "");
  error("loud");
  EXPECT_NE(captured.take().find("ERROR p  loud"), std::string::npos);
}

TEST(Log, ThrottledSaysHowManyWereHeldBack) {
  const Captured captured;
  init(Level::info, Format::text, "p");
  Throttle throttle(std::chrono::seconds(1));
  const base::Time now = base::from_ns(1);
  for (int i = 0; i < 4; ++i) log(throttle, now, Level::warn, "flood", {{"i", i}});
  log(throttle, now + std::chrono::seconds(2), Level::warn, "flood", {{"i", 9}});
  const std::string text = captured.take();
  EXPECT_NE(text.find("flood i=0\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("i=1"), std::string::npos);
  EXPECT_NE(text.find("flood i=9 suppressed=3\n"), std::string::npos) << text;
}

TEST(Log, CutsHugeLinesAndKeepsJsonWhole) {
  const Captured captured;
  const std::string huge(20000, '\x01');
  init(Level::info, Format::text, "p");
  info(huge, {{"v", huge}});
  EXPECT_LT(captured.take().size(), 4097U);
  init(Level::info, Format::json, "p");
  info(huge, {{"v", huge}});
  const std::string text = captured.take();
  EXPECT_LT(text.size(), 4097U);
  EXPECT_EQ(nlohmann::json::parse(text)["truncated"], true);
}

// With a blocking write the test would hang here for ever.
TEST(Log, DropsAndCountsWhenNobodyReads) {
  const Captured captured;
  init(Level::info, Format::text, "p");
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 2000; ++i) info("a line of some length to fill the pipe with, again");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_NE(captured.take().find("a line of"), std::string::npos);
  info("drained");
  const std::string after = captured.take();
  EXPECT_NE(after.find("log lines dropped"), std::string::npos) << after;
  EXPECT_NE(after.find("drained"), std::string::npos);
}

}  // namespace
}  // namespace ztna::logging
