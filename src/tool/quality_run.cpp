#include "tool/quality_run.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

#include "io/http_client.hpp"

namespace ztna::tool {
namespace {

// Rounds that bring nothing, one after the other, before it gives up.
constexpr int failures_are_enough = 5;
constexpr double lost_after_ms = 1000;

std::string target_of(const Quality& quality) {
  return "/v1/quality?service=" + io::url_encode(quality.service) +
         "&count=" + std::to_string(quality.rate) +
         "&interval_ms=" + std::to_string(1000 / quality.rate) +
         "&size=" + std::to_string(quality.size);
}

// When its first datagram left, told from when the last one was over.
void place(QualityRound& round, double now_ms) {
  double over = 0;
  for (const QualitySample& sample : round.samples) {
    over = std::max(over, sample.at_ms + sample.rtt_ms.value_or(lost_after_ms));
  }
  for (QualitySample& sample : round.samples) sample.at_ms += std::max(now_ms - over, 0.0);
}

}  // namespace

base::Status measure_quality(const QualityWorld& world, Quality& quality) {
  std::optional<base::Time> begin;
  int failures = 0;
  for (unsigned number = 1; !world.enough(); ++number) {
    const base::Time asked = world.now();
    const auto answer = world.ask(target_of(quality));
    if (!answer) return tl::unexpected(answer.error());
    auto round = read_quality(*answer);
    if (!round) return tl::unexpected(round.error());
    if (!begin) begin = asked;
    place(*round, base::to_ms(world.now() - *begin));
    if (!round->connector.empty()) quality.connector = round->connector;
    quality.samples.insert(quality.samples.end(), round->samples.begin(), round->samples.end());
    failures = round->failure.empty() ? 0 : failures + 1;
    if (round->final || failures == failures_are_enough) {
      return base::fail(base::ErrorCode::unavailable, round->failure, quality.service);
    }
    world.on_round(number, *round);
    if (!round->failure.empty()) {
      world.pause(std::max<base::Duration>(asked + std::chrono::seconds(1) - world.now(), {}));
    }
  }
  return {};
}

}  // namespace ztna::tool
