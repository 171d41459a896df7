// The impure corner: the process's own environment and files.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "config/config.hpp"

namespace ztna::config {
namespace {

// Far beyond any configuration; keeps `--config /dev/zero` from eating the machine.
constexpr std::size_t largest_file = 1 << 20;

bool file_exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

bool directory_usable(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) == 0) {
    return S_ISDIR(info.st_mode) && access(path.c_str(), W_OK | X_OK) == 0;
  }
  const auto slash = path.rfind('/');
  if (errno != ENOENT || slash == std::string::npos) return false;
  const std::string parent = slash == 0 ? "/" : path.substr(0, slash);
  return access(parent.c_str(), W_OK | X_OK) == 0;
}

}  // namespace

base::Result<std::string> read_file(const std::string& path) {
  const auto failed = [&](std::string what) {
    return base::fail(base::ErrorCode::not_found, std::move(what), "\"" + path + "\"");
  };
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return failed(std::strerror(errno));
  struct stat info{};
  if (fstat(fd, &info) == 0 && (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode))) {
    close(fd);
    return failed("is a pipe, expected a file");
  }
  std::string text;
  char chunk[4096];
  ssize_t count = 0;
  while ((count = read(fd, chunk, sizeof chunk)) > 0 && text.size() <= largest_file) {
    text.append(chunk, static_cast<std::size_t>(count));
  }
  const int error = errno;
  close(fd);
  if (count < 0) return failed(std::strerror(error));
  if (text.size() > largest_file) return failed("is larger than 1 MiB");
  return text;
}

Inputs from_process(int argc, char** argv) {
  Inputs inputs;
  for (int i = 1; i < argc; ++i) inputs.arguments.emplace_back(argv[i]);
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    inputs.environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  inputs.read_file = read_file;
  inputs.file_exists = file_exists;
  inputs.directory_usable = directory_usable;
  return inputs;
}

}  // namespace ztna::config
