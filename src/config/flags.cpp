// CLI11 splits the command line; what the values mean is decided by the table alone.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>

#include "config/sources.hpp"
#include "config/values.hpp"

namespace ztna::config {
namespace {

using base::ErrorCode;
using base::fail;

constexpr const char* meta_flags[] = {"help", "version", "print-config", "json"};

struct Spelling {
  const Option* option;
  std::string flag;  // with dashes
  CLI::Option* parsed;
};

bool looks_like_flag(std::string_view text) {
  return text.size() > 2 && text.starts_with("--") && text[2] != '=';
}

// CLI11 would take "--cert-dir --policy x" as a folder called "--policy", and a toggle's "=value"
// through its own table of words; both are looked at before it is asked.
base::Status check_arguments(const Table& table, const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!looks_like_flag(argument)) continue;
    const auto equals = argument.find('=');
    const std::string name = argument.substr(2, equals == std::string::npos ? equals : equals - 2);
    const Option* option = table.find(name);
    if (equals + 1 == argument.size() && option != nullptr) {
      const std::string form = option->kind == Kind::toggle ? "true or false" : option->meta;
      return fail(ErrorCode::invalid_argument, "is empty, expected " + form, "--" + name);
    }
    if (equals != std::string::npos) continue;
    const bool takes_value = option != nullptr ? option->kind != Kind::toggle : name == "config";
    if (!takes_value) continue;
    if (i + 1 == arguments.size() || looks_like_flag(arguments[i + 1])) {
      return fail(ErrorCode::invalid_argument,
                  "needs a value, expected " + (option != nullptr ? option->meta : "FILE"),
                  argument);
    }
    ++i;
  }
  return {};
}

std::vector<Spelling> register_options(CLI::App& app, const Table& table) {
  std::vector<Spelling> spellings;
  for (const Option& option : table.rows()) {
    std::vector<std::string> names{option.name};
    names.insert(names.end(), option.aliases.begin(), option.aliases.end());
    for (const std::string& name : names) {
      CLI::Option* parsed = nullptr;
      if (option.kind == Kind::toggle) {
        parsed = app.add_flag("--" + name);
      } else {
        parsed = app.add_option("--" + name)->expected(1)->allow_extra_args(false);
        parsed->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
      }
      spellings.push_back({&option, "--" + name, parsed});
    }
  }
  return spellings;
}

base::Result<Values> collect(const std::vector<Spelling>& spellings) {
  Values values;
  for (const Spelling& spelling : spellings) {
    if (spelling.parsed->count() == 0) continue;
    auto [at, fresh] = values.try_emplace(spelling.option->name);
    if (!fresh) {
      return fail(ErrorCode::invalid_argument,
                  "is the same option as --" + spelling.option->name + ", give one of them",
                  spelling.flag);
    }
    for (const std::string& text : spelling.parsed->results()) {
      at->second.push_back({text, spelling.flag});
    }
    // The last one counts, so that a flag can be appended to a fixed command line.
    if (spelling.option->kind != Kind::list) {
      at->second.erase(at->second.begin(), at->second.end() - 1);
    }
  }
  return values;
}

base::Error unknown(const Table& table, const std::string& argument) {
  if (!argument.starts_with('-') || argument == "-") {
    return {ErrorCode::invalid_argument,
            in_quotes(argument) + " is not expected here, every option starts with --",
            {},
            {}};
  }
  std::vector<std::string> known = names_of(table);
  for (const char* name : meta_flags) known.emplace_back(name);
  known.emplace_back("config");
  const std::string flag = argument.substr(0, argument.find('='));
  const std::string bare = flag.substr(std::min(flag.find_first_not_of('-'), flag.size()));
  return {ErrorCode::invalid_argument,
          with_suggestion("unknown flag " + in_quotes(flag), bare, known, "--") + " (see --help)",
          {},
          {}};
}

}  // namespace

base::Result<Flags> read_flags(const Table& table, const std::vector<std::string>& arguments) {
  if (const auto status = check_arguments(table, arguments); !status) {
    return tl::unexpected(status.error());
  }
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  Flags flags;
  app.add_flag("-h,--help", flags.help);
  app.add_flag("--version", flags.version);
  app.add_flag("--print-config", flags.print_config);
  app.add_flag("--json", flags.json);
  app.add_option("--config", flags.config_file)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  const auto spellings = register_options(app, table);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return fail(ErrorCode::invalid_argument, error.what());
  }
  if (const auto extras = app.remaining(); !extras.empty()) {
    return tl::unexpected(unknown(table, extras.front()));
  }
  auto values = collect(spellings);
  if (!values) return tl::unexpected(values.error());
  flags.values = std::move(*values);
  return flags;
}

}  // namespace ztna::config
