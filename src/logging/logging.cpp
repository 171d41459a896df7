// The one file that includes spdlog: it filters, stamps and serialises; the lines are made by
// format.cpp.
#include "logging/logging.hpp"

#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "logging/format.hpp"

namespace ztna::logging {
namespace {

// A pipe that polls writable takes PIPE_BUF (4096) octets without blocking: keep below.
constexpr std::size_t longest_line = 4000;
constexpr std::size_t longest_cut_message = 700;  // an octet may become five: \\x1b in JSON
constexpr int patience_ms = 50;

constexpr const char* text_pattern = "%Y-%m-%dT%H:%M:%S.%eZ %v";
constexpr const char* json_pattern = "{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",%v";

class StandardError final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    // Once lines were dropped nobody waits again: the reader is stuck, the daemon must not be.
    pollfd ready{STDERR_FILENO, POLLOUT, 0};
    if (poll(&ready, 1, dropped_ == 0 ? patience_ms : 0) != 1 || (ready.revents & POLLOUT) == 0) {
      ++dropped_;
      return;
    }
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (dropped_ != 0) {
      const std::string note = std::to_string(std::exchange(dropped_, 0));
      put("(standard error was stuck: " + note + " log lines dropped)\n");
    }
    put({line.data(), line.size()});
  }
  void flush_() override {}

 private:
  static void put(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = write(STDERR_FILENO, text.data(), text.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  std::uint64_t dropped_ = 0;
};

struct Settings {
  std::shared_ptr<spdlog::logger> logger;
  Format format = Format::text;
  std::string program;
};

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warn: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::shared_ptr<const Settings> make_settings(Level level, Format format,
                                              std::string_view program) {
  auto settings = std::make_shared<Settings>();
  settings->format = format;
  settings->program = program;
  settings->logger = std::make_shared<spdlog::logger>("ztna", std::make_shared<StandardError>());
  settings->logger->set_level(to_spdlog(level));
  settings->logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      format == Format::json ? json_pattern : text_pattern, spdlog::pattern_time_type::utc, "\n"));
  return settings;
}

// The process-wide settings: a log line belongs to the program, not to a caller.
class Global {
 public:
  std::shared_ptr<const Settings> get() {
    const std::scoped_lock lock(mutex_);
    return settings_;
  }
  void set(std::shared_ptr<const Settings> settings) {
    const std::scoped_lock lock(mutex_);
    settings_ = std::move(settings);
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<const Settings> settings_ = make_settings(Level::info, Format::text, "ztna");
};

Global& global() {
  static Global instance;
  return instance;
}

// Text is simply cut; of a JSON object the message is kept and the fields go, so that it stays one.
std::string render(const Settings& settings, Level level, std::string_view message,
                   std::span<const Field> fields) {
  if (settings.format == Format::text) {
    std::string line = text_line(level, settings.program, message, fields);
    if (line.size() > longest_line) line = line.substr(0, longest_line - 4) + " ...";
    return line;
  }
  std::string line = json_rest(level, settings.program, message, fields);
  if (line.size() <= longest_line) return line;
  const std::vector<Field> cut{{"truncated", true}};
  return json_rest(level, settings.program, message.substr(0, longest_cut_message), cut);
}

void write(Level level, std::string_view message, std::span<const Field> fields) noexcept {
  try {
    const auto settings = global().get();
    if (!settings->logger->should_log(to_spdlog(level))) return;
    settings->logger->log(to_spdlog(level),
                          spdlog::string_view_t(render(*settings, level, message, fields)));
  } catch (...) {
    // A message that cannot be made (out of memory) is lost; the caller goes on.
    return;
  }
}

}  // namespace

void init(Level level, Format format, std::string_view program) noexcept {
  try {
    global().set(make_settings(level, format, program));
  } catch (...) {
    return;
  }
}

bool enabled(Level level) noexcept {
  try {
    return global().get()->logger->should_log(to_spdlog(level));
  } catch (...) {
    return false;
  }
}

void log(Level level, std::string_view message, std::initializer_list<Field> fields) noexcept {
  write(level, message, {fields.begin(), fields.size()});
}

void log_fields(Level level, std::string_view message, std::span<const Field> fields) noexcept {
  write(level, message, fields);
}

void log(Throttle& throttle, base::Time now, Level level, std::string_view message,
         std::initializer_list<Field> fields) noexcept {
  const auto suppressed = throttle.pass(now);
  if (!suppressed) return;
  if (*suppressed == 0) return log(level, message, fields);
  try {
    std::vector<Field> extended(fields);
    extended.emplace_back("suppressed", *suppressed);
    write(level, message, extended);
  } catch (...) {
    log(level, message, fields);
  }
}

}  // namespace ztna::logging
