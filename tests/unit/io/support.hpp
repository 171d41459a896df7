// What the I/O tests share.
#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "base/address.hpp"
#include "io/loop.hpp"

namespace ztna::io::testing {

inline base::Address loopback(std::uint16_t port = 0) {
  return base::Address::v4({127, 0, 0, 1}, port);
}

// Runs the loop until `done()`; false after ten seconds, which only a failing test ever waits for.
inline bool run_until(Loop& loop, const std::function<bool()>& done) {
  const base::Time give_up = Loop::now() + std::chrono::seconds(10);
  Timer wake(loop, [] {});
  while (!done()) {
    if (Loop::now() >= give_up) return false;
    wake.set(give_up);
    loop.run_one();
  }
  return true;
}

}  // namespace ztna::io::testing
