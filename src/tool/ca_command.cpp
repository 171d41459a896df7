#include "tool/ca_command.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <ostream>

#include "tool/ca_folder.hpp"

namespace ztna::tool {
namespace {

// An error whose `where` is a field of the command's input stands at the flag of that name.
void report(const base::Status& status, const CLI::App& command, Context& context) {
  if (status) return;
  base::Error error = status.error();
  constexpr std::array<std::string_view, 6> fields = {"name", "serve", "dns",
                                                      "ip",   "days",  "trust-domain"};
  if (std::ranges::find(fields, error.where) != fields.end()) error.where = "--" + error.where;
  context.err << "ztna ca " << command.get_name() << ": " << error.message() << "\n";
  context.exit_code = 2;
}

// Registers a command that fills an Options and then runs `action` on it.
template <class Options>
CLI::App* add_action(CLI::App& ca, const std::string& name, const std::string& description,
                     const std::string& example, const std::shared_ptr<Options>& options,
                     base::Status (*action)(const Options&, Context&), Context& context) {
  CLI::App* const command = ca.add_subcommand(name, description);
  command->footer("Example:\n  " + example);
  command->callback([command, options, action, &context] {
    report(action(*options, context), *command, context);
  });
  return command;
}

CLI::Option* add_role(CLI::App* command, identity::Role& role) {
  static const std::map<std::string, identity::Role> roles = {
      {"intermediate", identity::Role::intermediate},
      {"connector", identity::Role::connector},
      {"agent", identity::Role::agent}};
  return command
      ->add_option_function<std::string>(
          "--role", [&role](const std::string& text) { role = roles.at(text); },
          "intermediate, connector or agent")
      ->check(CLI::IsMember(roles))
      ->type_name("ROLE");
}

void add_name(CLI::App* command, std::string& name) {
  command->add_option("--name", name, "the node's name: 1 to 63 of a-z, 0-9 and -")->required();
}

void add_out(CLI::App* command, std::string& out, const std::string& what) {
  command->add_option("--out", out, what)->required()->type_name("DIR");
}

void add_ca_dir(CLI::App* command, std::string& ca_dir) {
  command->add_option("--ca-dir", ca_dir, "the CA's folder, made by ztna ca init")
      ->required()
      ->type_name("DIR");
}

void add_force(CLI::App* command, bool& force) {
  command->add_flag("--force", force, "overwrite files that exist");
}

void add_key_type(CLI::App* command, identity::KeyType& type) {
  command
      ->add_option_function<std::string>(
          "--key-type",
          [&type](const std::string& text) {
            type = text == "ed25519" ? identity::KeyType::ed25519 : identity::KeyType::ecdsa_p256;
          },
          "ecdsa-p256 (default) or ed25519")
      ->check(CLI::IsMember({"ecdsa-p256", "ed25519"}))
      ->type_name("TYPE");
}

void add_init(CLI::App& ca, Context& context) {
  auto options = std::make_shared<InitOptions>();
  CLI::App* const command =
      add_action(ca, "init", "Make a new certificate authority: its certificate, key and index.",
                 "ztna ca init --trust-domain example.org --out ca", options, init_ca, context);
  command
      ->add_option("--trust-domain", options->trust_domain,
                   "whose nodes it vouches for: dot-separated labels, like example.org")
      ->required();
  add_out(command, options->out, "the CA's folder");
  command->add_option("--days", options->days, "the CA's validity in days")->capture_default_str();
  add_key_type(command, options->key_type);
  add_force(command, options->force);
}

void add_request(CLI::App& ca, Context& context) {
  auto options = std::make_shared<RequestOptions>();
  CLI::App* const command =
      add_action(ca, "request", "Make a key here, and a signing request to take to the CA.",
                 "ztna ca request --trust-domain example.org --role agent --name alice --out alice",
                 options, request_certificate, context);
  command->add_option("--trust-domain", options->trust_domain, "the CA's trust domain")->required();
  add_role(command, options->role)->required();
  add_name(command, options->name);
  add_out(command, options->out, "where key.pem and request.csr go");
  add_key_type(command, options->key_type);
  add_force(command, options->force);
}

void add_issue(CLI::App& ca, Context& context) {
  auto options = std::make_shared<IssueOptions>();
  CLI::App* const command = add_action(
      ca, "issue", "Issue a node's certificate; the folder is a --cert-dir for its daemon.",
      "ztna ca issue --ca-dir ca --role connector --name home-1 --serve web quake --out home-1\n"
      "  ztna ca issue --ca-dir ca --role agent --name alice --csr alice/request.csr --out alice",
      options, issue_certificate, context);
  add_ca_dir(command, options->ca_dir);
  add_role(command, options->leaf.role)->required();
  add_name(command, options->leaf.name);
  command
      ->add_option("--serve", options->leaf.serve,
                   "connectors: services it may serve, or '*' for all")
      ->type_name("SERVICE")
      ->delimiter(',');
  command
      ->add_option("--dns", options->leaf.dns,
                   "intermediates: a host name by which nodes may dial it")
      ->type_name("HOST")
      ->delimiter(',');
  command
      ->add_option("--ip", options->leaf.ip,
                   "intermediates: an address, likewise; with neither, any host")
      ->type_name("ADDRESS")
      ->delimiter(',');
  command->add_option("--days", options->leaf.days, "validity in days")->capture_default_str();
  command
      ->add_option("--csr", options->csr,
                   "a signing request (ztna ca request): the key stays where it was made")
      ->type_name("FILE");
  add_key_type(command, options->key_type);
  add_out(command, options->out, "where cert.pem, key.pem and ca-cert.pem go");
  add_force(command, options->force);
}

void add_renew(CLI::App& ca, Context& context) {
  auto options = std::make_shared<RenewOptions>();
  CLI::App* const command = add_action(
      ca, "renew",
      "Replace cert.pem by one with the same key and names and a new validity. Sessions go on when "
      "the daemon reloads it (SIGHUP).",
      "ztna ca renew --ca-dir ca --role agent --name alice --out alice", options, renew_certificate,
      context);
  add_ca_dir(command, options->ca_dir);
  add_role(command, options->role)->required();
  add_name(command, options->name);
  command->add_option("--days", options->days, "validity in days")->capture_default_str();
  add_out(command, options->out, "the folder that holds the old cert.pem");
}

void add_revoke(CLI::App& ca, Context& context) {
  auto options = std::make_shared<RevokeOptions>();
  CLI::App* const command =
      add_action(ca, "revoke", "Revoke a node's key: adds [[revoke]] to the policy file.",
                 "ztna ca revoke --ca-dir ca --role agent --name alice --policy policy.toml",
                 options, revoke_certificate, context);
  add_ca_dir(command, options->ca_dir);
  CLI::Option* const role = add_role(command, options->role);
  CLI::Option* const name =
      command->add_option("--name", options->name, "all certificates of this node");
  CLI::Option* const serial = command->add_option("--serial", options->serial,
                                                  "the key of this certificate (ztna ca list)");
  name->needs(role);
  role->needs(name);
  serial->excludes(name)->excludes(role);
  command->add_option("--policy", options->policy, "the policy file of the daemons")
      ->required()
      ->type_name("FILE");
  command->parse_complete_callback([name, serial] {
    if (name->count() + serial->count() == 0) {
      throw CLI::RequiredError("either --role and --name, or --serial,");
    }
  });
}

void add_list(CLI::App& ca, Context& context) {
  struct Options {
    std::string ca_dir;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* const command = ca.add_subcommand("list", "List what this CA has issued.");
  command->footer("Example:\n  ztna ca list --ca-dir ca --json");
  add_ca_dir(command, options->ca_dir);
  command->add_flag("--json", options->json, "for programs");
  command->callback([command, options, &context] {
    report(list_certificates(options->ca_dir, options->json, context), *command, context);
  });
}

}  // namespace

void add_ca_command(CLI::App& root, Context& context) {
  CLI::App* const ca = root.add_subcommand(
      "ca", "Make and run a private certificate authority for the three kinds of nodes.");
  ca->require_subcommand(1);
  ca->footer(
      "Example:\n"
      "  ztna ca init  --trust-domain example.org --out ca\n"
      "  ztna ca issue --ca-dir ca --role intermediate --name relay --out relay\n"
      "  ztna ca issue --ca-dir ca --role connector --name home --serve web --out home\n"
      "  ztna ca issue --ca-dir ca --role agent --name alice --out alice");
  add_init(*ca, context);
  add_request(*ca, context);
  add_issue(*ca, context);
  add_list(*ca, context);
  add_renew(*ca, context);
  add_revoke(*ca, context);
}

}  // namespace ztna::tool
