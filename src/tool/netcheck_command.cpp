#include "tool/netcheck_command.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>
#include <ostream>

#include "logging/format.hpp"
#include "tool/control.hpp"
#include "tool/netcheck_run.hpp"
#include "tool/netcheck_view.hpp"
#include "tool/record_file.hpp"
#include "tool/status_json.hpp"

namespace ztna::tool {
namespace {

using base::ErrorCode;

struct NetcheckOptions {
  std::vector<std::string> intermediates;
  bool json = false;
  unsigned lifetime_seconds = 0;
  std::string record, name, router;
};

constexpr std::uint16_t default_port = 4433;
constexpr unsigned default_lifetime = 180;

// Of the Agent or the Connector that runs on this machine.
std::optional<Json> status_here() {
  for (const char* const role : {"agent", "connector"}) {
    const auto socket = default_control_socket(role);
    if (!socket) continue;
    ControlRequest request;
    request.socket = *socket;
    const auto answer = ask_daemon(request);
    const auto status = answer ? parse_status(*answer) : tl::unexpected(answer.error());
    if (status && !list(*status, "uplinks").empty()) return *status;
  }
  return std::nullopt;
}

base::Result<std::vector<std::string>> configured_intermediates() {
  if (const auto status = status_here()) {
    std::vector<std::string> found;
    for (const Json& uplink : list(*status, "uplinks")) {
      found.push_back(text(uplink, "intermediate"));
    }
    return found;
  }
  return base::fail(ErrorCode::invalid_argument,
                    "no daemon here says which Intermediate to ask; give one",
                    "--intermediate HOST:PORT");
}

base::Result<std::vector<base::HostPort>> parse_hosts(const std::vector<std::string>& texts) {
  std::vector<base::HostPort> hosts;
  for (const std::string& text : texts) {
    auto host = base::parse_host_port(text, default_port);
    if (!host) {
      return base::fail(ErrorCode::invalid_argument, host.error().message(), "--intermediate");
    }
    hosts.push_back(std::move(*host));
  }
  return hosts;
}

// What to do when nothing answered.
std::string advice(const NetcheckResult& result) {
  if (!result.unknown_hosts.empty() && result.v4.servers.empty() && result.v6.servers.empty()) {
    return "no address is known for " + result.unknown_hosts.front() +
           "; check the name and this machine's resolver";
  }
  return "no Intermediate answers UDP; check that it runs and listens on that port, that firewalls "
         "between here and there let UDP pass, and that its own lets UDP in. Without UDP there is "
         "no service either";
}

base::Status run(const NetcheckOptions& options, Context& context) {
  auto texts = options.intermediates;
  if (texts.empty()) {
    auto configured = configured_intermediates();
    if (!configured) return tl::unexpected(configured.error());
    texts = std::move(*configured);
  }
  const auto hosts = parse_hosts(texts);
  if (!hosts) return tl::unexpected(hosts.error());
  NetcheckRequest request;
  request.intermediates = *hosts;
  request.longest_lifetime = std::chrono::seconds(options.lifetime_seconds);
  request.on_progress = [&](const std::string& line) { context.err << line << std::endl; };
  const auto result = run_netcheck(request, context.random);
  if (!result) return tl::unexpected(result.error());
  for (const std::string& host : result->unknown_hosts) {
    context.err << "ztna netcheck: no address is known for " << logging::escaped(host) << "\n";
  }
  if (!options.json) context.err << "\n" << std::flush;
  context.out << (options.json ? netcheck_json(*result) : netcheck_text(*result)) << std::flush;
  if (!options.record.empty()) {
    NetcheckRecord record{options.name, options.router, context.now};
    if (const auto status = status_here()) {
      const auto& sessions = list(*status, "sessions");
      record.sessions = sessions.size();
      record.direct_sessions = static_cast<std::size_t>(std::ranges::count_if(
          sessions, [](const Json& session) { return text(session, "path") == "DIRECT"; }));
    }
    const auto done =
        append_section(options.record, "NAT classification", netcheck_record(*result, record));
    if (!done) return done;
    context.err << "appended to " << logging::escaped(options.record) << "\n";
  }
  if (!result->udp()) return base::fail(ErrorCode::unavailable, advice(*result));
  return {};
}

constexpr const char* netcheck_footer =
    "Direct paths need UDP, and two NATs of which one at least lets the other in. This asks an\n"
    "Intermediate, by STUN (RFC 5780), which address it sees of this machine, from several of its\n"
    "addresses and ports, and says what to expect. It needs no certificate and no root, and takes\n"
    "about 6 s, because to be sure of silence takes 3 s.\n"
    "\n"
    "  mapping     endpoint-independent: one public port for all peers, which can be told to them\n"
    "              address- or port-dependent: another port for each peer (\"symmetric\"); nobody\n"
    "              can know it in advance\n"
    "  filtering   who may answer to that port: anyone, an address that was sent to, or that\n"
    "              address and port alone\n"
    "\n"
    "An Intermediate with a second port (--alt-listen) is needed to tell most of it, one with a\n"
    "second IP, or a second Intermediate, to tell all. Exit code: 0 UDP works, 1 it does not, 2\n"
    "wrong usage.\n"
    "\n"
    "Examples:\n"
    "  ztna netcheck\n"
    "  ztna netcheck --intermediate relay.example.org:4433\n"
    "  ztna netcheck --record nat-classification.md --name \"Home\" --router \"Netgear R7000\"";

}  // namespace

void add_netcheck_command(CLI::App& root, Context& context) {
  CLI::App* const command = root.add_subcommand(
      "netcheck", "Find out what this network does to UDP, and where to expect direct paths.");
  auto options = std::make_shared<NetcheckOptions>();
  command
      ->add_option("--intermediate", options->intermediates,
                   "an Intermediate to ask, or any STUN server; may be repeated; without it, those "
                   "of the Agent or Connector that runs here; port 4433 unless given")
      ->type_name("HOST:PORT")
      ->allow_extra_args(false);
  command->add_flag("--json", options->json, "for programs: one object");
  command
      ->add_option("--binding-lifetime", options->lifetime_seconds,
                   "also measure how long the NAT remembers a silent mapping, trying up to this "
                   "long; takes as long as the answer, 180 s without a number")
      ->type_name("SECONDS")
      ->expected(0, 1)
      ->default_str(std::to_string(default_lifetime))
      ->check(CLI::Range(2U, 600U));
  command
      ->add_option("--record", options->record,
                   "append the result, as a section of Markdown, to this file")
      ->type_name("FILE");
  command->add_option("--name", options->name, "the network's name in the record")
      ->type_name("TEXT");
  command->add_option("--router", options->router, "the router's make and model in the record")
      ->type_name("TEXT");
  command->footer(netcheck_footer);
  command->callback(
      [options, &context] { conclude(context, "ztna netcheck", run(*options, context)); });
}

}  // namespace ztna::tool
