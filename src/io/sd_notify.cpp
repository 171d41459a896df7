#include "io/sd_notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string>

#include "io/socket_util.hpp"

namespace ztna::io {

namespace {

std::optional<std::int64_t> number_in(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  std::int64_t value = 0;
  const char* end = text + std::strlen(text);
  const auto parsed = std::from_chars(text, end, value);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return value;
}

}  // namespace

bool sd_notify(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t size = std::strlen(path);
  if (size >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path, size);
  if (path[0] == '@') address.sun_path[0] = '\0';  // an abstract name
  const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return false;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
  // Never waits for a busy service manager: a lost watchdog message is followed by the next.
  return ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                  reinterpret_cast<const sockaddr*>(&address),
                  length) == static_cast<ssize_t>(state.size());
}

bool sd_ready(std::string_view status) {
  std::string message = "READY=1";
  if (!status.empty()) message.append("\nSTATUS=").append(status);
  return sd_notify(message);
}

bool sd_reloading() {
  timespec at{};
  ::clock_gettime(CLOCK_MONOTONIC, &at);  // systemd compares it with its own reading
  const auto us = std::int64_t{at.tv_sec} * 1'000'000 + at.tv_nsec / 1'000;
  return sd_notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(us));
}

bool sd_stopping() { return sd_notify("STOPPING=1"); }

bool sd_watchdog() { return sd_notify("WATCHDOG=1"); }

std::optional<base::Duration> sd_watchdog_interval() {
  const auto us = number_in("WATCHDOG_USEC");
  if (!us || *us <= 0) return std::nullopt;
  const auto pid = number_in("WATCHDOG_PID");
  if (pid && *pid != ::getpid()) return std::nullopt;
  return base::Duration(std::chrono::microseconds(*us)) / 2;
}

}  // namespace ztna::io
