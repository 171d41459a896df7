#include "tool/ping_command.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <ostream>

#include "io/http_client.hpp"
#include "tool/agent_control_option.hpp"
#include "tool/control.hpp"
#include "tool/interrupt.hpp"
#include "tool/ping_view.hpp"

namespace ztna::tool {
namespace {

struct PingOptions {
  std::string service, control;
  std::uint64_t count = 0;  // 0: not given
  double interval_seconds = 1;
  bool until_direct = false, json = false;
};

// Without a count, --until-direct asks so often: longer than the first rounds of checks and their
// retries after 5 and 15 s take.
constexpr std::uint64_t until_direct_count = 45;

base::Result<PingAnswer> ask(const PingOptions& options, const std::string& socket,
                             std::uint64_t seq) {
  const auto answer =
      ask_agent(socket, "GET", "/v1/ping?service=" + io::url_encode(options.service), "ping");
  if (!answer) return tl::unexpected(answer.error());
  return read_ping(seq, *answer);
}

base::Status run(const PingOptions& options, Context& context) {
  const auto socket = control_socket(options.control, "agent");
  if (!socket) return tl::unexpected(socket.error());
  const std::uint64_t count = options.count != 0     ? options.count
                              : options.until_direct ? until_direct_count
                                                     : UINT64_MAX;
  const auto interval = std::chrono::duration_cast<std::chrono::steady_clock::duration>(
      std::chrono::duration<double>(options.interval_seconds));
  const Interruptible guard;
  PingTotals totals;
  bool direct = false, over = false;
  auto next = std::chrono::steady_clock::now();
  for (std::uint64_t seq = 1; seq <= count && !over && context.out; ++seq) {
    if (seq > 1) Interruptible::pause(next);
    if (Interruptible::interrupted()) break;
    next = std::chrono::steady_clock::now() + interval;
    const auto answer = ask(options, *socket, seq);
    if (!answer) return tl::unexpected(answer.error());
    totals.add(*answer);
    direct = direct || answer->direct;
    over = answer->final || (options.until_direct && direct);
    context.out << (options.json ? answer->json : answer->line) << "\n" << std::flush;
  }
  if (!options.json) context.err << totals.text() << "\n";
  if (options.until_direct ? !direct : totals.answered() == 0) context.exit_code = 1;
  return {};
}

constexpr const char* ping_footer =
    "Each question goes through the Agent's session to a Connector that serves the service, which\n"
    "answers if its policy lets this Agent in; the service itself is not asked. The line says by\n"
    "which path the answer came: RELAY (the Intermediate) or DIRECT (the Connector's address), "
    "and\n"
    "how long it took. A session is opened where there is none; that time does not count.\n"
    "\n"
    "Exit code: 0 if one answer came; with --until-direct, if one came by a direct path; else 1.\n"
    "\n"
    "Examples:\n"
    "  ztna ping web\n"
    "  ztna ping web --until-direct && echo direct\n"
    "  ztna ping web --count 10 --interval 0.2 --json";

}  // namespace

void add_ping_command(CLI::App& root, Context& context) {
  CLI::App* const command =
      root.add_subcommand("ping", "Measure round trips to a service, and see their path.");
  auto options = std::make_shared<PingOptions>();
  command->add_option("service", options->service, "the service's name")
      ->required()
      ->type_name("SERVICE");
  command
      ->add_option("--count", options->count,
                   "end after so many; else until Ctrl-C, or 45 with --until-direct")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command->add_option("--interval", options->interval_seconds, "seconds from one to the next")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.01, 3600.0))
      ->default_str("1");
  command->add_flag("--until-direct", options->until_direct,
                    "end with the first answer by a direct path");
  command->add_flag("--json", options->json, "for programs: one object a line");
  add_agent_control_option(*command, options->control);
  command->footer(ping_footer);
  command->callback(
      [options, &context] { conclude(context, "ztna ping", run(*options, context)); });
}

}  // namespace ztna::tool
