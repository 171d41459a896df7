#include "tool/status_json.hpp"

#include <algorithm>

#include "logging/format.hpp"

namespace ztna::tool {

base::Result<Json> parse_status(std::string_view document) {
  Json json = Json::parse(document, nullptr, false);
  if (json.is_object()) return json;
  return base::fail(base::ErrorCode::protocol, "the daemon's answer is not a JSON object");
}

const Json& member(const Json& object, std::string_view key) {
  static const Json none;
  if (!object.is_object()) return none;
  const auto found = object.find(key);
  return found == object.end() ? none : *found;
}

const Json& list(const Json& object, std::string_view key) {
  static const Json none = Json::array();
  const Json& found = member(object, key);
  return found.is_array() ? found : none;
}

std::string scalar_text(const Json& value, std::string_view otherwise) {
  std::string shown;
  if (value.is_string()) {
    shown = value.get<std::string>();
  } else if (value.is_primitive() && !value.is_null()) {
    shown = value.dump();
  }
  return shown.empty() ? std::string(otherwise) : logging::escaped(shown);
}

std::string text(const Json& object, std::string_view key, std::string_view otherwise) {
  return scalar_text(member(object, key), otherwise);
}

std::optional<double> number(const Json& object, std::string_view key) {
  const Json& found = member(object, key);
  if (!found.is_number()) return std::nullopt;
  return found.get<double>();
}

std::uint64_t count(const Json& object, std::string_view key) {
  const auto value = number(object, key);
  constexpr double most = 1e18;  // beyond any counter, within the integer
  if (!value || !(*value > 0)) return 0;
  return static_cast<std::uint64_t>(std::min(*value, most));
}

bool flag(const Json& object, std::string_view key) {
  const Json& found = member(object, key);
  return found.is_boolean() && found.get<bool>();
}

}  // namespace ztna::tool
