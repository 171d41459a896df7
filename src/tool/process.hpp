// Child processes of a command: started, watched, and ended in order. They never outlive this
// process, however it ends (Linux's parent-death signal).
//
// Threading: a process with one thread, and one ProcessGroup in it, since signals are process-wide.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "io/socket_util.hpp"

namespace ztna::tool {

struct ProcessPlan {
  std::string name;
  std::vector<std::string> command;  // [0]: the program's path
  std::string log;                   // a file: the command, then what it writes to 1 and 2
};

struct Process {
  std::string name;
  std::string log;
  pid_t pid = -1;
  std::optional<int> ended;  // as waitpid() says it

  [[nodiscard]] bool failed() const { return ended && *ended != 0; }
};

// "exit code 2", "signal 9 (Killed)".
[[nodiscard]] std::string describe_end(int wait_status);

// The environment for a child: without what would change a daemon's options (ZTNA_* and the other
// names that they read, but not the choice of the AEAD) or its service manager's messages.
[[nodiscard]] std::vector<std::string> child_environment(const std::vector<std::string>& variables);

class ProcessGroup {
 public:
  // Takes over SIGCHLD, SIGINT, SIGTERM and SIGHUP, and ignores SIGPIPE, for as long as it lives.
  ProcessGroup();
  ~ProcessGroup();  // kills what still runs
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  // In a process group of its own, so that Ctrl-C reaches us alone and stop() keeps the order.
  [[nodiscard]] base::Status start(const ProcessPlan& plan);

  enum class Wake : std::uint8_t { timeout, interrupted, child_ended };
  // Sleeps until a signal asks this process to end, a child ends, or the time is over. A child that
  // ended is reported by each call until stop().
  [[nodiscard]] Wake wait(base::Duration timeout);

  // The first child that ended by itself, or null.
  [[nodiscard]] const Process* ended() const;
  [[nodiscard]] const Process* find(const std::string& name) const;

  // Asks the last one to end (SIGTERM), waits, and goes on with the one before it. What does not
  // end in `patience`, and everything once a further signal asks us to hurry, is killed. What ended
  // with anything but 0, or was killed.
  [[nodiscard]] std::vector<Process> stop(base::Duration patience);

 private:
  void reap();
  // True: interrupted.
  bool drain_signals(base::Duration timeout);
  void end(Process& process, base::Duration patience);

  io::Fd signals_;
  sigset_t old_mask_{};
  struct sigaction old_pipe_{};
  std::vector<Process> processes_;
  bool hurry_ = false;
};

// The last `lines` of a text file, each indented and harmless for a terminal.
[[nodiscard]] std::string log_tail(const std::string& path, std::size_t lines);

}  // namespace ztna::tool
