#include "tool/doctor_command.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>

#include "logging/format.hpp"
#include "tool/doctor_gather.hpp"
#include "tool/doctor_judge.hpp"
#include "tool/doctor_view.hpp"

namespace ztna::tool {
namespace {

struct DoctorOptions {
  DoctorRequest request;
  std::string role;
  bool json = false;
};

base::Status run(DoctorOptions& options, Context& context) {
  DoctorRequest& request = options.request;
  request.role = identity::parse_role(options.role);
  request.version = ZTNA_VERSION;
  request.on_progress = [&](const std::string& line) {
    context.err << "==> " << logging::escaped(line) << std::endl;
  };
  const auto facts = gather(request, context.random, context.now);
  if (!facts) return tl::unexpected(facts.error());
  const std::vector<Finding> findings = judge(*facts);
  context.out << (options.json ? findings_json(findings) : findings_text(findings)) << std::flush;
  const bool wrong = std::ranges::any_of(
      findings, [](const Finding& finding) { return finding.verdict == Verdict::problem; });
  context.exit_code = wrong ? 1 : 0;
  return {};
}

constexpr const char* doctor_footer =
    "Looks, changes nothing, and ends within 10 s. It reads the variables that the daemons read,\n"
    "such as INTERMEDIATE_HOST, INTERMEDIATE_PORT, SERVICE_ID, LOCAL_ADDR, P2P_PORT, CERT_DIR and\n"
    "ZTNA_*, from the file and from the environment; the file's count more, and flags most. What\n"
    "nobody names is taken from the daemon that runs here. The checks:\n"
    "\n"
    "  env          the file: lines, names, placeholders such as <cloud-ip>\n"
    "  config       what is missing in it, or no value\n"
    "  dns, udp     the Intermediate's name; does it answer from here, and is there a NAT between\n"
    "  udp-alt      its second port, 4435 unless it says otherwise, for ztna netcheck\n"
    "  clock        against the certificates, and whether NTP keeps it\n"
    "  certificate, key, trust, names\n"
    "               files, dates, role, the key's certificate, the CA, a Connector's services\n"
    "  policy       does it allow this node something?\n"
    "  p2p-port, listen\n"
    "               can the daemon's UDP ports be bound, or does it hold them?\n"
    "  daemon, version, uplink, service\n"
    "               does it run, is it ready, and why not\n"
    "\n"
    "Exit code: 0 all right (warnings allowed), 1 something is wrong, 2 wrong usage.\n"
    "\n"
    "Examples:\n"
    "  ztna doctor\n"
    "  ztna doctor --env deploy/env/home.env --role connector\n"
    "  ztna doctor --intermediate relay.example.org --cert-dir ~/.config/ztna --json";

}  // namespace

void add_doctor_command(CLI::App& root, Context& context) {
  CLI::App* const command = root.add_subcommand(
      "doctor", "Say what is right on this machine, what is wrong, and what to do about it.");
  auto options = std::make_shared<DoctorOptions>();
  DoctorRequest& request = options->request;
  command->add_option("--env", request.env_file, "NAME=VALUE lines, as the daemon gets them")
      ->type_name("FILE");
  command
      ->add_option("--role", options->role,
                   "whose machine this is: agent, connector or intermediate; without it, the "
                   "certificate's, or that of the daemon that runs here")
      ->type_name("ROLE")
      ->check(CLI::IsMember({"agent", "connector", "intermediate"}));
  command
      ->add_option("--intermediate", request.intermediates,
                   "instead of the environment's; may be repeated; port 4433 unless given")
      ->type_name("HOST[:PORT]")
      ->allow_extra_args(false);
  command
      ->add_option("--cert-dir", request.cert_dir, "folder with cert.pem, key.pem and ca-cert.pem")
      ->type_name("DIR");
  command
      ->add_option("--policy", request.policy,
                   "the policy; without it, policy.toml beside the certificate")
      ->type_name("FILE");
  command
      ->add_option("--control", request.control,
                   "the daemon's control socket, instead of this machine's usual one; off: it is "
                   "not asked")
      ->type_name("SOCKET|off");
  command->add_flag("--json", options->json, "for programs: [{check, status, text, todo}]");
  command->footer(doctor_footer);
  command->callback([options, &context] {
    const auto done = run(*options, context);
    if (done) return;
    context.err << "ztna doctor: " << logging::escaped(done.error().message()) << "\n";
    context.exit_code = 2;
  });
}

}  // namespace ztna::tool
