#include "agent/shell_report.hpp"

#include <nlohmann/json.hpp>

#include "bridge/node_report.hpp"

namespace ztna::agent {
namespace {

using nlohmann::json;

std::int64_t seconds(base::Duration duration) { return duration / std::chrono::seconds(1); }

json services_report(const Catalog& catalog, const AutoForward* auto_forward) {
  json services = json::array();
  for (const auto& [name, service] : catalog.services()) {
    json instances = json::array();
    for (const Instance& instance : service.instances) {
      instances.push_back({{"connector", instance.connector}, {"healthy", instance.healthy}});
    }
    json entry{{"name", name},
               {"protocol", session::to_string(service.protocol)},
               {"port", service.port},
               {"instances", std::move(instances)}};
    const std::string own = auto_forward == nullptr ? "" : auto_forward->address_of(name);
    if (!own.empty()) entry["auto_forward"] = own;
    services.push_back(std::move(entry));
  }
  return services;
}

json flows_report(const Engine& engine, base::Time now) {
  json flows = json::array();
  for (const Engine::FlowView& flow : engine.flows()) {
    json entry{{"id", flow.id.value},
               {"service", flow.service},
               {"protocol", session::to_string(flow.protocol)},
               {"connector", flow.connector},
               {"state", flow.state},
               {"bytes_to_service", flow.counters.to_backend},
               {"bytes_to_agent", flow.counters.from_backend},
               {"age_s", seconds(now - flow.since)}};
    if (!flow.session.empty()) {  // as audit logs name it
      entry["session"] = flow.session;
      entry["flow"] = flow.stream;
    }
    flows.push_back(std::move(entry));
  }
  return flows;
}

json failures_report(const Engine& engine, base::Time now) {
  json failures = json::array();
  for (const Engine::Ended& failure : engine.failures()) {
    failures.push_back({{"service", failure.service},
                        {"reason", session::to_string(failure.why)},
                        {"detail", failure.text},
                        {"ago_s", seconds(now - failure.at)}});
  }
  return failures;
}

}  // namespace

json status_report(const Engine& engine, const Doors& doors, base::Time now) {
  json report = bridge::node_report(engine.node());
  report["services"] = services_report(engine.catalog(), doors.auto_forward);
  json listeners = json::array();
  for (const auto& forward : doors.forwards) {
    listeners.push_back({{"listen", forward->to_string()},
                         {"service", forward->service()},
                         {"connections", forward->connections()}});
  }
  report["forwards"] = std::move(listeners);
  report["socks"] =
      doors.socks == nullptr ? json() : json(doors.socks->local_address().to_string());
  report["flows"] = flows_report(engine, now);
  report["failures"] = failures_report(engine, now);
  return report;
}

void write_metrics(io::MetricsWriter& out, const Engine& engine, const io::PacketPump& pump) {
  using io::MetricType;
  const Engine::Counters& counters = engine.counters();
  out.family("ztna_flows_total", MetricType::counter, "Flows that ended, by how.");
  for (int i = 0; i <= static_cast<int>(FlowEnd::protocol_error); ++i) {
    const auto end = static_cast<FlowEnd>(i);
    const auto found = counters.ended.find(end);
    out.sample(found == counters.ended.end() ? 0 : found->second,
               {{"result", session::to_string(end)}});
  }
  out.family("ztna_flows_active", MetricType::gauge, "Flows that are alive.");
  out.sample(engine.flows().size());
  out.family("ztna_flow_bytes_total", MetricType::counter, "Octets of flows by direction.");
  out.sample(counters.bytes_to_backend, {{"direction", "to_service"}});
  out.sample(counters.bytes_from_backend, {{"direction", "to_agent"}});
  bridge::node_metrics(out, engine.node());
  pump.metrics(out);
}

std::string uplink_troubles(const node::Node& node) {
  std::string text;
  for (const auto& uplink : node.uplinks()) {
    if (!text.empty()) text += "; ";
    text += uplink->name() + ": ";
    text += uplink->last_error().empty() ? std::string(node::to_string(uplink->state()))
                                         : uplink->last_error();
  }
  return text;
}

}  // namespace ztna::agent
