#include "tool/quality_command.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <fstream>
#include <memory>
#include <ostream>

#include "io/loop.hpp"
#include "tool/agent_control_option.hpp"
#include "tool/control.hpp"
#include "tool/interrupt.hpp"
#include "tool/quality_run.hpp"
#include "tool/quality_view.hpp"

namespace ztna::tool {
namespace {

using base::ErrorCode;

struct QualityOptions {
  std::string service, control, svg, at_least;
  unsigned seconds = 10, rate = 50, size = 100;
  bool watch = false, json = false;
};

base::Status measure(const QualityOptions& options, const std::string& socket, Quality& quality,
                     Context& context) {
  const Interruptible guard;
  unsigned rounds = 0;
  QualityWorld world;
  world.ask = [&](const std::string& target) {
    return ask_agent(socket, "GET", target, "do that");
  };
  world.now = [] { return io::Loop::now(); };
  world.pause = [](base::Duration time) {
    Interruptible::pause(std::chrono::steady_clock::now() + time);
  };
  world.enough = [&] {
    const bool all = !options.watch && rounds++ == options.seconds;
    return all || Interruptible::interrupted() || !context.out;
  };
  world.on_round = [&](unsigned second, const QualityRound& round) {
    if (options.json) return;
    context.err << second << " s  "
                << (round.failure.empty() ? quality_line(round.samples)
                                          : "no answer: " + round.failure)
                << "\n"
                << std::flush;
  };
  return measure_quality(world, quality);
}

base::Status run(const QualityOptions& options, Context& context) {
  const auto wanted = options.at_least.empty() ? Grade::poor : parse_grade(options.at_least);
  if (!wanted) {
    return base::fail(ErrorCode::invalid_argument, "expected excellent, good or acceptable",
                      "--at-least");
  }
  const auto socket = control_socket(options.control, "agent");
  if (!socket) return tl::unexpected(socket.error());
  Quality quality{options.service, {}, options.rate, options.size, {}};
  const auto measured = measure(options, *socket, quality, context);
  if (quality.samples.empty()) {
    if (!measured) return measured;
    context.exit_code = 1;
    return {};
  }
  context.out << (options.json ? quality_json(quality) : quality_text(quality));
  if (!options.svg.empty()) {
    std::ofstream file(options.svg);
    file << quality_svg(quality);
    if (!file.flush()) {
      return base::fail(ErrorCode::permission_denied, "cannot be written", options.svg);
    }
  }
  if (figures_of(quality.samples).grade() > *wanted) context.exit_code = 1;
  return measured;
}

constexpr const char* quality_footer =
    "Datagrams go through the Agent's session to a Connector that serves the service, which sends\n"
    "each back if its policy lets this Agent in; the service itself is not asked. Lost ones are\n"
    "lost: nothing repeats them. Ping is the median round trip, jitter the mean difference of one\n"
    "round trip to the next. The grade is that of the worst of the three:\n"
    "\n"
    "  Excellent   ping <  40 ms   jitter <  5 ms   no loss\n"
    "  Good        ping <  80 ms   jitter < 15 ms   loss < 1 %\n"
    "  Acceptable  ping < 150 ms   jitter < 30 ms   loss < 3 %\n"
    "\n"
    "Exit code: 0 if something came back; with --at-least, if the grade is that or better; else "
    "1.\n"
    "\n"
    "Examples:\n"
    "  ztna quality quake\n"
    "  ztna quality quake --watch --svg quake.svg\n"
    "  ztna quality quake --seconds 60 --at-least good --json > quake.json";

}  // namespace

void add_quality_command(CLI::App& root, Context& context) {
  CLI::App* const command = root.add_subcommand(
      "quality", "Measure ping, jitter and loss of the way to a service, and grade it.");
  auto options = std::make_shared<QualityOptions>();
  command->add_option("service", options->service, "the service's name")
      ->required()
      ->type_name("SERVICE");
  command->add_option("--seconds", options->seconds, "measure for so long")
      ->type_name("N")
      ->check(CLI::Range(1U, 86400U))
      ->default_str("10");
  command->add_option("--rate", options->rate, "datagrams a second")
      ->type_name("N")
      ->check(CLI::Range(1U, 500U))
      ->default_str("50");
  command->add_option("--size", options->size, "octets of each")
      ->type_name("OCTETS")
      ->check(CLI::Range(8U, 1400U))
      ->default_str("100");
  command->add_flag("--watch", options->watch, "go on until Ctrl-C");
  command->add_flag("--json", options->json, "for programs: one object, with every datagram");
  command->add_option("--svg", options->svg, "also draw it: round trips over time, moves marked")
      ->type_name("FILE");
  command
      ->add_option("--at-least", options->at_least,
                   "exit code 1 where the grade is worse: excellent, good or acceptable")
      ->type_name("GRADE");
  add_agent_control_option(*command, options->control);
  command->footer(quality_footer);
  command->callback(
      [options, &context] { conclude(context, "ztna quality", run(*options, context)); });
}

}  // namespace ztna::tool
