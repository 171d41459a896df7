#include "tool/quality_figures.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "tool/status_json.hpp"

namespace ztna::tool {
namespace {

struct Limits {
  Grade grade;
  std::string_view name;
  double ping_ms, jitter_ms, loss_percent;  // below all of them; a loss of 0 means none at all
};
constexpr std::array<Limits, 3> table = {{{Grade::excellent, "Excellent", 40, 5, 0},
                                          {Grade::good, "Good", 80, 15, 1},
                                          {Grade::acceptable, "Acceptable", 150, 30, 3}}};

// The nearest rank of sorted values.
double quantile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  const double rank = std::ceil(share * static_cast<double>(sorted.size()));
  return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

}  // namespace

base::Result<QualityRound> read_quality(const std::string& document) {
  const auto parsed = parse_status(document);
  if (!parsed) return tl::unexpected(parsed.error());
  QualityRound round;
  const std::string connector = text(*parsed, "connector", "");
  round.connector = connector.substr(connector.rfind('/') + 1);
  for (const Json& probe : list(*parsed, "probes")) {
    round.samples.push_back({number(probe, "at_ms").value_or(0), text(probe, "via") == "DIRECT",
                             number(probe, "rtt_ms")});
  }
  if (!member(*parsed, "error").is_null()) {
    const std::string error = text(*parsed, "error");
    const std::string why = text(*parsed, "text", "");
    round.failure = error + (why.empty() ? "" : " (" + why + ")");
    round.final = error == "denied" || error == "unknown_service" || error == "untrusted" ||
                  error == "protocol_error";
  }
  return round;
}

std::string_view to_string(Grade grade) {
  const auto* const found = std::ranges::find(table, grade, &Limits::grade);
  return found == table.end() ? "Poor" : found->name;
}

std::optional<Grade> parse_grade(std::string_view text) {
  for (const Grade grade : {Grade::excellent, Grade::good, Grade::acceptable, Grade::poor}) {
    const bool same = std::ranges::equal(text, to_string(grade), [](char a, char b) {
      return std::tolower(static_cast<unsigned char>(a)) ==
             std::tolower(static_cast<unsigned char>(b));
    });
    if (same) return grade;
  }
  return std::nullopt;
}

std::string limits_text(Grade grade) {
  const auto* const found = std::ranges::find(table, grade, &Limits::grade);
  if (found == table.end()) return "worse than " + limits_text(table.back().grade);
  const auto whole = [](double value) { return std::to_string(std::lround(value)); };
  return "ping < " + whole(found->ping_ms) + " ms, jitter < " + whole(found->jitter_ms) + " ms, " +
         (found->loss_percent == 0 ? std::string("no loss")
                                   : "loss < " + whole(found->loss_percent) + " %");
}

double QualityFigures::loss_percent() const {
  return sent == 0 ? 0 : 100 * static_cast<double>(lost) / static_cast<double>(sent);
}

Grade QualityFigures::grade() const {
  if (sent == lost) return Grade::poor;
  for (const Limits& limits : table) {
    const bool loss = limits.loss_percent == 0 ? lost == 0 : loss_percent() < limits.loss_percent;
    if (loss && p50 < limits.ping_ms && jitter < limits.jitter_ms) return limits.grade;
  }
  return Grade::poor;
}

QualityFigures figures_of(const std::vector<QualitySample>& samples, std::optional<bool> direct) {
  QualityFigures figures;
  std::vector<double> times;
  double differences = 0;
  for (const QualitySample& sample : samples) {
    if (direct && sample.direct != *direct) continue;
    ++figures.sent;
    if (!sample.rtt_ms) {
      ++figures.lost;
      continue;
    }
    if (!times.empty()) differences += std::abs(*sample.rtt_ms - times.back());
    times.push_back(*sample.rtt_ms);
  }
  if (times.size() > 1) figures.jitter = differences / static_cast<double>(times.size() - 1);
  std::ranges::sort(times);
  figures.p50 = quantile(times, 0.50);
  figures.p95 = quantile(times, 0.95);
  figures.p99 = quantile(times, 0.99);
  return figures;
}

std::vector<QualitySwitch> switches_of(const std::vector<QualitySample>& samples) {
  std::vector<QualitySwitch> switches;
  for (std::size_t i = 1; i < samples.size(); ++i) {
    if (samples[i].direct != samples[i - 1].direct) {
      switches.push_back({samples[i].at_ms, samples[i].direct});
    }
  }
  return switches;
}

}  // namespace ztna::tool
