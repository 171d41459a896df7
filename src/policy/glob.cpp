#include "policy/glob.hpp"

#include <algorithm>

namespace ztna::policy {

bool is_valid_glob(std::string_view pattern) {
  return !pattern.empty() && pattern.size() <= 63 && std::ranges::all_of(pattern, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '*';
  });
}

bool glob_matches(std::string_view pattern, std::string_view name) {
  // On a mismatch only the last star may take one more character: earlier ones cannot help.
  std::size_t at = 0, star = std::string_view::npos, star_took = 0;
  std::size_t i = 0;
  while (i < name.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      star_took = i;
    } else if (at < pattern.size() && pattern[at] == name[i]) {
      ++at;
      ++i;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      i = ++star_took;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

}  // namespace ztna::policy
