#include "tool/command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <ostream>
#include <utility>
#include <vector>

#include "config/values.hpp"
#include "logging/format.hpp"
#include "quic/aead.hpp"
#include "tool/ca_command.hpp"
#include "tool/doctor_command.hpp"
#include "tool/lab_command.hpp"
#include "tool/netcheck_command.hpp"
#include "tool/ping_command.hpp"
#include "tool/policy_command.hpp"
#include "tool/prove_command.hpp"
#include "tool/quality_command.hpp"
#include "tool/quickstart_command.hpp"
#include "tool/quickstart_page.hpp"
#include "tool/relay_command.hpp"
#include "tool/status_command.hpp"
#include "tool/validate_command.hpp"

namespace ztna::tool {
namespace {

constexpr const char* examples =
    "Examples:\n"
    "  ztna quickstart                                 see all of it work on this machine\n"
    "  ztna lab run home-to-home                       and behind real NATs (as root)\n"
    "  ztna ca init --trust-domain example.org --out ca\n"
    "  ztna ca issue --ca-dir ca --role agent --name alice --out alice\n"
    "  ztna policy check --policy policy.toml --agent alice --service web\n"
    "  ztna status --watch                             what this machine's daemons are doing\n"
    "  ztna prove web                                  which path its traffic takes, with proof\n"
    "  ztna quality quake                              ping, jitter and loss, and a grade\n"
    "  ztna netcheck --intermediate relay.example.org  what this network allows\n"
    "  ztna doctor --env /etc/ztna/agent.env           what is wrong here, and what to do\n"
    "  ztna validate --env deploy/env/home.env         is the whole deployment what it should be\n"
    "\n"
    "Each command explains itself: ztna COMMAND --help. The daemons are intermediate-server,\n"
    "app-connector and ztna-agent.";

// The command that the arguments had reached.
const CLI::App& reached(const CLI::App& root) {
  const CLI::App* at = &root;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return *at;
}

// "ztna ca issue"
std::string path_of(const CLI::App& command) {
  const CLI::App* const parent = command.get_parent();
  return (parent == nullptr ? "" : path_of(*parent) + " ") + command.get_name();
}

// What `unknown` may have meant: a command that stands here, or an option.
std::string suggestion(const CLI::App& command, const std::string& unknown) {
  std::vector<std::string> known;
  if (unknown.starts_with('-')) {
    for (const CLI::Option* option : command.get_options()) known.push_back(option->get_name());
  } else {
    for (const CLI::App* each : command.get_subcommands({})) {
      if (!each->get_group().empty()) known.push_back(each->get_name());
    }
  }
  const std::string meant = config::suggest(unknown.substr(0, unknown.find('=')), known);
  return meant.empty() ? "" : ", did you mean \"" + meant + "\"?";
}

void add_commands(CLI::App& root, Context& context) {
  add_quickstart_command(root, context);
  add_lab_command(root, context);
  add_status_command(root, context);
  add_ping_command(root, context);
  add_prove_command(root, context);
  add_quality_command(root, context);
  add_relay_command(root, context);
  add_netcheck_command(root, context);
  add_doctor_command(root, context);
  add_validate_command(root, context);
  add_ca_command(root, context);
  add_policy_command(root, context);
  add_serve_page_command(root, context);
  static constexpr std::array<std::pair<const char*, const char*>, 12> groups = {
      {{"quickstart", "Begin"},
       {"lab", "Begin"},
       {"doctor", "Begin"},
       {"validate", "Begin"},
       {"status", "Running daemons"},
       {"ping", "Running daemons"},
       {"prove", "Running daemons"},
       {"quality", "Running daemons"},
       {"relay", "Running daemons"},
       {"netcheck", "Networks"},
       {"ca", "Identity and policy"},
       {"policy", "Identity and policy"}}};
  for (const auto& [name, group] : groups) root.get_subcommand(name)->group(group);
}

}  // namespace

int run_command_line(const std::vector<std::string>& arguments, Context& context) {
  CLI::App root("Zero-trust access to private services.", "ztna");
  root.set_version_flag("--version", [] {
    return "ztna " ZTNA_VERSION " (AEAD: " + std::string(quic::selected_aead().name()) + ")";
  });
  root.require_subcommand(1);
  root.footer(examples);
  add_commands(root, context);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
    root.parse(std::move(reversed));
  } catch (const CLI::Success& asked) {  // --help, --version
    return root.exit(asked, context.out, context.err);
  } catch (const CLI::ParseError& error) {
    std::string what = error.what();
    const std::vector<std::string> unknown = root.remaining(true);
    const CLI::App& command = reached(root);
    if (!unknown.empty()) {
      what = "\"" + unknown.front() + "\" is not known here" + suggestion(command, unknown.front());
    }
    std::ranges::replace(what, '\n', ' ');
    const std::string path = path_of(command);
    context.err << path << ": " << logging::escaped(what) << " (see " << path << " --help)\n";
    return 2;
  }
  return context.exit_code;
}

}  // namespace ztna::tool
