// Looks for a text in the memory of another process of this user.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>

#include "base/result.hpp"

namespace ztna::tool {

struct MemorySearch {
  bool found = false;
  std::uint64_t octets = 0;  // how much was read
};

// Reads all private memory that the process can write (heap, stacks, data) and that is resident.
// An error when any of it cannot be read: then nothing may be said about what is in there.
[[nodiscard]] base::Result<MemorySearch> search_memory(pid_t pid, std::string_view text);

}  // namespace ztna::tool
