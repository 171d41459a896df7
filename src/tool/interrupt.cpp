#include "tool/interrupt.hpp"

#include <algorithm>
#include <thread>

namespace ztna::tool {
namespace {

volatile std::sig_atomic_t interrupt_seen = 0;

}  // namespace

Interruptible::Interruptible() {
  interrupt_seen = 0;
  struct sigaction action{};
  action.sa_handler = [](int) { interrupt_seen = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, &before_);
}

Interruptible::~Interruptible() { sigaction(SIGINT, &before_, nullptr); }

bool Interruptible::interrupted() { return interrupt_seen != 0; }

void Interruptible::pause(std::chrono::steady_clock::time_point until) {
  using Clock = std::chrono::steady_clock;
  while (!interrupted() && Clock::now() < until) {
    std::this_thread::sleep_for(
        std::min<Clock::duration>(std::chrono::milliseconds(50), until - Clock::now()));
  }
}

}  // namespace ztna::tool
