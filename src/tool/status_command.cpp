#include "tool/status_command.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <memory>
#include <ostream>
#include <thread>

#include "logging/format.hpp"
#include "tool/control.hpp"
#include "tool/status_view.hpp"

namespace ztna::tool {
namespace {

struct StatusOptions {
  std::vector<std::string> control;  // empty: this machine's
  bool json = false;
  bool watch = false;
};

constexpr auto watch_interval = std::chrono::seconds(1);

void say(const base::Error& error, Context& context) {
  context.err << "ztna status: " << logging::escaped(error.message()) << "\n";
  context.exit_code = 1;
}

// The sockets to ask. Of the usual ones those that exist: few machines run all three roles.
base::Result<std::vector<std::string>> sockets(const StatusOptions& options) {
  if (!options.control.empty()) return options.control;
  std::vector<std::string> found;
  std::string missing;
  for (const char* const role : {"intermediate", "connector", "agent"}) {
    auto socket = default_control_socket(role);
    if (socket) {
      found.push_back(std::move(*socket));
    } else {
      missing += (missing.empty() ? "" : "; ") + socket.error().message();
    }
  }
  if (found.empty()) return base::fail(base::ErrorCode::not_found, missing);
  return found;
}

void show_once(const StatusOptions& options, Context& context) {
  const auto asked = sockets(options);
  if (!asked) return say(asked.error(), context);
  bool first = true;
  for (const std::string& socket : *asked) {
    ControlRequest request;
    request.socket = socket;
    const auto answer = ask_daemon(request);
    const auto shown = !answer        ? base::Result<std::string>(tl::unexpected(answer.error()))
                       : options.json ? status_line(*answer)
                                      : status_text(*answer);
    if (!shown) {
      base::Error error = shown.error();
      if (error.where.empty()) error.where = socket;
      say(error, context);
      continue;
    }
    if (!first && !options.json) context.out << "\n";
    context.out << *shown;
    first = false;
  }
  context.out << std::flush;
}

// Until the process is interrupted or nobody reads on.
void watch(const StatusOptions& options, Context& context) {
  const bool redraw = !options.json && isatty(STDOUT_FILENO) != 0;
  for (bool first = true; context.out; first = false) {
    if (!first) std::this_thread::sleep_for(watch_interval);
    if (redraw) {
      context.out << "\033[H\033[2J";  // cursor home, clear
    } else if (!first && !options.json) {
      context.out << "\n";
    }
    context.exit_code = 0;
    show_once(options, context);
  }
}

}  // namespace

void add_status_command(CLI::App& root, Context& context) {
  CLI::App* const command = root.add_subcommand(
      "status", "Show this machine's daemons: uplinks, sessions and their paths, services, flows.");
  auto options = std::make_shared<StatusOptions>();
  command
      ->add_option("--control", options->control,
                   "a daemon's control socket, instead of all of this machine's usual ones; may be "
                   "repeated")
      ->type_name("SOCKET");
  command->add_flag("--json", options->json, "for programs: one object a line and daemon");
  command->add_flag("--watch", options->watch, "again each second, until Ctrl-C");
  command->footer(
      "Example:\n"
      "  ztna status --watch\n"
      "  ztna status --control /run/ztna/agent.sock --json");
  command->callback([options, &context] {
    if (options->watch) {
      watch(*options, context);
    } else {
      show_once(*options, context);
    }
  });
}

}  // namespace ztna::tool
