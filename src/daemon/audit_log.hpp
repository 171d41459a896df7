// The audit log: a file that only grows, one JSON object a line. Reopened after rotation.
//
// Threading: the loop's thread. Writes go to a local file and are expected to be quick.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace ztna::daemon {

class AuditLog {
 public:
  AuditLog() = default;
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // Made with mode 0600 where it does not exist. An empty path turns the log off.
  [[nodiscard]] base::Status open(const std::string& path);
  // The same path again; on failure the old file stays in use.
  [[nodiscard]] base::Status reopen();
  // `line` without its newline. Failures are counted; a full disk must not stop the daemon.
  void append(std::string_view line);

  [[nodiscard]] std::uint64_t lines() const { return lines_; }
  [[nodiscard]] std::uint64_t errors() const { return errors_; }

 private:
  std::string path_;
  int fd_ = -1;
  bool torn_ = false;  // the last line was written in part
  std::uint64_t lines_ = 0;
  std::uint64_t errors_ = 0;
};

}  // namespace ztna::daemon
