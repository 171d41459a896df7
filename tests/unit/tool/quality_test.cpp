#include <gtest/gtest.h>

#include "tool/quality_figures.hpp"
#include "tool/quality_view.hpp"

namespace ztna::tool {
namespace {

std::vector<QualitySample> samples(const std::vector<std::optional<double>>& round_trips,
                                   bool direct = true) {
  std::vector<QualitySample> all;
  for (const auto& round_trip : round_trips) {
    all.push_back({20.0 * static_cast<double>(all.size()), direct, round_trip});
  }
  return all;
}

TEST(Quality, FiguresAreOfWhatCameBack) {
  std::vector<std::optional<double>> hundred;
  for (int i = 1; i <= 100; ++i) hundred.emplace_back(i);
  const QualityFigures figures = figures_of(samples(hundred));
  EXPECT_EQ(figures.sent, 100u);
  EXPECT_EQ(figures.lost, 0u);
  EXPECT_DOUBLE_EQ(figures.p50, 50);
  EXPECT_DOUBLE_EQ(figures.p95, 95);
  EXPECT_DOUBLE_EQ(figures.p99, 99);
  EXPECT_DOUBLE_EQ(figures.jitter, 1);
  const QualityFigures gaps = figures_of(samples({10, std::nullopt, 14, 8}));
  EXPECT_EQ(gaps.lost, 1u);
  EXPECT_DOUBLE_EQ(gaps.loss_percent(), 25);
  EXPECT_DOUBLE_EQ(gaps.jitter, 5);  // 4 and 6
  EXPECT_EQ(figures_of({}).sent, 0u);
}

// The table of the classes; each figure alone pulls the grade down.
TEST(Quality, TheWorstOfThreeDecides) {
  const auto grade = [](double ping, double jitter, std::size_t lost) {
    QualityFigures figures;
    figures.sent = 1000;
    figures.lost = lost;
    figures.p50 = ping;
    figures.jitter = jitter;
    return figures.grade();
  };
  EXPECT_EQ(grade(39.9, 4.9, 0), Grade::excellent);
  EXPECT_EQ(grade(40, 1, 0), Grade::good);
  EXPECT_EQ(grade(1, 5, 0), Grade::good);
  EXPECT_EQ(grade(1, 1, 1), Grade::good);
  EXPECT_EQ(grade(80, 1, 0), Grade::acceptable);
  EXPECT_EQ(grade(1, 15, 0), Grade::acceptable);
  EXPECT_EQ(grade(1, 1, 10), Grade::acceptable);
  EXPECT_EQ(grade(150, 1, 0), Grade::poor);
  EXPECT_EQ(grade(1, 30, 0), Grade::poor);
  EXPECT_EQ(grade(1, 1, 30), Grade::poor);
  EXPECT_EQ(grade(0, 0, 1000), Grade::poor) << "nothing came back";
}

TEST(Quality, GradesHaveNames) {
  EXPECT_EQ(parse_grade("good"), Grade::good);
  EXPECT_EQ(parse_grade("Excellent"), Grade::excellent);
  EXPECT_EQ(parse_grade("goodish"), std::nullopt);
  EXPECT_EQ(limits_text(Grade::excellent), "ping < 40 ms, jitter < 5 ms, no loss");
  EXPECT_EQ(limits_text(Grade::poor), "worse than ping < 150 ms, jitter < 30 ms, loss < 3 %");
}

TEST(Quality, ReadsWhatTheAgentSays) {
  const auto round = read_quality(
      R"({"service":"web","connector":"spiffe://example.org/connector/home","session":"00","probes":[)"
      R"({"at_ms":0,"via":"RELAY","rtt_ms":40.5},{"at_ms":20,"via":"DIRECT","rtt_ms":null}]})");
  ASSERT_TRUE(round);
  EXPECT_EQ(round->connector, "home");
  ASSERT_EQ(round->samples.size(), 2u);
  EXPECT_EQ(round->samples[0].rtt_ms, 40.5);
  EXPECT_FALSE(round->samples[0].direct);
  EXPECT_EQ(round->samples[1].rtt_ms, std::nullopt);
  EXPECT_TRUE(round->samples[1].direct);
  const auto denied =
      read_quality(R"({"service":"web","error":"denied","text":"default deny","probes":[]})");
  ASSERT_TRUE(denied);
  EXPECT_TRUE(denied->final);
  EXPECT_EQ(denied->failure, "denied (default deny)");
  EXPECT_FALSE(read_quality("nonsense"));
}

Quality moved() {
  Quality quality{"quake", "home", 50, 100, samples({50, 50}, false)};
  quality.samples.push_back({40, true, 1.0});
  quality.samples.push_back({60, true, std::nullopt});
  return quality;
}

TEST(Quality, TheTableHasARowForEachPathAndOneForAll) {
  EXPECT_EQ(quality_text(moved()),
            "quake at connector home: datagrams of 100 octets, 50 a second, each sent back\n"
            "\n"
            "  path    sent  lost  p50     p95     p99     jitter   grade\n"
            "  RELAY   2     0 %   50 ms   50 ms   50 ms   0.00 ms  Good\n"
            "  DIRECT  2     50 %  1.0 ms  1.0 ms  1.0 ms  0.00 ms  Poor\n"
            "  all     4     25 %  50 ms   50 ms   50 ms   24 ms    Poor\n"
            "\n"
            "Poor for a game: worse than ping < 150 ms, jitter < 30 ms, loss < 3 %\n"
            "moved to DIRECT after 0.0 s\n");
}

TEST(Quality, ThePictureHasEveryDatagramAndTheMove) {
  const std::string picture = quality_svg(moved());
  const auto count = [&](std::string_view what) {
    std::size_t found = 0;
    for (std::size_t at = picture.find(what); at != std::string::npos;
         at = picture.find(what, at + 1)) {
      ++found;
    }
    return found;
  };
  EXPECT_TRUE(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
  EXPECT_EQ(count("r=\"2.0\""), 3u);           // what came back
  EXPECT_EQ(count("stroke-width=\"2\""), 1u);  // what did not
  EXPECT_EQ(count("stroke-dasharray"), 1u);    // the move
  EXPECT_EQ(count(">DIRECT</text>"), 1u);
}

}  // namespace
}  // namespace ztna::tool
