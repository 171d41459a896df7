#include <sstream>

#include "config/merge.hpp"

namespace ztna::config {
namespace {

constexpr std::size_t line_width = 88;
constexpr std::string_view indent = "        ";

void wrap(std::string& out, const std::string& text) {
  std::istringstream words(text);
  std::string line;
  for (std::string word; words >> word;) {
    if (!line.empty() && indent.size() + line.size() + 1 + word.size() > line_width) {
      out += std::string(indent) + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  if (!line.empty()) out += std::string(indent) + line + "\n";
}

std::string joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ", ") + item;
  return text;
}

std::string flags_of(const Option& option) {
  std::string text = "--" + option.name;
  for (const std::string& alias : option.aliases) text += ", --" + alias;
  if (!option.meta.empty()) text += " " + option.meta;
  if (option.kind == Kind::list) text += " …";
  return text;
}

// "[ZTNA_CERT_DIR or CERT_DIR; default 5s]"
std::string origins_of(const Option& option) {
  std::string text = "[" + environment_name(option.name);
  for (const std::string& name : option.environment_aliases) text += " or " + name;
  const std::string initial =
      option.initial_note.empty() ? joined(option.initial) : option.initial_note;
  if (!initial.empty() && option.kind != Kind::toggle) text += "; default " + initial;
  return text + "]";
}

}  // namespace

std::string help_text(const Table& table, const Program& program) {
  std::string out = program.name + ": " + program.summary + "\n\nUsage: " + program.name +
                    " [OPTION]…\n\n"
                    "Every option is a flag, an environment variable (in brackets; lists separated "
                    "by commas)\nand a key of the TOML file (the flag's name; lists as arrays). "
                    "Flag wins over environment,\nenvironment over file, file over default.\n";
  std::string group;
  for (const Option& option : table.rows()) {
    if (option.group != group) {
      group = option.group;
      out += "\n" + group + ":\n";
    }
    out += "  " + flags_of(option) + "\n";
    wrap(out, option.help);
    wrap(out, origins_of(option));
  }
  out += "\nOnly as flags:\n  --config FILE\n";
  wrap(out, "TOML file with any of the options above. Relative paths in it start at its folder.");
  wrap(out, "[ZTNA_CONFIG]");
  out += "  --print-config [--json]\n";
  wrap(out, "Print every option's effective value and where it comes from, and exit.");
  out += "  --version\n  -h, --help\n";
  return out + "\nExamples:\n" + program.examples;
}

}  // namespace ztna::config
