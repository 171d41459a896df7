#include "tool/validate_command.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>

#include "logging/format.hpp"
#include "tool/agent_control_option.hpp"
#include "tool/record_file.hpp"
#include "tool/validate_gather.hpp"
#include "tool/validate_view.hpp"

namespace ztna::tool {
namespace {

struct ValidateOptions {
  ValidateRequest request;
  std::string record, name;
  bool json = false;
};

base::Status run(ValidateOptions& options, Context& context) {
  ValidateRequest& request = options.request;
  request.version = ZTNA_VERSION;
  request.on_progress = [&](const std::string& line) {
    context.err << "==> " << logging::escaped(line) << std::endl;
  };
  const auto facts = gather(request, context.random, context.now);
  if (!facts) return tl::unexpected(facts.error());
  const std::vector<Criterion> criteria = judge_deployment(*facts);
  context.out << (options.json ? criteria_json(criteria) : criteria_text(criteria)) << std::flush;
  context.exit_code = std::ranges::any_of(
      criteria, [](const Criterion& each) { return each.standing == Standing::not_met; });
  if (options.record.empty()) return {};
  const std::string name = options.name.empty() ? facts->service : options.name;
  return append_section(options.record, "Validation", criteria_record(criteria, name, context.now));
}

constexpr const char* validate_footer =
    "Start it where an Agent runs, when Intermediate, Connector and services are up. In about a\n"
    "minute it runs `ztna doctor`, `ztna netcheck`, `ztna prove`, a GET / of the service, a "
    "question\n"
    "to the game server and `ztna quality`, and says of each criterion of a deployment whether it "
    "is\n"
    "met, not met, or open: that a browser shows the game, nobody can tell from here.\n"
    "\n"
    "The proofs suspend a path for seconds, which the policy must allow by a [[prove]] block that\n"
    "names this Agent and the service. HTTP and the game are asked through the Agent's --forward, "
    "or\n"
    "the address that --auto-forward gave them.\n"
    "\n"
    "Exit code: 0 if nothing is unmet, 1 if something is, 2 for wrong usage.\n"
    "\n"
    "Examples:\n"
    "  ztna validate --env deploy/env/home.env\n"
    "  ztna validate --service web --game quake --json\n"
    "  ztna validate --env deploy/env/home.env --record validation.md --name \"Home, cable\"";

}  // namespace

void add_validate_command(CLI::App& root, Context& context) {
  CLI::App* const command = root.add_subcommand(
      "validate", "Check a whole deployment from an Agent's machine, and fill in the table.");
  auto options = std::make_shared<ValidateOptions>();
  ValidateRequest& request = options->request;
  command->add_option("--env", request.env_file, "NAME=VALUE lines, as the daemons get them")
      ->type_name("FILE");
  command->add_option("--service", request.service, "the HTTP service; without it, SERVICE_ID")
      ->type_name("NAME");
  command
      ->add_option("--game", request.game, "the game server; without it, GAME_SERVICE_ID, or none")
      ->type_name("NAME");
  command->add_option("--seconds", request.quality_seconds, "how long to measure quality")
      ->type_name("N")
      ->check(CLI::Range(1U, 3600U))
      ->default_str("10");
  command
      ->add_option("--record", options->record,
                   "append the result, as a section of Markdown, to this file")
      ->type_name("FILE");
  command->add_option("--name", options->name, "the deployment's name in the record")
      ->type_name("TEXT");
  command->add_flag("--json", options->json, "for programs: {criteria, met, not_met, open}");
  add_agent_control_option(*command, request.control);
  command->footer(validate_footer);
  command->callback([options, &context] {
    const auto done = run(*options, context);
    if (done) return;
    context.err << "ztna validate: " << logging::escaped(done.error().message()) << "\n";
    context.exit_code = 2;
  });
}

}  // namespace ztna::tool
