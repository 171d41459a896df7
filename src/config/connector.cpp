#include "config/roles.hpp"
#include "config/values.hpp"

namespace ztna::config {
namespace {

const Program connector_program{
    "app-connector", "offers private services to the Agents that the policy allows.",
    "  app-connector --intermediate relay.example.org --cert-dir /etc/ztna/connector \\\n"
    "                --service web=tcp://127.0.0.1:8080 --service quake=udp://127.0.0.1:27960\n"
    "  app-connector --intermediate relay.example.org --p2p-cert cert.pem --p2p-key key.pem \\\n"
    "                --service-id web --local-addr 127.0.0.1:8080\n"};

base::Result<Service> parse_one_service(const std::string& text) { return parse_service(text); }

base::Result<base::Address> parse_advertised(const std::string& text) {
  return parse_address(text, false);
}

// The plan's way to name one service.
struct SingleService {
  std::string name;
  std::string backend;
};

void add_services(Table& table, ConnectorOptions& options, SingleService& single) {
  table.group("Services");
  table.list<Service>("service", "NAME=tcp|udp://HOST:PORT", options.services, parse_one_service,
                      "A service and its backend. Before it is offered, a tcp backend must accept "
                      "a connection; append ?health=none to offer it unseen. Host names are "
                      "resolved anew for each flow.");
  table.text("service-id", "NAME", single.name, "With --local-addr: one tcp service.")
      .variable("SERVICE_ID");
  table.text("local-addr", "HOST:PORT", single.backend, "The backend of --service-id.")
      .variable("LOCAL_ADDR");
  table.number<std::uint32_t>("max-flows", options.max_flows, 1, 1'000'000,
                              "Live flows at most, all services together; more are refused. "
                              "One Agent may hold a quarter of them.");
  table.duration("connect-timeout", options.connect_timeout, std::chrono::milliseconds(100),
                 std::chrono::minutes(2), "How long a backend may take to accept a connection.");
}

void add_paths(Table& table, ConnectorOptions& options) {
  table.group("Paths");
  table
      .number<std::uint16_t>("p2p-listen-port", options.p2p_listen_port, 0, 65535,
                             "UDP port that everything leaves from; 0 takes any free one.")
      .variable("P2P_PORT");
  add_listen_address(table, options.p2p_listen_address);
  table.list<base::Address>("p2p-advertise", "ADDR:PORT", options.p2p_advertise, parse_advertised,
                            "Where Agents reach that port from outside: a port forward, NodePort "
                            "or load balancer. Agents try it besides what is found out by itself. "
                            "May be given several times.");
  table.toggle(
      "no-p2p", options.no_p2p,
      "Never try a direct path: sessions stay on the relay. For networks that frown on it, and "
      "for comparisons.");
}

// SERVICE_ID and LOCAL_ADDR may come with a shared environment file, so one alone is no mistake of
// this program.
base::Status add_single_service(const SingleService& single, ConnectorOptions& options,
                                Merged& merged) {
  if (single.name.empty() && single.backend.empty()) return {};
  const auto incomplete = [&](const char* given, const char* other) {
    return base::fail(base::ErrorCode::invalid_argument,
                      "needs " + std::string(other) + " as well, expected both or --service",
                      merged.where(given));
  };
  if (single.backend.empty() || single.name.empty()) {
    const bool named = !single.name.empty();
    const char* const given = named ? "service-id" : "local-addr";
    const char* const other = named ? "--local-addr" : "--service-id";
    const std::string shared =
        std::string("environment variable ") + (named ? "SERVICE_ID" : "LOCAL_ADDR");
    if (merged.where(given) != shared || options.services.empty()) return incomplete(given, other);
    merged.warnings.push_back(shared + ": ignored, " + other + " is not given and --service is");
    return {};
  }
  const auto service = parse_service(single.name + "=tcp://" + single.backend);
  if (!service) {
    const bool bad_name = !parse_service(single.name + "=tcp://localhost:1");
    return base::fail(base::ErrorCode::invalid_argument, service.error().what,
                      merged.where(bad_name ? "service-id" : "local-addr"));
  }
  options.services.push_back(*service);
  return {};
}

struct ConnectorRows {
  ConnectorOptions options;
  std::string directory;
  SingleService single;
  Table table;  // writes into the above

  ConnectorRows() {
    add_intermediates(table, options.intermediates);
    add_services(table, options, single);
    add_identity(table, directory, options.common.identity, true);
    add_policy(table, options.policy);
    add_paths(table, options);
    add_operations(table, options.common);
  }
  ConnectorRows(const ConnectorRows&) = delete;
  ConnectorRows& operator=(const ConnectorRows&) = delete;
  ~ConnectorRows() = default;
};

}  // namespace

ConnectorOptions::ConnectorOptions() { common.health = base::Address::v4({127, 0, 0, 1}, 9091); }

base::Result<Parsed<ConnectorOptions>> parse_connector(const Inputs& inputs,
                                                       std::string_view version) {
  ConnectorRows rows;
  ConnectorOptions& options = rows.options;
  auto merged = merge(rows.table, connector_program, inputs, version);
  if (!merged) return tl::unexpected(printable(merged.error()));
  if (merged->print) return printed<ConnectorOptions>(*merged->print);
  const auto single = add_single_service(rows.single, options, *merged);
  auto gaps =
      resolve({"connector", inputs, rows.directory, options.common, &options.policy}, *merged);
  if (!single) gaps.insert(gaps.begin(), single.error());
  return finish(rows.table, inputs, std::move(*merged), std::move(gaps), std::move(options), {});
}

std::vector<std::string> connector_variables() { return variables_of(ConnectorRows().table); }

}  // namespace ztna::config
