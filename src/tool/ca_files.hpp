// Files of the `ztna` commands: read whole, written whole or not at all.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.hpp"

namespace ztna::tool {

// At most 1 MiB: what we read are certificates and policies.
[[nodiscard]] base::Result<std::string> read_file(const std::string& path);

struct NewFile {
  std::string name;  // inside the folder
  std::string text;
  mode_t mode = 0644;
};

inline constexpr mode_t private_mode = 0600;

enum class Existing { refuse, replace };

// Writes the files into `folder`, made (0700) when it is missing. Each appears under its name with
// all of its octets, on disk, and never with a wider mode than its own. With Existing::refuse, a
// file that exists is an error, and then none of them is written.
[[nodiscard]] base::Status write_files(const std::string& folder, const std::vector<NewFile>& files,
                                       Existing existing);

// Replaces an existing file's octets in one step; mode and, where allowed, owner stay.
[[nodiscard]] base::Status replace_file(const std::string& path, const std::string& text);

}  // namespace ztna::tool
