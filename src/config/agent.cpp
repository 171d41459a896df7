#include "config/roles.hpp"
#include "config/values.hpp"

namespace ztna::config {
namespace {

const Program agent_program{
    "ztna-agent", "brings private services to this machine.",
    "  ztna-agent --intermediate relay.example.org --cert-dir ~/.config/ztna \\\n"
    "             --forward tcp://127.0.0.1:8080=web --forward udp://127.0.0.1:27960=quake\n"
    "  ztna-agent --intermediate relay.example.org --cert-dir ~/.config/ztna --socks "
    "127.0.0.1:1080\n"};

base::Result<Forward> parse_one_forward(const std::string& text) { return parse_forward(text); }

void add_access(Table& table, AgentOptions& options) {
  table.group("Access");
  table.list<Forward>("forward", "tcp|udp://ADDR:PORT=NAME", options.forwards, parse_one_forward,
                      "Listen there and carry what arrives to the service; port 0 takes any free "
                      "one.");
  table.optional_address("socks", options.socks,
                         "SOCKS5 for programs: NAME.ztna or NAME reaches the service, nothing else "
                         "is reachable.");
  table.toggle("auto-forward", options.auto_forward,
               "Give every service this Agent may see an own loopback address, 127.96.x.y.");
  table.duration("udp-flow-idle", options.udp_flow_idle, std::chrono::seconds(1),
                 std::chrono::hours(24), "A UDP flow ends after this long without a packet.");
}

void add_paths(Table& table, AgentOptions& options) {
  table.group("Paths");
  table.number<std::uint16_t>("p2p-listen-port", options.p2p_listen_port, 0, 65535,
                              "UDP port that everything leaves from; 0 takes any free one.");
  add_listen_address(table, options.p2p_listen_address);
  table.toggle(
      "no-p2p", options.no_p2p,
      "Never try a direct path: sessions stay on the relay. For networks that frown on it, and "
      "for comparisons.");
  table.toggle(
      "direct-only", options.direct_only,
      "Flows take direct paths or none: a flow waits up to 10 s for one, and ends when it is "
      "lost. The relay still introduces the two ends.");
}

struct AgentRows {
  AgentOptions options;
  std::string directory;
  Table table;  // writes into the above

  AgentRows() {
    add_intermediates(table, options.intermediates);
    add_access(table, options);
    add_identity(table, directory, options.common.identity, true);
    add_paths(table, options);
    add_operations(table, options.common);
  }
  AgentRows(const AgentRows&) = delete;
  AgentRows& operator=(const AgentRows&) = delete;
  ~AgentRows() = default;
};

}  // namespace

AgentOptions::AgentOptions() { common.health = base::Address::v4({127, 0, 0, 1}, 9092); }

base::Result<Parsed<AgentOptions>> parse_agent(const Inputs& inputs, std::string_view version) {
  AgentRows rows;
  auto merged = merge(rows.table, agent_program, inputs, version);
  if (!merged) return tl::unexpected(printable(merged.error()));
  if (merged->print) return printed<AgentOptions>(*merged->print);
  auto gaps = resolve({"agent", inputs, rows.directory, rows.options.common, nullptr}, *merged);
  auto notes = cautions(rows.options);
  return finish(rows.table, inputs, std::move(*merged), std::move(gaps), std::move(rows.options),
                std::move(notes));
}

std::vector<std::string> agent_variables() { return variables_of(AgentRows().table); }

}  // namespace ztna::config
