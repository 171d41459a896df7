// sim --seeds N [--first M]   runs N seeded worlds; prints how to replay those that fail
// sim --seed N [--trace]      runs one, with every packet when asked
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "sim/storm.hpp"

namespace {

using ztna::sim::StormResult;

bool report(std::uint64_t seed, const StormResult& result, bool always) {
  if (always) {
    std::printf("seed %llu: digest %016llx, %llu packets, %zu of %zu flows complete, %.1f s\n",
                static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(result.digest),
                static_cast<unsigned long long>(result.packets), result.complete, result.flows,
                result.virtual_seconds);
  }
  for (const auto& violation : result.violations) {
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), violation.c_str());
  }
  if (result.violations.empty()) return true;
  std::printf("replay with: sim --seed %llu --trace\n", static_cast<unsigned long long>(seed));
  return false;
}

int run_many(std::uint64_t first, std::uint64_t count) {
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t failed = 0, packets = 0, flows = 0, complete = 0;
  double virtual_seconds = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const StormResult result = ztna::sim::run_storm(seed, false);
    if (!report(seed, result, false)) ++failed;
    packets += result.packets;
    flows += result.flows;
    complete += result.complete;
    virtual_seconds += result.virtual_seconds;
    std::fflush(stdout);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf(
      "%llu seeds, %llu failed; %llu of %llu flows complete, %llu packets, %.0f virtual seconds in "
      "%.1f s\n",
      static_cast<unsigned long long>(count), static_cast<unsigned long long>(failed),
      static_cast<unsigned long long>(complete), static_cast<unsigned long long>(flows),
      static_cast<unsigned long long>(packets), virtual_seconds, took.count());
  return failed == 0 ? 0 : 1;
}

int usage() {
  std::fprintf(stderr, "usage: sim --seeds COUNT [--first SEED] | sim --seed SEED [--trace]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t count = 0, first = 1, seed = 0;
  bool one = false, trace = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const auto number = [&] { return ++i < argc ? std::strtoull(argv[i], nullptr, 10) : 0; };
    if (flag == "--seeds") {
      count = number();
    } else if (flag == "--first") {
      first = number();
    } else if (flag == "--seed") {
      seed = number();
      one = true;
    } else if (flag == "--trace") {
      trace = true;
    } else {
      return usage();
    }
  }
  if (one) return report(seed, ztna::sim::run_storm(seed, trace), true) ? 0 : 1;
  return count > 0 ? run_many(first, count) : usage();
}
