#include "tool/policy_command.hpp"

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "tool/policy_check.hpp"

namespace ztna::tool {

void add_policy_command(CLI::App& root, Context& context) {
  CLI::App* const policy = root.add_subcommand("policy", "Work with policy files.");
  policy->require_subcommand(1);
  CLI::App* const check =
      policy->add_subcommand("check",
                             "Validate a policy file; with names, say what it decides and by which "
                             "rule. Exits with 0 when "
                             "allowed (or valid), 1 when denied, 2 when something is wrong.");
  check->footer(
      "Example:\n"
      "  ztna policy check policy.toml\n"
      "  ztna policy check --policy policy.toml --agent alice --service web --connector home-1");
  auto options = std::make_shared<CheckOptions>();
  check->add_option("--policy,policy", options->policy, "the policy file")
      ->required()
      ->type_name("FILE");
  CLI::Option* const service = check->add_option("--service", options->service, "a service's name");
  CLI::Option* const agent =
      check->add_option("--agent", options->agent, "may this Agent reach the service?");
  CLI::Option* const connector = check->add_option(
      "--connector", options->connector, "may this Connector serve it, if its certificate does?");
  agent->needs(service);
  connector->needs(service);
  check->add_flag("--json", options->json, "for programs");
  check->callback([options, service, agent, connector, &context] {
    if (service->count() != 0 && agent->count() + connector->count() == 0) {
      throw CLI::RequiredError("with --service, --agent or --connector");
    }
    const base::Result<bool> allowed = check_policy(*options, context);
    if (!allowed) context.err << "ztna policy check: " << allowed.error().message() << "\n";
    context.exit_code = !allowed ? 2 : *allowed ? 0 : 1;
  });
}

}  // namespace ztna::tool
