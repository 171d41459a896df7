#include "config/merge.hpp"

#include "config/values.hpp"

namespace ztna::config {
namespace {

base::Result<Values> read_values(const Table& table, const Inputs& inputs, const std::string& path,
                                 const std::string& where) {
  if (path.empty()) return Values{};
  const auto text = inputs.read_file(path);
  if (!text) {
    return base::fail(base::ErrorCode::invalid_argument, text.error().message(), where);
  }
  return read_toml(table, path, *text);
}

base::Status apply(const Table& table, Merged& merged) {
  for (const Option& option : table.rows()) {
    const Setting& setting = merged.settings[option.name];
    if (setting.source == Source::initial) continue;
    if (option.clear) option.clear();
    for (const Given& given : setting.values) {
      if (auto status = option.set(given.text); !status) {
        base::Error error = std::move(status.error());
        error.where = given.where;
        return tl::unexpected(std::move(error));
      }
    }
  }
  return {};
}

}  // namespace

std::string_view to_string(Source source) {
  switch (source) {
    case Source::initial: return "default";
    case Source::file: return "file";
    case Source::environment: return "environment";
    case Source::flag: return "flag";
  }
  return "unknown";
}

std::vector<std::string> names_of(const Table& table) {
  std::vector<std::string> names;
  for (const Option& option : table.rows()) {
    names.push_back(option.name);
    names.insert(names.end(), option.aliases.begin(), option.aliases.end());
  }
  return names;
}

std::string with_suggestion(std::string text, std::string_view wrong,
                            const std::vector<std::string>& candidates, std::string_view prefix) {
  const std::string meant = suggest(wrong, candidates);
  if (!meant.empty()) text += ", did you mean \"" + std::string(prefix) + meant + "\"?";
  return text;
}

bool Merged::has(std::string_view option) const {
  const auto found = settings.find(option);
  return found != settings.end() && found->second.source != Source::initial;
}

std::string Merged::where(std::string_view option) const {
  const auto found = settings.find(option);
  if (found == settings.end() || found->second.values.empty()) return "--" + std::string(option);
  return found->second.values.front().where;
}

base::Result<Merged> merge(const Table& table, const Program& program, const Inputs& inputs,
                           std::string_view version) {
  Merged merged;
  auto flags = read_flags(table, inputs.arguments);
  if (!flags) return tl::unexpected(flags.error());
  if (flags->help) merged.print = help_text(table, program);
  if (flags->version) merged.print = std::string(version) + "\n";
  if (merged.print) return merged;
  merged.print_config = flags->print_config;
  merged.json = flags->json;
  if (merged.json && !merged.print_config) {
    return base::fail(base::ErrorCode::invalid_argument, "only goes with --print-config", "--json");
  }

  merged.config_file = flags->config_file;
  std::string file_where = "--config";
  const auto variable = inputs.environment.find("ZTNA_CONFIG");
  if (merged.config_file.empty() && variable != inputs.environment.end()) {
    merged.config_file = variable->second;
    file_where = "environment variable ZTNA_CONFIG";
  }
  auto file = read_values(table, inputs, merged.config_file, file_where);
  if (!file) return tl::unexpected(file.error());
  auto environment = read_environment(table, inputs.environment, merged.warnings);
  if (!environment) return tl::unexpected(environment.error());

  for (const Option& option : table.rows()) {
    Setting& setting = merged.settings[option.name];
    for (const auto& [source, values] :
         {std::pair{Source::flag, &flags->values}, std::pair{Source::environment, &*environment},
          std::pair{Source::file, &*file}}) {
      if (const auto found = values->find(option.name); found != values->end()) {
        setting = {source, found->second};
        break;
      }
    }
    if (setting.source != Source::initial) continue;
    for (const std::string& text : option.initial) {
      setting.values.push_back({text, "--" + option.name});
    }
  }
  if (const auto status = apply(table, merged); !status) return tl::unexpected(status.error());
  return merged;
}

}  // namespace ztna::config
