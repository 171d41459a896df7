// Ctrl-C for commands that go on until somebody has seen enough.
#pragma once

#include <chrono>
#include <csignal>

namespace ztna::tool {

// While one lives, the first Ctrl-C only sets a flag, so that the command can show its totals; a
// second one kills. One at a time.
class Interruptible {
 public:
  Interruptible();
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

  [[nodiscard]] static bool interrupted();
  // Until then, or until Ctrl-C.
  static void pause(std::chrono::steady_clock::time_point until);

 private:
  struct sigaction before_{};
};

}  // namespace ztna::tool
