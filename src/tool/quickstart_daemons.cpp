#include "tool/quickstart_daemons.hpp"

namespace ztna::tool {
namespace {

// Nothing leaves this machine and no port is fixed. Readiness is asked on the control socket, so
// the health door stays shut.
ProcessPlan plan_daemon(const QuickstartFolder& folder, const std::string& programs,
                        const std::string& name, const std::string& program) {
  return {name,
          {programs + "/" + program, "--cert-dir", folder.at(name), "--control",
           folder.socket(name), "--health", "off"},
          folder.at(name + ".log")};
}

void append(ProcessPlan& plan, std::initializer_list<std::string> arguments) {
  plan.command.insert(plan.command.end(), arguments);
}

void append_node(ProcessPlan& plan, const std::string& intermediate) {
  append(plan, {"--intermediate", intermediate, "--p2p-listen-address", "127.0.0.1",
                "--p2p-listen-port", "0"});
}

}  // namespace

ProcessPlan plan_page(const QuickstartFolder& folder, const std::string& self,
                      const std::string& marker) {
  return {page_process,
          {self, "serve-page", "--control", folder.socket(page_process), "--marker", marker},
          folder.at(std::string(page_process) + ".log")};
}

ProcessPlan plan_intermediate(const QuickstartFolder& folder, const std::string& programs) {
  ProcessPlan plan = plan_daemon(folder, programs, intermediate_process, "intermediate-server");
  append(plan, {"--policy", folder.at("policy.toml"), "--listen", "127.0.0.1:0", "--audit-log",
                folder.at("intermediate-audit.jsonl")});
  return plan;
}

ProcessPlan plan_connector(const QuickstartFolder& folder, const std::string& programs,
                           const std::string& intermediate,
                           const std::vector<config::Service>& services) {
  ProcessPlan plan = plan_daemon(folder, programs, connector_process, "app-connector");
  append(plan,
         {"--policy", folder.at("policy.toml"), "--audit-log", folder.at("connector-audit.jsonl")});
  append_node(plan, intermediate);
  for (const config::Service& service : services) append(plan, {"--service", service.to_string()});
  return plan;
}

ProcessPlan plan_agent(const QuickstartFolder& folder, const std::string& programs,
                       const std::string& intermediate,
                       const std::vector<config::Service>& services) {
  ProcessPlan plan = plan_daemon(folder, programs, agent_process, "ztna-agent");
  append_node(plan, intermediate);
  // Within one machine a direct path is no feat, and the relay would have nothing to show.
  append(plan, {"--no-p2p"});
  for (const config::Service& service : services) {
    const config::Forward forward{service.transport, base::Address::v4({127, 0, 0, 1}, 0),
                                  service.name};
    append(plan, {"--forward", forward.to_string()});
  }
  return plan;
}

}  // namespace ztna::tool
