#include "tool/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ranges>

#include "config/config.hpp"
#include "io/loop.hpp"
#include "logging/format.hpp"

namespace ztna::tool {
namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& each : texts) result.push_back(each.data());
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> own_environment() {
  std::vector<std::string> variables;
  for (char** at = environ; *at != nullptr; ++at) variables.emplace_back(*at);
  return variables;
}

// Everything that the child needs, made before fork(): after it, only system calls are safe.
struct Launch {
  std::vector<char*> arguments, environment;
  const sigset_t* mask;
  int log, failure;
  pid_t parent;
};

[[noreturn]] void run_child(const Launch& launch) {
  const int null = open("/dev/null", O_RDONLY);
  const bool ready = null >= 0 && dup2(null, 0) == 0 && dup2(launch.log, 1) == 1 &&
                     dup2(launch.log, 2) == 2 && setpgid(0, 0) == 0 &&
                     prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
  if (getppid() != launch.parent) _exit(127);  // it died before the line above
  std::signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_SETMASK, launch.mask, nullptr);
  if (ready) execve(launch.arguments[0], launch.arguments.data(), launch.environment.data());
  const int error = errno;
  static_cast<void>(!write(launch.failure, &error, sizeof error));
  _exit(127);
}

base::Result<io::Fd> open_log(const ProcessPlan& plan) {
  io::Fd log(open(plan.log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  std::string line = "+";
  for (const std::string& argument : plan.command) line += " " + argument;
  line += "\n";
  if (log.valid() && write(log.get(), line.data(), line.size()) >= 0) return log;
  return base::fail(base::ErrorCode::unavailable, "cannot be written", plan.log,
                    std::strerror(errno));
}

}  // namespace

std::string describe_end(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const int signal = WTERMSIG(wait_status);
    return "signal " + std::to_string(signal) + " (" + strsignal(signal) + ")";
  }
  return "exit code " + std::to_string(WEXITSTATUS(wait_status));
}

std::vector<std::string> child_environment(const std::vector<std::string>& variables) {
  static constexpr std::array<std::string_view, 3> of_the_unit = {"NOTIFY_SOCKET", "WATCHDOG_USEC",
                                                                  "WATCHDOG_PID"};
  const std::vector<std::string> of_daemons = config::known_variables();
  std::vector<std::string> kept;
  for (const std::string& variable : variables) {
    const std::string name = variable.substr(0, variable.find('='));
    const bool ours = name.starts_with("ZTNA_") || std::ranges::binary_search(of_daemons, name);
    if (ours && name != "ZTNA_AEAD") continue;
    if (std::ranges::find(of_the_unit, name) == of_the_unit.end()) kept.push_back(variable);
  }
  return kept;
}

ProcessGroup::ProcessGroup() {
  sigset_t taken;
  sigemptyset(&taken);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM}) sigaddset(&taken, signal);
  struct sigaction hangup{};
  // nohup says that the end of the terminal is not ours.
  if (sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN) {
    sigaddset(&taken, SIGHUP);
  }
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, &old_pipe_);
  sigprocmask(SIG_BLOCK, &taken, &old_mask_);
  signals_ = io::Fd(signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
}

ProcessGroup::~ProcessGroup() {
  hurry_ = true;
  static_cast<void>(stop(base::Duration::zero()));
  sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
  sigaction(SIGPIPE, &old_pipe_, nullptr);
}

base::Status ProcessGroup::start(const ProcessPlan& plan) {
  const auto cannot = [&](int error) {
    return base::fail(base::ErrorCode::unavailable, "cannot be started", plan.command.at(0),
                      std::strerror(error));
  };
  auto log = open_log(plan);
  if (!log) return tl::unexpected(log.error());
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return cannot(errno);
  const io::Fd failure(ends[0]);
  io::Fd writer(ends[1]);
  std::vector<std::string> command = plan.command;
  std::vector<std::string> environment = child_environment(own_environment());
  const Launch launch{pointers(command), pointers(environment), &old_mask_,
                      log->get(),        writer.get(),          getpid()};
  const pid_t pid = fork();
  if (pid < 0) return cannot(errno);
  if (pid == 0) run_child(launch);
  writer = io::Fd();
  int error = 0;
  ssize_t got = 0;
  do {  // ends without data when execve() has closed the other end
    got = read(failure.get(), &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  if (got == sizeof error) {
    waitpid(pid, nullptr, 0);
    return cannot(error);
  }
  processes_.push_back({plan.name, plan.log, pid, {}});
  return {};
}

void ProcessGroup::reap() {
  for (Process& process : processes_) {
    int status = 0;
    if (!process.ended && waitpid(process.pid, &status, WNOHANG) == process.pid) {
      process.ended = status;
    }
  }
}

bool ProcessGroup::drain_signals(base::Duration timeout) {
  pollfd entry{signals_.get(), POLLIN, 0};
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  static_cast<void>(poll(&entry, 1, static_cast<int>(std::min<std::int64_t>(ms, 1 << 30))));
  bool interrupted = false;
  signalfd_siginfo info{};
  while (read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo != SIGCHLD) interrupted = true;
  }
  reap();
  return interrupted;
}

ProcessGroup::Wake ProcessGroup::wait(base::Duration timeout) {
  reap();
  const bool interrupted = drain_signals(ended() != nullptr ? base::Duration::zero() : timeout);
  if (interrupted) return Wake::interrupted;
  return ended() != nullptr ? Wake::child_ended : Wake::timeout;
}

const Process* ProcessGroup::ended() const {
  const auto at =
      std::ranges::find_if(processes_, [](const Process& p) { return p.ended.has_value(); });
  return at == processes_.end() ? nullptr : &*at;
}

const Process* ProcessGroup::find(const std::string& name) const {
  const auto at = std::ranges::find(processes_, name, &Process::name);
  return at == processes_.end() ? nullptr : &*at;
}

void ProcessGroup::end(Process& process, base::Duration patience) {
  if (process.ended) return;
  const base::Time deadline = io::Loop::now() + patience;
  if (!hurry_) kill(process.pid, SIGTERM);
  while (!process.ended && !hurry_) {
    const base::Duration left = deadline - io::Loop::now();
    if (left <= base::Duration::zero()) break;
    hurry_ = drain_signals(left);
  }
  if (process.ended) return;
  kill(process.pid, SIGKILL);
  int status = 0;
  while (waitpid(process.pid, &status, 0) < 0 && errno == EINTR) {
  }
  process.ended = status;
}

std::vector<Process> ProcessGroup::stop(base::Duration patience) {
  for (Process& process : std::ranges::reverse_view(processes_)) end(process, patience);
  std::vector<Process> failures;
  std::ranges::copy_if(processes_, std::back_inserter(failures), &Process::failed);
  processes_.clear();
  return failures;
}

std::string log_tail(const std::string& path, std::size_t lines) {
  const io::Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 8192> buffer{};
  if (!file.valid()) return {};
  const off_t size = lseek(file.get(), 0, SEEK_END);
  const off_t from = std::max<off_t>(0, size - static_cast<off_t>(buffer.size()));
  const ssize_t got = pread(file.get(), buffer.data(), buffer.size(), from);
  std::string text(buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  std::string tail;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (std::size_t i = 0; i < lines && !text.empty(); ++i) {
    const auto start = text.rfind('\n');
    const std::string line = start == std::string::npos ? text : text.substr(start + 1);
    tail.insert(0, "    " + logging::escaped(line) + "\n");
    text.resize(start == std::string::npos ? 0 : start);
  }
  return tail;
}

}  // namespace ztna::tool
