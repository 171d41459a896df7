// Worlds know nothing of each other, so many of them run at once: one job a thread at a time.
#pragma once

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "sim/entropy.hpp"

namespace ztna::sim {

// In a thread of its own, so that GnuTLS's random generator begins anew: the same seed gives the
// same packets, wherever and after whatever it runs.
template <class Function>
auto run_seeded(std::uint64_t seed, Function function) {
  decltype(function()) result{};
  std::thread([&] {
    seed_entropy(seed);
    result = function();
  }).join();
  return result;
}

// Calls function(0) … function(count - 1) on so many threads, in this order, as they get free.
template <class Function>
void run_parallel(std::size_t count, std::size_t threads, const Function& function) {
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t job = next++; job < count; job = next++) function(job);
  };
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < std::min(threads, count); ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
}

// Every processor of this machine.
[[nodiscard]] inline std::size_t default_threads() {
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace ztna::sim
