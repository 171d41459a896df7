// Patterns over names: '*' stands for any characters, none included. Nothing else is special.
#pragma once

#include <string_view>

namespace ztna::policy {

// 1 to 63 of [a-z0-9-*].
[[nodiscard]] bool is_valid_glob(std::string_view pattern);

// Takes time proportional to the product of the lengths at worst.
[[nodiscard]] bool glob_matches(std::string_view pattern, std::string_view name);

}  // namespace ztna::policy
