#include "tool/command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>
#include <utility>

#include "tool/ca_command.hpp"
#include "tool/policy_command.hpp"

namespace ztna::tool {
namespace {

// "ztna ca issue": the command that the arguments had reached.
std::string reached(const CLI::App& root) {
  std::string path = root.get_name();
  const CLI::App* at = &root;
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    path += " " + at->get_name();
  }
  return path;
}

}  // namespace

int run_command_line(const std::vector<std::string>& arguments, Context& context) {
  CLI::App root("Zero-trust access to private services.", "ztna");
  root.set_version_flag("--version", "ztna " ZTNA_VERSION);
  root.require_subcommand(1);
  add_ca_command(root, context);
  add_policy_command(root, context);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
    root.parse(std::move(reversed));
  } catch (const CLI::Success& asked) {  // --help, --version
    return root.exit(asked, context.out, context.err);
  } catch (const CLI::ParseError& error) {
    std::string what = error.what();
    const std::vector<std::string> unknown = root.remaining(true);
    if (!unknown.empty()) what = "\"" + unknown.front() + "\" is not known here";
    std::ranges::replace(what, '\n', ' ');
    const std::string command = reached(root);
    context.err << command << ": " << what << " (see " << command << " --help)\n";
    return 2;
  }
  return context.exit_code;
}

}  // namespace ztna::tool
