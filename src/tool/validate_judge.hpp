// Which criteria of a deployment are met, by what an Agent's machine can see. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tool/validate_facts.hpp"

namespace ztna::tool {

enum class Standing : std::uint8_t {
  met,
  not_met,
  open,  // cannot be told from here, or not on this network; `todo` says what would tell
};
[[nodiscard]] std::string_view to_string(Standing standing);  // "met", "not met", "open"

struct Criterion {
  std::string part;  // "Relay", "Hole punching", "Game"
  std::string text;  // what is to be true
  Standing standing = Standing::open;
  std::string evidence;
  std::string todo;  // empty: nothing
};

// All of them, in a fixed order, whatever was seen.
[[nodiscard]] std::vector<Criterion> judge_deployment(const ValidateFacts& facts);

}  // namespace ztna::tool
