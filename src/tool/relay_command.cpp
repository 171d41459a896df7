#include "tool/relay_command.hpp"

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "logging/format.hpp"
#include "tool/control.hpp"
#include "tool/status_view.hpp"

namespace ztna::tool {
namespace {

struct RelayOptions {
  std::string control;
  bool json = false;
};

base::Status run_relay(const RelayOptions& options, const std::string& action, Context& context) {
  ControlRequest request;
  request.target = "/v1/relay";
  const auto socket = control_socket(options.control, "intermediate");
  if (!socket) return tl::unexpected(socket.error());
  request.socket = *socket;
  if (action != "show") {
    request.method = "POST";
    request.body = action == "on" ? R"({"on":true})" : R"({"on":false})";
  }
  auto answer = ask_daemon(request);
  if (!answer) {
    base::Error error = answer.error();
    if (error.code == base::ErrorCode::not_found) error.what = "this daemon is no Intermediate";
    return tl::unexpected(std::move(error));
  }
  const auto text = options.json ? base::Result<std::string>(*answer) : relay_text(*answer);
  if (!text) return tl::unexpected(text.error());
  context.out << *text;
  return {};
}

void add_action(CLI::App& relay, const std::string& name, const std::string& description,
                Context& context) {
  CLI::App* const command = relay.add_subcommand(name, description);
  auto options = std::make_shared<RelayOptions>();
  command
      ->add_option("--control", options->control,
                   "the Intermediate's control socket, instead of this machine's usual one")
      ->type_name("SOCKET");
  command->add_flag("--json", options->json, "for programs");
  command->footer("Example:\n  ztna relay " + name);
  command->callback([options, name, &context] {
    const auto done = run_relay(*options, name, context);
    if (done) return;
    context.err << "ztna relay " << name << ": " << logging::escaped(done.error().message())
                << "\n";
    context.exit_code = 1;
  });
}

}  // namespace

void add_relay_command(CLI::App& root, Context& context) {
  CLI::App* const relay =
      root.add_subcommand("relay", "Switch relaying at an Intermediate on or off, or show it.");
  relay->require_subcommand(1);
  relay->footer("Example:\n  ztna relay off --control /run/ztna/intermediate.sock");
  add_action(*relay, "on", "Relay the traffic of sessions again.", context);
  add_action(
      *relay, "off",
      "Relay no traffic of users: sessions are still introduced. Without a direct path new flows "
      "end with that reason, and those that have begun stand still.",
      context);
  add_action(*relay, "show", "Say whether it is on.", context);
}

}  // namespace ztna::tool
