#include "sim/pair_table.hpp"

#include <algorithm>
#include <numeric>

#include "sim/parallel.hpp"

namespace ztna::sim {
namespace {

constexpr Duration round_trip = 2 * intermediate_round_trip;
constexpr NatKind port_restricted{Dependence::endpoint_independent, Dependence::address_and_port};
const PathLimits limits;

// The smallest value that at least that share of all does not exceed.
Duration quantile(const std::vector<Duration>& sorted, double share) {
  if (sorted.empty()) return {};
  const auto rank = static_cast<std::size_t>(share * static_cast<double>(sorted.size()) + 0.999999);
  return sorted.at(std::clamp<std::size_t>(rank, 1, sorted.size()) - 1);
}

double round_trips(Duration time) { return base::to_ms(time) / base::to_ms(round_trip); }

// What one run says by itself.
}  // namespace

std::vector<std::string> judge(const PairResult& result, bool expected) {
  std::vector<std::string> wrong = result.violations;
  const auto above = [&](const char* what, const std::optional<Duration>& value, Duration limit) {
    if (!value || *value <= limit) return;
    wrong.push_back(std::string(what) + " took " + std::to_string(base::to_ms(*value)) + " ms");
  };
  if (expected && !result.to_direct) wrong.emplace_back("stays on the relay, must be direct");
  if (!expected && result.to_direct) wrong.emplace_back("is direct, must stay on the relay");
  above("the gap at the move to the relay", result.gap_to_relay, limits.gap_to_relay);
  above("the gap at the move to the direct path", result.gap_to_direct,
        round_trip + limits.gap_to_direct_beyond_round_trip);
  const std::uint64_t idle = std::max(result.idle_from_agent, result.idle_from_connector);
  if (idle > limits.idle_packets) {
    wrong.push_back("an idle session sent " + std::to_string(idle) + " packets one way in " +
                    std::to_string(idle_time / 1s) + " s");
  }
  if (!result.to_direct && result.checks > limits.checks_a_round) {
    wrong.push_back(std::to_string(result.checks) + " checks a round");
  }
  return wrong;
}

namespace {

void add(PairRow& row, const PairPlan& plan, const PairResult& result) {
  ++row.runs;
  if (result.to_direct) {
    ++row.direct;
    row.to_direct.push_back(*result.to_direct);
  }
  row.gap_to_direct = std::max(row.gap_to_direct, result.gap_to_direct.value_or(Duration{}));
  row.gap_to_relay = std::max(row.gap_to_relay, result.gap_to_relay.value_or(Duration{}));
  row.checks = std::max(row.checks, result.checks);
  row.idle_packets =
      std::max({row.idle_packets, result.idle_from_agent, result.idle_from_connector});
  for (const std::string& text : judge(result, row.expected)) {
    row.wrong.push_back(text + "; replay with: sim --pair " + to_string(plan));
  }
}

// What all runs of a pair say together.
void conclude(PairRow& row) {
  std::ranges::sort(row.to_direct);
  if (row.agent != port_restricted || row.connector != port_restricted) return;
  if (round_trips(quantile(row.to_direct, 0.5)) > limits.median_round_trips) {
    row.wrong.emplace_back("the median time to direct is too long");
  }
  if (quantile(row.to_direct, 0.99) > limits.to_direct_p99) {
    row.wrong.emplace_back("the 99th percentile of the time to direct is too long");
  }
}

}  // namespace

bool PairTable::good() const {
  return std::ranges::all_of(rows, [](const PairRow& row) { return row.wrong.empty(); });
}

PairTable try_all_pairs(std::uint64_t first_seed, std::size_t repeats, std::size_t threads) {
  PairTable table;
  std::vector<std::pair<std::size_t, PairPlan>> plans;  // with the row that each belongs to
  for (const NatKind& agent : all_kinds()) {
    for (const NatKind& connector : all_kinds()) {
      PairRow row;
      row.agent = agent;
      row.connector = connector;
      row.expected = can_meet(agent, connector);
      for (std::size_t i = 0; i < repeats; ++i) {
        for (const PairPlan& plan : variants(agent, connector, first_seed + i)) {
          plans.emplace_back(table.rows.size(), plan);
        }
      }
      table.rows.push_back(std::move(row));
    }
  }
  std::vector<PairResult> results(plans.size());
  run_parallel(plans.size(), threads,
               [&](std::size_t i) { results[i] = run_pair(plans[i].second); });
  for (std::size_t i = 0; i < plans.size(); ++i) {
    add(table.rows[plans[i].first], plans[i].second, results[i]);
  }
  for (PairRow& row : table.rows) conclude(row);
  return table;
}

void print(const PairTable& table, std::FILE* out) {
  std::fprintf(out,
               "A round trip over the relay: %.0f ms. Gaps: the worst, of a program that sends "
               "every 10 ms.\n\n",
               base::to_ms(round_trip));
  std::fprintf(out, "%-21s %-21s %-7s %-8s %-13s %-11s %-10s %-7s %s\n", "Agent's NAT",
               "Connector's NAT", "must be", "direct", "round trips", "gap when", "gap when",
               "checks", "idle");
  std::fprintf(out, "%-21s %-21s %-7s %-8s %-13s %-11s %-10s %-7s %s\n", "mapping/filtering", "",
               "", "of runs", "p50 / p99", "direct", "lost", "", "in 60 s");
  for (const PairRow& row : table.rows) {
    std::fprintf(out, "%-21s %-21s %-7s %4zu/%-3zu", to_string(row.agent).c_str(),
                 to_string(row.connector).c_str(), row.expected ? "direct" : "relay", row.direct,
                 row.runs);
    if (row.direct > 0) {
      std::fprintf(out, " %5.1f / %-5.1f %7.1f ms %7.1f ms %7llu %7llu\n",
                   round_trips(quantile(row.to_direct, 0.5)),
                   round_trips(quantile(row.to_direct, 0.99)), base::to_ms(row.gap_to_direct),
                   base::to_ms(row.gap_to_relay), static_cast<unsigned long long>(row.checks),
                   static_cast<unsigned long long>(row.idle_packets));
    } else {
      std::fprintf(out, " %41llu\n", static_cast<unsigned long long>(row.checks));
    }
  }
  std::size_t runs = 0, wrong = 0;
  for (const PairRow& row : table.rows) {
    runs += row.runs;
    wrong += row.wrong.size();
    for (const std::string& text : row.wrong) {
      std::fprintf(out, "WRONG: %s to %s: %s\n", to_string(row.agent).c_str(),
                   to_string(row.connector).c_str(), text.c_str());
    }
  }
  std::fprintf(out, "%zu pairs, %zu runs, %zu wrong\n", table.rows.size(), runs, wrong);
}

void print_json(const PairTable& table, std::FILE* out) {
  std::fprintf(out, "{\"relay_round_trip_ms\": %.0f, \"good\": %s, \"pairs\": [",
               base::to_ms(round_trip), table.good() ? "true" : "false");
  const char* separator = "\n";
  for (const PairRow& row : table.rows) {
    std::fprintf(out,
                 "%s{\"agent\": \"%s\", \"connector\": \"%s\", \"expected\": \"%s\", \"runs\": "
                 "%zu, \"direct\": %zu, \"to_direct_p50_ms\": %.1f, \"to_direct_p99_ms\": %.1f, "
                 "\"gap_to_direct_ms\": %.1f, \"gap_to_relay_ms\": %.1f, \"checks\": %llu, "
                 "\"idle_packets\": %llu, \"wrong\": %zu}",
                 separator, to_string(row.agent).c_str(), to_string(row.connector).c_str(),
                 row.expected ? "direct" : "relay", row.runs, row.direct,
                 base::to_ms(quantile(row.to_direct, 0.5)),
                 base::to_ms(quantile(row.to_direct, 0.99)), base::to_ms(row.gap_to_direct),
                 base::to_ms(row.gap_to_relay), static_cast<unsigned long long>(row.checks),
                 static_cast<unsigned long long>(row.idle_packets), row.wrong.size());
    separator = ",\n";
  }
  std::fprintf(out, "\n]}\n");
}

}  // namespace ztna::sim
