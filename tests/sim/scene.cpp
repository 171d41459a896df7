#include "sim/scene.hpp"

namespace ztna::sim {
namespace {

using base::Address;

const Address relay_address = Address::v4({203, 0, 113, 1}, 4433);

std::shared_ptr<const policy::Policy> parse_policy(const std::string& text) {
  return std::make_shared<const policy::Policy>(
      identity::value_or_throw(policy::Policy::parse(text, "policy.toml")));
}

}  // namespace

Certificates::Certificates() {
  identity::TestAuthority authority("example.org", identity::KeyType::ed25519);
  intermediate = authority.intermediate("relay");
  for (const char* name : {"home-0", "home-1"}) {
    connectors.push_back(authority.connector(
        name, {"echo", "source", "sink", "udp-echo", "refused", "secret", "other"}));
  }
  for (const char* name : {"agent-0", "agent-1", "agent-2"}) {
    agents.push_back(authority.agent(name));
  }
  identity::TestAuthority elsewhere("example.org", identity::KeyType::ed25519);
  stranger = elsewhere.agent("agent-0");
}

Certificates& Certificates::get() {
  static Certificates made;
  return made;
}

Scene::Scene(SceneOptions options) : world(options.seed), options_(std::move(options)) {
  policy_ = parse_policy(options_.policy.empty() ? open_policy : options_.policy);
  relay = &world.add_machine("relay", relay_address);
  relay->link.delay = {};
  relay->install([this]() -> std::unique_ptr<Part> {
    intermediate::EngineConfig config;
    config.credentials = Certificates::get().intermediate;
    config.policy = policy_;
    config.version = "sim";
    config.listen = {{0, relay_address}};
    config.admission = options_.admission;
    config.broker = options_.broker;
    return std::make_unique<IntermediatePart>(world, std::move(config));
  });
  node::NodeConfig node;
  node.intermediates = {{"relay.example", 4433}};
  node.version = "sim";
  for (std::size_t i = 0; i < options_.connectors; ++i) {
    const auto octet = static_cast<std::uint8_t>(i + 1);
    connectors.push_back(
        &world.add_machine("home-" + std::to_string(i), Address::v4({198, 51, 100, octet}, 4434)));
    connectors.back()->install([this, node, i]() -> std::unique_ptr<Part> {
      connector::EngineConfig config;
      config.node = node;
      config.node.credentials = Certificates::get().connectors.at(i);
      config.policy = policy_;
      for (const char* name : {"echo", "source", "sink", "refused", "secret"}) {
        config.services.push_back({name, Protocol::tcp, {"127.0.0.1", 8080}});
      }
      config.services.push_back({"udp-echo", Protocol::udp, {"127.0.0.1", 27960}});
      return std::make_unique<ConnectorPart>(world, std::move(config),
                                             std::vector<Address>{relay_address});
    });
  }
  for (std::size_t i = 0; i < options_.agents; ++i) {
    const auto octet = static_cast<std::uint8_t>(i + 1);
    agents.push_back(
        &world.add_machine("agent-" + std::to_string(i), Address::v4({192, 0, 2, octet}, 40000)));
    agents.back()->install([this, node, i]() -> std::unique_ptr<Part> {
      agent::EngineConfig config;
      config.node = node;
      config.node.credentials = Certificates::get().agents.at(i);
      return std::make_unique<AgentPart>(world, std::move(config),
                                         std::vector<Address>{relay_address});
    });
  }
}

intermediate::Engine& Scene::intermediate() {
  return dynamic_cast<IntermediatePart&>(*relay->part()).engine();
}
const std::vector<policy::AuditRecord>& Scene::relay_audit() {
  return dynamic_cast<IntermediatePart&>(*relay->part()).audit();
}
ConnectorPart& Scene::connector(std::size_t index) {
  return dynamic_cast<ConnectorPart&>(*connectors.at(index)->part());
}
AgentPart& Scene::agent(std::size_t index) {
  return dynamic_cast<AgentPart&>(*agents.at(index)->part());
}

Client& Scene::open(FlowPlan plan, std::size_t agent_index) {
  const std::string name = "flow " + std::to_string(clients_.size());
  world.note(name + " opens " + plan.service + ", " + std::to_string(plan.size));
  clients_.push_back(std::make_unique<Client>(world, std::move(plan), name));
  Client& client = *clients_.back();
  if (agents.at(agent_index)->part() == nullptr) {
    client.lost();
  } else {
    agent(agent_index).open(client);
  }
  return client;
}

bool Scene::settle(Duration limit) {
  return world.run(
      [this] {
        const auto counts = intermediate().role_counts();
        if (counts.connectors != connectors.size() || counts.agents != agents.size()) return false;
        for (std::size_t i = 0; i < agents.size(); ++i) {
          const agent::Service* const echo = agent(i).engine().catalog().find("echo");
          if (echo == nullptr || echo->instances.size() != connectors.size()) return false;
        }
        return true;
      },
      limit);
}

bool Scene::finish(Client& client, Duration limit) {
  return world.run([&] { return client.over(); }, limit);
}

Duration Scene::until_served(const FlowPlan& plan, Duration limit, std::size_t agent_index) {
  const Time start = world.now();
  while (world.now() - start < limit) {
    Client& client = open(plan, agent_index);
    finish(client, limit - (world.now() - start));
    if (client.complete()) return world.now() - start;
    world.idle(100ms);
  }
  return limit;
}

void Scene::set_links(const Link& link) {
  for (Machine* const machine : connectors) machine->link = link;
  for (Machine* const machine : agents) machine->link = link;
}

void Scene::reload_policy(const std::string& text) {
  policy_ = parse_policy(text);
  intermediate().reload(Certificates::get().intermediate, policy_, world.now());
  for (std::size_t i = 0; i < connectors.size(); ++i) {
    if (connectors[i]->part() == nullptr) continue;
    connector(i).engine().reload(Certificates::get().connectors.at(i), policy_, world.now());
  }
}

void Scene::check_nothing_left() {
  for (std::size_t i = 0; i < agents.size(); ++i) {
    if (agents[i]->part() != nullptr && !agent(i).engine().flows().empty()) {
      world.violation(agents[i]->name() + " holds flows that are over");
    }
  }
  for (std::size_t i = 0; i < connectors.size(); ++i) {
    if (connectors[i]->part() != nullptr && connector(i).engine().flow_count() != 0) {
      std::string what;
      for (const auto& service : connector(i).engine().services()) {
        if (service.flows > 0) {
          what += " " + service.config.name + ": " + std::to_string(service.flows);
        }
      }
      world.violation(connectors[i]->name() + " holds flows that are over:" + what);
    }
  }
}

}  // namespace ztna::sim
