// Internal to src/tool: reads members of a daemon's JSON, which may miss or be of another type.
// The only header here that includes nlohmann-json.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace ztna::tool {

using Json = nlohmann::ordered_json;

// An object, or an error that says so.
[[nodiscard]] base::Result<Json> parse_status(std::string_view document);

// The member, or null.
[[nodiscard]] const Json& member(const Json& object, std::string_view key);
// Its elements; none when it is no array.
[[nodiscard]] const Json& list(const Json& object, std::string_view key);
// As one harmless line for a terminal; `otherwise` when it is missing, empty or not a scalar.
[[nodiscard]] std::string scalar_text(const Json& value, std::string_view otherwise);
[[nodiscard]] std::string text(const Json& object, std::string_view key,
                               std::string_view otherwise = "-");
[[nodiscard]] std::optional<double> number(const Json& object, std::string_view key);
[[nodiscard]] std::uint64_t count(const Json& object, std::string_view key);  // 0 when missing
[[nodiscard]] bool flag(const Json& object, std::string_view key);

}  // namespace ztna::tool
