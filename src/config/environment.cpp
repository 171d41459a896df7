#include <algorithm>

#include "config/roles.hpp"
#include "config/sources.hpp"
#include "config/values.hpp"

namespace ztna::config {
namespace {

using base::ErrorCode;
using base::fail;

std::string place(std::string_view variable) {
  return "environment variable " + std::string(variable);
}

// Null when the variable is not set or empty: orchestrators set empty ones for "nothing".
const std::string* value_of(const Environment& environment, std::string_view name) {
  const auto found = environment.find(name);
  return found == environment.end() || found->second.empty() ? nullptr : &found->second;
}

std::vector<Given> split(const Option& option, std::string_view variable, std::string_view text) {
  std::vector<Given> items;
  if (option.kind != Kind::list) return {{std::string(text), place(variable)}};
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t comma = std::min(text.find(',', start), text.size());
    items.push_back({std::string(trimmed(text.substr(start, comma - start))), place(variable)});
    start = comma + 1;
  }
  return items;
}

// The variables an option listens to, strongest first.
std::vector<std::string> own_variables(const Option& option) {
  std::vector<std::string> names{environment_name(option.name)};
  for (const std::string& alias : option.aliases) names.push_back(environment_name(alias));
  return names;
}

// Read by every program, besides its options.
const std::vector<std::string>& common_variables() {
  static const std::vector<std::string> names{"ZTNA_CONFIG", "ZTNA_RUNTIME_DIR", "ZTNA_AEAD"};
  return names;
}

void warn_of_slips(const Table& table, const Environment& environment,
                   std::vector<std::string>& warnings) {
  std::vector<std::string> known = common_variables();
  for (const Option& option : table.rows()) {
    const auto names = own_variables(option);
    known.insert(known.end(), names.begin(), names.end());
  }
  for (const auto& [name, value] : environment) {
    // Others may share the prefix (another daemon's options, a Kubernetes service called "ztna"),
    // so only what is a letter or two away from ours is worth a word.
    if (!name.starts_with("ZTNA_") || std::ranges::find(known, name) != known.end()) continue;
    if (is_service_link(value)) continue;
    const std::string meant = suggest(name, known);
    if (!meant.empty()) {
      warnings.push_back(place(name) + ": is not read by this program, did you mean " + meant +
                         "?");
    }
  }
}

// INTERMEDIATE_HOST and INTERMEDIATE_PORT together are one --intermediate. Kubernetes puts a URL
// into INTERMEDIATE_PORT wherever a service is called "intermediate"; that one means nothing to us.
base::Status take_intermediate_host(const Environment& environment, Values& values,
                                    std::vector<std::string>& warnings) {
  const std::string* host = value_of(environment, "INTERMEDIATE_HOST");
  const std::string* port = value_of(environment, "INTERMEDIATE_PORT");
  if (port != nullptr && is_service_link(*port)) {
    warnings.push_back(place("INTERMEDIATE_PORT") + ": " + in_quotes(*port) +
                       " looks like a Kubernetes service link, ignored");
    port = nullptr;
  }
  if (host == nullptr || values.contains("intermediate")) return {};
  if (port != nullptr) {
    if (const auto number = parse_number(*port, 1, 65535); !number) {
      return fail(ErrorCode::invalid_argument, number.error().what, place("INTERMEDIATE_PORT"));
    }
  }
  const auto address = base::Address::parse_ip(*host, 0);
  std::string text = address && !address->is_v4() ? "[" + *host + "]" : *host;
  if (port != nullptr) text += ":" + *port;
  values["intermediate"] = {{text, place("INTERMEDIATE_HOST")}};
  return {};
}

}  // namespace

base::Result<Values> read_environment(const Table& table, const Environment& environment,
                                      std::vector<std::string>& warnings) {
  Values values;
  for (const Option& option : table.rows()) {
    std::string first;
    const auto take = [&](const std::string& name) -> base::Status {
      const std::string* text = value_of(environment, name);
      if (text == nullptr) return {};
      if (option.kind == Kind::number && is_service_link(*text)) {
        warnings.push_back(place(name) + ": " + in_quotes(*text) +
                           " looks like a Kubernetes service link, ignored");
        return {};
      }
      if (!first.empty()) {
        return fail(ErrorCode::invalid_argument,
                    "is the same option as " + first + ", set one of them", place(name));
      }
      first = name;
      values.emplace(option.name, split(option, name, *text));
      return {};
    };
    for (const std::string& name : own_variables(option)) {
      if (const auto status = take(name); !status) return tl::unexpected(status.error());
    }
    for (const std::string& name : option.environment_aliases) {
      if (!first.empty()) break;
      if (const auto status = take(name); !status) return tl::unexpected(status.error());
    }
  }
  if (table.find("intermediate") != nullptr) {
    if (const auto status = take_intermediate_host(environment, values, warnings); !status) {
      return tl::unexpected(status.error());
    }
  }
  warn_of_slips(table, environment, warnings);
  return values;
}

std::vector<std::string> variables_of(const Table& table) {
  std::vector<std::string> names;
  for (const Option& option : table.rows()) {
    const auto own = own_variables(option);
    names.insert(names.end(), own.begin(), own.end());
    names.insert(names.end(), option.environment_aliases.begin(), option.environment_aliases.end());
  }
  return names;
}

std::vector<std::string> known_variables() {
  std::vector<std::string> names = common_variables();
  names.insert(names.end(), {"INTERMEDIATE_HOST", "INTERMEDIATE_PORT"});
  for (const auto& of_role : {intermediate_variables(), connector_variables(), agent_variables()}) {
    names.insert(names.end(), of_role.begin(), of_role.end());
  }
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  return names;
}

}  // namespace ztna::config
