// Files of Markdown to which commands append what they found, a section each time.
#pragma once

#include <fstream>
#include <string>

#include "base/result.hpp"

namespace ztna::tool {

// A file that is new or empty begins with `title`. Errors: it cannot be written.
[[nodiscard]] inline base::Status append_section(const std::string& path, const std::string& title,
                                                 const std::string& section) {
  const bool begins = std::ifstream(path).peek() == std::ifstream::traits_type::eof();
  std::ofstream file(path, std::ios::app);
  file << (begins ? "# " + title + "\n" : "") << section << std::flush;
  if (file) return {};
  return base::fail(base::ErrorCode::permission_denied, "cannot be written", path);
}

}  // namespace ztna::tool
