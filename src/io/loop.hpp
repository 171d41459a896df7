// The event loop: the one place where time passes and things happen. One thread calls run(); every
// callback of src/io comes from there, one at a time.
//
// Threading: only post() and stop() may be called from other threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace boost::asio {
class io_context;
}

namespace ztna::io {

class UdpReceiveBatch;

class Loop {
 public:
  Loop();
  ~Loop();  // after everything that was made with it
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // CLOCK_BOOTTIME, because it goes on while the machine sleeps: a laptop that wakes up finds its
  // idle time-outs expired (as its peers do) and reconnects at once, where CLOCK_MONOTONIC would
  // trust dead connections for as long again. Timers run on the same clock.
  [[nodiscard]] static base::Time now();
  [[nodiscard]] static base::WallTime wall_now();

  // Runs until stop().
  void run();
  // For tests: runs what is ready without waiting; waits for one event and runs it.
  std::size_t poll();
  void run_one();
  // run() returns after the current callback; may be run again.
  void stop();
  // Calls `fn` from the loop, never from inside post(). In order, per posting thread.
  void post(std::function<void()> fn);
  // Calls `fn` each time the process gets `signal` (SIGTERM, SIGINT, SIGHUP …). One Loop a process
  // may do this for a given signal.
  [[nodiscard]] base::Status on_signal(int signal, std::function<void()> fn);

  [[nodiscard]] boost::asio::io_context& context();

  // Scratch for streams and UDP sockets of this loop, which all consume before they return.
  static constexpr std::size_t read_buffer_size = std::size_t{256} * 1024;
  [[nodiscard]] base::MutableBytes read_buffer();
  [[nodiscard]] UdpReceiveBatch& udp_batch();

 private:
  friend class Timer;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Calls back once after each set(), not before the deadline, and never from inside set(). May be
// destroyed in its own callback; destruction cancels.
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> callback);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Replaces the deadline; base::never is the same as cancel(), the past means "soon". Cheap: no
  // system call unless this becomes the earliest deadline of the loop.
  void set(base::Time deadline);
  void cancel();
  [[nodiscard]] base::Time deadline() const { return deadline_; }  // never: not armed

 private:
  friend class Loop;
  Loop& loop_;
  std::shared_ptr<std::function<void()>> callback_;
  base::Time deadline_ = base::never;
  std::size_t heap_index_ = 0;
};

}  // namespace ztna::io
