#include "config/values.hpp"

#include <gtest/gtest.h>

namespace ztna::config {
namespace {

using namespace std::chrono_literals;

TEST(Service, HealthFollowsTheTransport) {
  EXPECT_EQ(parse_service("web=tcp://127.0.0.1:80")->health, Service::Health::tcp);
  EXPECT_EQ(parse_service("web=tcp://127.0.0.1:80?health=none")->health, Service::Health::none);
  EXPECT_EQ(parse_service("q=udp://127.0.0.1:80")->health, Service::Health::none);
  EXPECT_EQ(parse_service("q=udp://127.0.0.1:80?health=none")->health, Service::Health::none);
}

TEST(Service, KeepsHostNamesAndBrackets) {
  EXPECT_EQ(parse_service("a=tcp://db.internal:5432")->backend,
            (base::HostPort{"db.internal", 5432}));
  EXPECT_EQ(parse_service("a=udp://[2001:db8::1]:53")->backend,
            (base::HostPort{"2001:db8::1", 53}));
}

TEST(Service, WritesWhatItReads) {
  for (const char* text :
       {"web=tcp://127.0.0.1:8080", "web=tcp://[::1]:8080?health=none", "q=udp://x:27960"}) {
    EXPECT_EQ(parse_service(text)->to_string(), text);
  }
}

TEST(Forward, WritesWhatItReads) {
  for (const char* text : {"tcp://127.0.0.1:8080=web", "udp://[::1]:0=quake-3"}) {
    EXPECT_EQ(parse_forward(text)->to_string(), text);
  }
}

TEST(Duration, ReadsUnits) {
  EXPECT_EQ(parse_duration("250ms", 0s, 1h), 250ms);
  EXPECT_EQ(parse_duration("5s", 0s, 1h), 5s);
  EXPECT_EQ(parse_duration("2m", 0s, 1h), 2min);
  EXPECT_EQ(parse_duration("1h", 0s, 1h), 1h);
}

TEST(Duration, RefusesTheRest) {
  for (const char* text : {"", "5", "s", "-5s", "5 s", "5d", "5.5s", "61m", "2h",
                           "18446744073709551615h", "99999999999999999999s"}) {
    EXPECT_FALSE(parse_duration(text, 0s, 1h)) << text;
  }
  EXPECT_FALSE(parse_duration("99ms", 100ms, 1h));
}

TEST(Duration, FormatsInTheLargestWholeUnit) {
  EXPECT_EQ(format_duration(5s), "5s");
  EXPECT_EQ(format_duration(60s), "1m");
  EXPECT_EQ(format_duration(90s), "90s");
  EXPECT_EQ(format_duration(1500ms), "1500ms");
  EXPECT_EQ(format_duration(24h), "24h");
  EXPECT_EQ(format_duration(0s), "0s");
}

TEST(Number, RefusesWhatIsNotOne) {
  for (const char* text : {"", "+1", "-1", "1x", " 1", "0x1", "18446744073709551616"}) {
    EXPECT_FALSE(parse_number(text, 0, UINT64_MAX)) << text;
  }
  EXPECT_EQ(parse_number("18446744073709551615", 0, UINT64_MAX), UINT64_MAX);
}

TEST(Suggest, OnlyWhatIsClose) {
  const std::vector<std::string> names{"listen", "alt-listen", "relay"};
  EXPECT_EQ(suggest("listn", names), "listen");
  EXPECT_EQ(suggest("altlisten", names), "alt-listen");
  EXPECT_EQ(suggest("replay", names), "relay");
  EXPECT_EQ(suggest("x", names), "");
  EXPECT_EQ(suggest("completely", names), "");
}

TEST(Quotes, CutWhatIsLong) {
  EXPECT_EQ(in_quotes("a"), "\"a\"");
  EXPECT_LT(in_quotes(std::string(100000, 'x')).size(), 300U);
}

}  // namespace
}  // namespace ztna::config
