#include <algorithm>
#include <nlohmann/json.hpp>

#include "config/merge.hpp"

namespace ztna::config {
namespace {

using Json = nlohmann::ordered_json;

Json scalar(const Option& option, const std::string& text) {
  if (option.kind == Kind::number) return std::stoull(text);
  if (option.kind == Kind::toggle)
    return text == "true" || text == "1" || text == "yes" || text == "on";
  return text;
}

// Null for an option that has neither a value nor a default.
Json value_of(const Option& option, const Setting& setting) {
  if (option.kind == Kind::list) {
    Json list = Json::array();
    for (const Given& given : setting.values) list.push_back(given.text);
    return list;
  }
  if (setting.values.empty()) return nullptr;
  return scalar(option, setting.values.back().text);
}

// A JSON string, number, boolean or array of them is TOML as well.
std::string dumped(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string as_json(const Table& table, const Merged& merged) {
  Json root = Json::object();
  for (const Option& option : table.rows()) {
    const Setting& setting = merged.settings.at(option.name);
    Json& entry = root[option.name];
    entry["value"] = value_of(option, setting);
    entry["source"] = to_string(setting.source);
    if (setting.source != Source::initial)
      entry["where"] =
          setting.values.empty() ? std::string("empty list") : setting.values.front().where;
  }
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string as_toml(const Table& table, const Merged& merged) {
  std::string out;
  std::string group;
  for (const Option& option : table.rows()) {
    if (option.group != group) {
      out += (group.empty() ? "# " : "\n# ") + option.group + "\n";
      group = option.group;
    }
    const Setting& setting = merged.settings.at(option.name);
    const Json value = value_of(option, setting);
    if (value.is_null()) {
      out += "# " + option.name + " is not set\n";
      continue;
    }
    const std::string from = setting.source == Source::initial || setting.values.empty()
                                 ? std::string(to_string(setting.source))
                                 : setting.values.front().where;
    out += option.name + " = " + dumped(value) + "  # " + from + "\n";
  }
  return out;
}

}  // namespace

std::string config_text(const Table& table, const Merged& merged) {
  return merged.json ? as_json(table, merged) : as_toml(table, merged);
}

}  // namespace ztna::config
