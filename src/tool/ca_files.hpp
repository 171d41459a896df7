// Files of the `ztna` commands: read whole, written whole or not at all.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.hpp"

namespace ztna::tool {

// What certificates and policies need, and what the index of a CA grows to: 250,000 certificates.
inline constexpr std::size_t max_file = std::size_t{1} << 20;
inline constexpr std::size_t max_index = std::size_t{64} << 20;
[[nodiscard]] base::Result<std::string> read_file(const std::string& path,
                                                  std::size_t limit = max_file);

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
