// sim --seeds N [--first M]   runs N seeded worlds; prints how to replay those that fail
// sim --replay N [--every-packet]   runs one, and prints what happened in it
// sim --pairs [--repeats N] [--json FILE]   every pair of NAT kinds: outcomes and figures
// sim --pair PLAN [--every-packet]   one run of one pair, as the table names it
// --threads N: how many worlds run at once; default: one for each processor
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>

#include "sim/pair_table.hpp"
#include "sim/parallel.hpp"
#include "sim/storm.hpp"

namespace {

using ztna::sim::StormResult;

struct Flags {
  std::uint64_t seeds = 0, first = 1, replay = 0;
  std::size_t repeats = 1, threads = ztna::sim::default_threads();
  bool one = false, every_packet = false, pairs = false;
  std::string json, pair;
};

ztna::sim::World::Show shown(bool every_packet) {
  using Show = ztna::sim::World::Show;
  return every_packet ? Show::every_packet : Show::flow;
}

void print_failure(std::uint64_t seed, const StormResult& result) {
  for (const auto& violation : result.violations) {
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), violation.c_str());
  }
  std::printf("replay with: sim --replay %llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
}

int replay(std::uint64_t seed, bool every_packet) {
  const StormResult result = ztna::sim::run_storm(seed, shown(every_packet));
  std::printf("seed %llu: digest %016llx, %llu packets, %zu of %zu flows complete, %.1f s\n",
              static_cast<unsigned long long>(seed), static_cast<unsigned long long>(result.digest),
              static_cast<unsigned long long>(result.packets), result.complete, result.flows,
              result.virtual_seconds);
  if (result.violations.empty()) return 0;
  print_failure(seed, result);
  return 1;
}

int run_many(const Flags& flags) {
  const auto start = std::chrono::steady_clock::now();
  std::mutex mutex;
  std::uint64_t failed = 0, packets = 0, flows = 0, complete = 0;
  double virtual_seconds = 0;
  ztna::sim::run_parallel(flags.seeds, flags.threads, [&](std::size_t i) {
    const StormResult result = ztna::sim::run_storm(flags.first + i);
    const std::scoped_lock lock(mutex);
    if (!result.violations.empty()) {
      ++failed;
      print_failure(flags.first + i, result);
    }
    packets += result.packets;
    flows += result.flows;
    complete += result.complete;
    virtual_seconds += result.virtual_seconds;
  });
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf(
      "%llu seeds, %llu failed; %llu of %llu flows complete, %llu packets, %.0f virtual seconds in "
      "%.1f s\n",
      static_cast<unsigned long long>(flags.seeds), static_cast<unsigned long long>(failed),
      static_cast<unsigned long long>(complete), static_cast<unsigned long long>(flows),
      static_cast<unsigned long long>(packets), virtual_seconds, took.count());
  return failed == 0 ? 0 : 1;
}

int run_pairs(const Flags& flags) {
  const ztna::sim::PairTable table =
      ztna::sim::try_all_pairs(flags.first, flags.repeats, flags.threads);
  ztna::sim::print(table, stdout);
  if (!flags.json.empty()) {
    std::FILE* const file = std::fopen(flags.json.c_str(), "w");
    if (file == nullptr) {
      std::perror(flags.json.c_str());
      return 2;
    }
    ztna::sim::print_json(table, file);
    std::fclose(file);
  }
  return table.good() ? 0 : 1;
}

int run_one_pair(const std::string& text, bool every_packet) {
  const auto plan = ztna::sim::parse_pair(text);
  if (!plan) {
    std::fprintf(stderr, "not a pair as the table of --pairs names it: %s\n", text.c_str());
    return 2;
  }
  const ztna::sim::PairResult result = ztna::sim::run_pair(*plan, shown(every_packet));
  const auto wrong = ztna::sim::judge(result, can_meet(plan->agent, plan->connector));
  for (const std::string& what : wrong) std::printf("WRONG: %s\n", what.c_str());
  return wrong.empty() ? 0 : 1;
}

int usage() {
  std::fprintf(stderr,
               "usage: sim --seeds COUNT [--first SEED] [--threads N]\n"
               "       sim --replay SEED [--every-packet]\n"
               "       sim --pairs [--repeats N] [--json FILE] [--first SEED] [--threads N]\n"
               "       sim --pair PLAN [--every-packet]\n");
  return 2;
}

bool read(int argc, char** argv, Flags& flags) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const auto value = [&] { return ++i < argc ? argv[i] : "0"; };
    const auto number = [&] { return std::strtoull(value(), nullptr, 10); };
    if (flag == "--seeds") {
      flags.seeds = number();
    } else if (flag == "--first") {
      flags.first = number();
    } else if (flag == "--replay") {
      flags.replay = number();
      flags.one = true;
    } else if (flag == "--every-packet") {
      flags.every_packet = true;
    } else if (flag == "--pairs") {
      flags.pairs = true;
    } else if (flag == "--pair") {
      flags.pair = value();
    } else if (flag == "--repeats") {
      flags.repeats = number();
    } else if (flag == "--threads") {
      flags.threads = number();
    } else if (flag == "--json") {
      flags.json = value();
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  if (!read(argc, argv, flags) || flags.threads == 0) return usage();
  if (!flags.pair.empty()) return run_one_pair(flags.pair, flags.every_packet);
  if (flags.pairs) return run_pairs(flags);
  if (flags.one) return replay(flags.replay, flags.every_packet);
  return flags.seeds > 0 ? run_many(flags) : usage();
}
