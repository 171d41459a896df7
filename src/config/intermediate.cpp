#include "config/roles.hpp"
#include "config/values.hpp"

namespace ztna::config {
namespace {

const Program intermediate_program{
    "intermediate-server", "introduces Agents and Connectors to each other and relays for them.",
    "  intermediate-server --cert-dir /etc/ztna/intermediate --policy /etc/ztna/policy.toml\n"
    "  intermediate-server --cert-dir certs --policy policy.toml --listen 0.0.0.0:4433 "
    "--health 0.0.0.0:9090\n"};

base::Result<base::Address> parse_listen(const std::string& text) {
  return parse_address(text, true);
}

void add_rows(Table& table, IntermediateOptions& options) {
  table.group("Network");
  table.list<base::Address>("listen", "ADDR:PORT", options.listen, parse_listen,
                            "UDP address for uplinks and STUN.");
  table.list<base::Address>("alt-listen", "ADDR:PORT", options.alt_listen, parse_listen,
                            "Further UDP address that answers STUN, so that nodes can tell what "
                            "kind of NAT they are behind; another IP and port is best.");
  table.choice<bool>("relay", options.relay, {{"on", true}, {"off", false}},
                     "With off, sessions are introduced but no traffic of users is relayed.");
  table.octets(
      "quic-lb-server-id", options.quic_lb_server_id,
      "Behind a load balancer that reads QUIC connection ids: the 8 octets by which it knows "
      "this machine, another one for each.");
  table.group("Limits");
  table.number<std::uint32_t>("max-uplinks", options.max_uplinks, 1, 10'000'000,
                              "Connected nodes at most; more are refused.");
  table.number<std::uint32_t>("max-uplinks-per-identity", options.max_uplinks_per_identity, 1,
                              10'000'000,
                              "Connected nodes with one certificate name at most: instances of a "
                              "service, or of somebody's Agent.");
  table.number<std::uint32_t>("max-sessions-per-uplink", options.max_sessions_per_uplink, 1,
                              1'000'000, "Relayed sessions of one node at most.");
  table.number<std::uint32_t>("retry-threshold", options.retry_threshold, 0, 10'000'000,
                              "With more unproven handshakes than this, newcomers must prove their "
                              "address first (QUIC Retry); 0 asks always.");
}

struct IntermediateRows {
  IntermediateOptions options;
  std::string directory;
  Table table;  // writes into the above

  IntermediateRows() {
    add_rows(table, options);
    add_identity(table, directory, options.common.identity, false);
    add_policy(table, options.policy);
    add_operations(table, options.common);
  }
  IntermediateRows(const IntermediateRows&) = delete;
  IntermediateRows& operator=(const IntermediateRows&) = delete;
  ~IntermediateRows() = default;
};

}  // namespace

IntermediateOptions::IntermediateOptions() {
  listen.push_back(base::Address::v6({}, 4433));
  common.health = base::Address::v4({127, 0, 0, 1}, 9090);
}

base::Result<Parsed<IntermediateOptions>> parse_intermediate(const Inputs& inputs,
                                                             std::string_view version) {
  IntermediateRows rows;
  IntermediateOptions& options = rows.options;
  auto merged = merge(rows.table, intermediate_program, inputs, version);
  if (!merged) return tl::unexpected(printable(merged.error()));
  if (merged->print) return printed<IntermediateOptions>(*merged->print);
  auto gaps =
      resolve({"intermediate", inputs, rows.directory, options.common, &options.policy}, *merged);
  return finish(rows.table, inputs, std::move(*merged), std::move(gaps), std::move(options), {});
}

std::vector<std::string> intermediate_variables() { return variables_of(IntermediateRows().table); }

}  // namespace ztna::config
