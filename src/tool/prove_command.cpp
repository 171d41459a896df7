#include "tool/prove_command.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <iterator>
#include <memory>
#include <ostream>
#include <thread>

#include "identity/signed_text.hpp"
#include "io/loop.hpp"
#include "logging/format.hpp"
#include "proof/judge.hpp"
#include "tool/agent_control_option.hpp"
#include "tool/ca_files.hpp"
#include "tool/control.hpp"
#include "tool/prove_run.hpp"
#include "tool/prove_view.hpp"

namespace ztna::tool {
namespace {

using base::ErrorCode;

struct ProveOptions {
  std::string service, control, verify, ca;
  std::uint64_t packets = 20;
  bool json = false;
};

base::Status show(const ProveOptions& options, const proof::Report& report,
                  const identity::Roots* roots, const std::string& checked_by, Context& context) {
  const auto verdict = proof::judge(report, roots);
  if (!verdict) return tl::unexpected(verdict.error());
  context.out << (options.json ? proof::to_json(report, proof_json(*verdict))
                               : proof_text(report, *verdict, checked_by));
  if (!verdict->proven()) context.exit_code = 1;
  return {};
}

base::Status prove(const ProveOptions& options, Context& context) {
  const auto socket = control_socket(options.control, "agent");
  if (!socket) return tl::unexpected(socket.error());
  ProveWorld world;
  world.ask = [&](const std::string& method, const std::string& target) {
    return ask_agent(*socket, method, target, "prove");
  };
  world.now = [] { return io::Loop::now(); };
  world.pause = [](base::Duration time) { std::this_thread::sleep_for(time); };
  world.progress = [&](const std::string& line) { context.err << "==> " << line << "\n"; };
  const ProvePlan plan{options.service, make_proof_nonce(context.random), options.packets};
  const auto report = run_prove(world, plan);
  if (!report) return tl::unexpected(report.error());
  for (const std::string& failure : report->failures) {
    context.err << "ztna prove: " << logging::escaped(failure) << "\n";
    if (failure.find("default deny") != std::string::npos) {
      context.err
          << "            (the policy of Intermediate and Connector needs a [[prove]] block "
             "with this Agent and service)\n";
    }
  }
  if (report->snapshots.empty()) {
    context.exit_code = 1;
    return {};
  }
  return show(options, *report, nullptr, "checked by the Agent against its live connections",
              context);
}

base::Status verify(const ProveOptions& options, Context& context) {
  const auto text = read_file(options.verify);
  if (!text) return tl::unexpected(text.error());
  const auto pem = read_file(options.ca);
  if (!pem) return tl::unexpected(pem.error());
  const auto roots = identity::Roots::load(*pem, options.ca);
  if (!roots) return tl::unexpected(roots.error());
  const auto report = proof::parse_report(*text);
  if (!report) {
    base::Error error = report.error();
    error.where = options.verify;
    return tl::unexpected(std::move(error));
  }
  return show(options, *report, &*roots, "checked by the CA in " + options.ca, context);
}

base::Status run(const ProveOptions& options, Context& context) {
  const bool verifies = !options.verify.empty();
  if (verifies != options.service.empty() || verifies == options.ca.empty()) {
    return base::fail(ErrorCode::invalid_argument,
                      "expected a SERVICE, or --verify FILE and --ca FILE");
  }
  return verifies ? verify(options, context) : prove(options, context);
}

constexpr const char* prove_footer =
    "Four tests on the live session with a Connector that serves SERVICE:\n"
    "  1  the direct path is selected at both ends\n"
    "  2  packets go directly: both ends count them, the Intermediate relays none\n"
    "  3  with relaying suspended for this session, traffic goes on\n"
    "  4  with direct packets dropped by both ends, traffic goes on over the relay, and returns\n"
    "\n"
    "Agent, Connector and Intermediate each sign what they themselves saw. A suspension is a lease "
    "of\n"
    "10 s at most on this session alone; tests 3 and 4 need a [[prove]] block in the policy that\n"
    "names this Agent and the service. It takes some ten seconds.\n"
    "\n"
    "Exit code: 0 if all four passed, 1 if not, 2 for wrong usage or a file that is no report.\n"
    "\n"
    "Examples:\n"
    "  ztna prove web\n"
    "  ztna prove web --json > report.json\n"
    "  ztna prove --verify report.json --ca ca-cert.pem";

}  // namespace

void add_prove_command(CLI::App& root, Context& context) {
  CLI::App* const command =
      root.add_subcommand("prove", "Prove which path a session's traffic takes.");
  auto options = std::make_shared<ProveOptions>();
  command->add_option("service", options->service, "the service's name")->type_name("SERVICE");
  command->add_option("--packets", options->packets, "questions to ask in each test")
      ->type_name("N")
      ->check(CLI::Range(10, 1000))
      ->default_str("20");
  command->add_flag("--json", options->json, "the report, for --verify and for programs");
  command->add_option("--verify", options->verify, "check a report instead of making one")
      ->type_name("FILE");
  command->add_option("--ca", options->ca, "with --verify: the CA whose certificates count (PEM)")
      ->type_name("FILE");
  add_agent_control_option(*command, options->control);
  command->footer(prove_footer);
  command->callback(
      [options, &context] { conclude(context, "ztna prove", run(*options, context)); });
}

}  // namespace ztna::tool
