#include "tool/process_memory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "io/socket_util.hpp"

namespace ztna::tool {
namespace {

struct Range {
  std::uint64_t begin = 0, end = 0;
};

// Larger ones belong to sanitizers and would take minutes.
constexpr std::uint64_t largest_range = std::uint64_t{1} << 30;
constexpr std::size_t chunk_size = std::size_t{1} << 20;

// Writable ranges with something in them, from /proc/PID/smaps.
base::Result<std::vector<Range>> writable_ranges(const std::string& path) {
  std::ifstream file(path);
  std::vector<Range> ranges;
  Range current;
  bool writable = false;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string first, second;
    words >> first >> second;
    if (const auto dash = first.find('-'); dash != std::string::npos) {
      current = {std::strtoull(first.c_str(), nullptr, 16),
                 std::strtoull(first.c_str() + dash + 1, nullptr, 16)};
      writable = second.starts_with("rw");
    } else if (first == "Rss:" && second != "0" && writable) {
      if (current.end - current.begin > largest_range) {
        return base::fail(base::ErrorCode::exhausted, "has too much memory to search", path);
      }
      ranges.push_back(current);
    }
  }
  if (!ranges.empty()) return ranges;
  return base::fail(base::ErrorCode::permission_denied, "cannot be read", path);
}

// True: found. Chunks overlap, so that no occurrence is cut in two.
base::Result<bool> search_range(int memory, const Range& range, std::string_view text) {
  std::vector<char> chunk(chunk_size + text.size());
  for (std::uint64_t at = range.begin; at < range.end;) {
    const std::size_t wanted = std::min<std::uint64_t>(chunk.size(), range.end - at);
    const ssize_t got = pread(memory, chunk.data(), wanted, static_cast<off_t>(at));
    if (got <= 0) {
      return base::fail(base::ErrorCode::unavailable, "cannot be read", "the process's memory",
                        std::strerror(errno));
    }
    const auto size = static_cast<std::size_t>(got);
    if (std::string_view(chunk.data(), size).find(text) != std::string_view::npos) return true;
    at += size;
    if (at < range.end && size > text.size()) at -= text.size();
  }
  return false;
}

}  // namespace

base::Result<MemorySearch> search_memory(pid_t pid, std::string_view text) {
  const std::string process = "/proc/" + std::to_string(pid);
  const auto ranges = writable_ranges(process + "/smaps");
  if (!ranges) return tl::unexpected(ranges.error());
  const io::Fd memory(open((process + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  if (!memory.valid()) {
    return base::fail(base::ErrorCode::permission_denied, "cannot be read", process + "/mem",
                      std::strerror(errno));
  }
  MemorySearch result;
  for (const Range& range : *ranges) {
    const auto found = search_range(memory.get(), range, text);
    if (!found) return tl::unexpected(found.error());
    result.found = result.found || *found;
    result.octets += range.end - range.begin;
  }
  return result;
}

}  // namespace ztna::tool
