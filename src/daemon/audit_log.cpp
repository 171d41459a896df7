#include "daemon/audit_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ztna::daemon {

AuditLog::~AuditLog() {
  if (fd_ >= 0) close(fd_);
}

base::Status AuditLog::open(const std::string& path) {
  path_ = path;
  return reopen();
}

base::Status AuditLog::reopen() {
  if (path_.empty()) return {};
  // Not blocking: a FIFO without a reader is an error instead of a wait.
  const int fd =
      ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
  if (fd < 0) {
    return base::fail(base::ErrorCode::invalid_argument, "cannot be opened for writing", path_,
                      std::strerror(errno));
  }
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
  struct stat now{};
  torn_ = torn_ && fstat(fd_, &now) == 0 && now.st_size > 0;  // not in a new file
  return {};
}

void AuditLog::append(std::string_view line) {
  if (fd_ < 0) return;
  // One write a line: O_APPEND keeps lines of several writers whole.
  std::string text = std::string(line) + "\n";
  // After half a line (a full disk) the next one must not join it.
  if (torn_) text.insert(0, "\n");
  const ssize_t count = write(fd_, text.data(), text.size());
  if (count > 0) torn_ = count < static_cast<ssize_t>(text.size());
  if (count == static_cast<ssize_t>(text.size())) {
    ++lines_;
  } else {
    ++errors_;
  }
}

}  // namespace ztna::daemon
