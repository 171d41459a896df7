#include "tool/ca_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

namespace ztna::tool {
namespace {

tl::unexpected<base::Error> system_error(std::string what, const std::string& where) {
  const int code = errno;
  const base::ErrorCode kind = code == ENOENT   ? base::ErrorCode::not_found
                               : code == EEXIST ? base::ErrorCode::already_exists
                               : code == EACCES ? base::ErrorCode::permission_denied
                                                : base::ErrorCode::unavailable;
  return base::fail(kind, std::move(what), where, std::strerror(code));
}

tl::unexpected<base::Error> exists_already(const std::string& path) {
  return base::fail(base::ErrorCode::already_exists,
                    "exists already and is not overwritten without --force", path);
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

// A file under a temporary name; removed unless it was placed.
class Staged {
 public:
  Staged(std::string path, std::string target)
      : path_(std::move(path)), target_(std::move(target)) {}
  Staged(Staged&& other) noexcept
      : path_(std::exchange(other.path_, {})), target_(std::move(other.target_)) {}
  Staged(const Staged&) = delete;
  Staged& operator=(const Staged&) = delete;
  Staged& operator=(Staged&&) = delete;
  ~Staged() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& target() const { return target_; }
  [[nodiscard]] base::Status place(Existing existing) {
    if (existing == Existing::replace) {
      if (::rename(path_.c_str(), target_.c_str()) != 0) {
        return system_error("cannot be replaced", target_);
      }
      path_.clear();
      return {};
    }
    // link() fails when the name is taken, also by a file that appeared just now.
    if (::link(path_.c_str(), target_.c_str()) == 0) return {};
    if (errno == EEXIST) return exists_already(target_);
    return system_error("cannot be written", target_);
  }

 private:
  std::string path_;
  std::string target_;
};

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

base::Result<Staged> stage(const std::string& target, const std::string& text, mode_t mode) {
  const std::string path = target + ".tmp." + std::to_string(::getpid());
  ::unlink(path.c_str());  // left by an earlier process of this number that was killed
  const Descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                             mode & private_mode));
  if (!fd) return system_error("cannot be written", target);
  Staged staged(path, target);
  // Wider modes come after the octets, and whatever the umask says.
  if (!write_all(fd.get(), text) || ::fchmod(fd.get(), mode) != 0 || ::fsync(fd.get()) != 0) {
    return system_error("cannot be written", target);
  }
  return staged;
}

void sync_folder(const std::string& folder) {
  const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd) ::fsync(fd.get());
}

base::Status make_folder(const std::string& folder) {
  std::error_code error;
  const std::filesystem::path path(folder);
  if (std::filesystem::is_directory(path, error)) return {};
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) == 0) return {};
  return system_error("cannot make this folder", folder);
}

}  // namespace

base::Result<std::string> read_file(const std::string& path, std::size_t limit) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return system_error("cannot be read", path);
  std::string text;
  std::array<char, 16384> chunk{};
  while (true) {
    const ssize_t size = ::read(fd.get(), chunk.data(), chunk.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return system_error("cannot be read", path);
    if (size == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(size));
    if (text.size() > limit) {
      return base::fail(base::ErrorCode::invalid_argument,
                        "is longer than " + std::to_string(limit >> 20) + " MiB", path);
    }
  }
}

base::Status write_files(const std::string& folder, const std::vector<NewFile>& files,
                         Existing existing) {
  const auto made = make_folder(folder);
  if (!made) return made;
  std::vector<Staged> staged;
  for (const NewFile& file : files) {
    const std::string target = (std::filesystem::path(folder) / file.name).string();
    if (existing == Existing::refuse && ::access(target.c_str(), F_OK) == 0) {
      return exists_already(target);
    }
    auto one = stage(target, file.text, file.mode);
    if (!one) return tl::unexpected(one.error());
    staged.push_back(std::move(*one));
  }
  for (std::size_t i = 0; i < staged.size(); ++i) {
    auto placed = staged[i].place(existing);
    if (placed) continue;
    // None or all: these were not there before.
    for (std::size_t j = 0; j < i && existing == Existing::refuse; ++j) {
      ::unlink(staged[j].target().c_str());
    }
    return placed;
  }
  staged.clear();
  sync_folder(folder);
  return {};
}

base::Status replace_file(const std::string& path, const std::string& text) {
  std::error_code error;
  // Through symbolic links: the file changes, not the link.
  const std::string target = std::filesystem::canonical(path, error).string();
  if (error) return base::fail(base::ErrorCode::not_found, "cannot be read", path, error.message());
  struct stat before{};
  if (::stat(target.c_str(), &before) != 0) return system_error("cannot be read", path);
  auto staged = stage(target, text, before.st_mode & 0777);
  if (!staged) return tl::unexpected(staged.error());
  if (::chown(staged->path().c_str(), before.st_uid, before.st_gid) != 0 && ::geteuid() == 0) {
    return system_error("cannot keep its owner", path);
  }
  const auto placed = staged->place(Existing::replace);
  if (!placed) return placed;
  sync_folder(std::filesystem::path(target).parent_path().string());
  return {};
}

}  // namespace ztna::tool
