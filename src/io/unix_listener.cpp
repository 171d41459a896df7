#include "io/unix_listener.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace ztna::io {

namespace {

constexpr const char* cannot_create = "cannot create the control socket";

// Serialises "is it stale? remove, bind, listen" among processes by a lock on the directory: else
// one could remove what another has just made. Waits for at most a second.
base::Result<Fd> lock_directory(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid())
    return base::fail(
        errno == EACCES ? base::ErrorCode::permission_denied : base::ErrorCode::not_found,
        "cannot open the directory of the control socket", directory, errno_text(errno));
  for (int attempt = 0; ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0; ++attempt) {
    if (errno != EWOULDBLOCK || attempt == 100)
      return base::fail(base::ErrorCode::unavailable,
                        "another program holds the directory of the control socket", directory,
                        errno_text(errno));
    const timespec pause{0, 10'000'000};
    ::nanosleep(&pause, nullptr);
  }
  return fd;
}

// Removes a socket file that nobody listens on.
base::Status clear_stale(const std::string& path, const sockaddr_un& address) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return {};
  if (!S_ISSOCK(info.st_mode))
    return base::fail(base::ErrorCode::already_exists,
                      std::string(cannot_create) + ": a file of another kind is in the way", path);
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid())
    return base::fail(base::ErrorCode::exhausted, cannot_create, path, errno_text(errno));
  const int result =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (result == 0 || errno == EAGAIN)  // the latter: it listens, and its backlog is full
    return base::fail(base::ErrorCode::already_exists,
                      std::string(cannot_create) + ": another program listens on it", path);
  if (errno != ECONNREFUSED)
    return base::fail(base::ErrorCode::permission_denied, cannot_create, path, errno_text(errno));
  if (::unlink(path.c_str()) != 0)
    return base::fail(base::ErrorCode::permission_denied,
                      std::string(cannot_create) + ": cannot remove the stale one", path,
                      errno_text(errno));
  return {};
}

}  // namespace

base::Result<UnixListener> UnixListener::bind(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return base::fail(base::ErrorCode::invalid_argument,
                      "the path of a control socket must have 1 to 107 characters", path);
  std::memcpy(address.sun_path, path.data(), path.size());

  const auto lock = lock_directory(path);
  if (!lock) return tl::unexpected(lock.error());
  if (auto cleared = clear_stale(path, address); !cleared) return tl::unexpected(cleared.error());

  UnixListener out;
  out.fd_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // The mode before bind(): the file is never open to others, not even for a moment.
  const bool made =
      out.fd_.valid() && ::fchmod(out.fd_.get(), 0600) == 0 &&
      ::bind(out.fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (!made)
    return base::fail(base::ErrorCode::permission_denied, cannot_create, path, errno_text(errno));
  struct stat info{};
  if (::lstat(path.c_str(), &info) == 0) {
    out.path_ = path;
    out.device_ = info.st_dev;
    out.inode_ = info.st_ino;
  }
  if (::listen(out.fd_.get(), 64) != 0)
    return base::fail(base::ErrorCode::unavailable, cannot_create, path, errno_text(errno));
  return out;
}

UnixListener::UnixListener(UnixListener&& other) noexcept
    : fd_(std::move(other.fd_)),
      path_(std::exchange(other.path_, {})),
      device_(other.device_),
      inode_(other.inode_) {}

UnixListener::~UnixListener() {
  struct stat info{};
  if (!path_.empty() && ::lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ &&
      info.st_ino == inode_)
    ::unlink(path_.c_str());
}

bool peer_may_control(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

}  // namespace ztna::io
