#include "tool/quickstart_command.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <ostream>

#include "config/values.hpp"
#include "tool/quickstart.hpp"

namespace ztna::tool {
namespace {

struct Arguments {
  QuickstartOptions options;
  std::vector<std::string> expose;
};

base::Result<std::vector<config::Service>> parse_services(const std::vector<std::string>& texts) {
  std::vector<config::Service> services;
  for (const std::string& text : texts) {
    auto service = config::parse_service(text);
    if (!service) {
      return base::fail(base::ErrorCode::invalid_argument, service.error().what, "--expose");
    }
    if (std::ranges::find(services, service->name, &config::Service::name) != services.end()) {
      return base::fail(base::ErrorCode::invalid_argument,
                        config::in_quotes(service->name) + " is given twice", "--expose");
    }
    services.push_back(std::move(*service));
  }
  return services;
}

void run(Arguments& arguments, Context& context) {
  auto services = parse_services(arguments.expose);
  if (!services) {
    context.err << "ztna quickstart: " << config::one_line(services.error().message()) << "\n";
    context.exit_code = 2;
    return;
  }
  QuickstartOptions& options = arguments.options;
  options.expose = std::move(*services);
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  options.self = self.string();
  options.programs = self.parent_path().string();
  context.exit_code = run_quickstart(options, context);
}

}  // namespace

void add_quickstart_command(CLI::App& root, Context& context) {
  CLI::App* const command = root.add_subcommand("quickstart",
                                                "See it work: an Intermediate, a Connector before "
                                                "a private page (or your own service) and an "
                                                "Agent, as real processes on this machine.");
  auto arguments = std::make_shared<Arguments>();
  command->add_flag("--once", arguments->options.once,
                    "reach the service, report and end: 0 when it worked, else 1");
  command
      ->add_option("--expose", arguments->expose,
                   "your own service instead of the page, as web=tcp://127.0.0.1:3000; may be "
                   "repeated")
      ->type_name("NAME=URL");
  command
      ->add_option("--dir", arguments->options.dir,
                   "keep certificates, policy and logs in this new or empty folder")
      ->type_name("DIR");
  command->add_flag("--json", arguments->options.json,
                    "the report as one JSON object; progress goes to standard error");
  command->footer(
      "Example:\n"
      "  ztna quickstart\n"
      "  ztna quickstart --expose web=tcp://127.0.0.1:3000");
  command->callback([arguments, &context] { run(*arguments, context); });
}

}  // namespace ztna::tool
