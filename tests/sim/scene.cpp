#include "sim/scene.hpp"

#include <algorithm>
#include <array>

namespace ztna::sim {
namespace {

using base::Address;

Address relay_address(std::size_t index) {
  return Address::v4({203, 0, 113, static_cast<std::uint8_t>(index + 1)}, 4433);
}

Address v6_address(std::uint8_t network, std::uint16_t port) {
  return Address::v6({0x20, 1, 0xd, 0xb8, 0, network, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, port);
}

std::shared_ptr<const policy::Policy> parse_policy(const std::string& text) {
  return std::make_shared<const policy::Policy>(
      identity::value_or_throw(policy::Policy::parse(text, "policy.toml")));
}

}  // namespace

Certificates::Certificates() {
  identity::TestAuthority authority("example.org", identity::KeyType::ed25519);
  using identity::Role;
  const auto make = [&](Role role, const std::string& name, int days) {
    identity::LeafRequest leaf{.role = role, .name = name, .days = days};
    if (role == Role::connector) {
      leaf.serve = {"echo", "source", "sink", "udp-echo", "refused", "secret", "other"};
    }
    return authority.credentials(leaf);
  };
  for (const char* name : {"relay", "relay-1"}) {
    intermediates.push_back(make(Role::intermediate, name, 90));
    renewed_intermediates.push_back(make(Role::intermediate, name, 180));
  }
  intermediate = intermediates.front();
  for (const char* name : {"home-0", "home-1"}) {
    connectors.push_back(make(Role::connector, name, 90));
    renewed_connectors.push_back(make(Role::connector, name, 180));
  }
  for (const char* name : {"agent-0", "agent-1", "agent-2"}) {
    agents.push_back(make(Role::agent, name, 90));
    renewed_agents.push_back(make(Role::agent, name, 180));
  }
  identity::TestAuthority elsewhere("example.org", identity::KeyType::ed25519);
  stranger = elsewhere.agent("agent-0");
}

Certificates& Certificates::get() {
  static Certificates made;
  return made;
}

Scene::Scene(SceneOptions options)
    : world(options.seed),
      options_(std::move(options)),
      intermediate_credentials_(Certificates::get().intermediates),
      connector_credentials_(Certificates::get().connectors),
      agent_credentials_(Certificates::get().agents) {
  policy_ = parse_policy(options_.policy.empty() ? open_policy : options_.policy);
  for (auto* uses : {&options_.connector_uses, &options_.agent_uses}) {
    if (!uses->empty()) continue;
    for (std::size_t i = 0; i < options_.intermediates; ++i) uses->push_back(i);
  }
  if (options_.core_hops) world.internet().hops = *options_.core_hops;
  for (std::size_t i = 0; i < options_.intermediates; ++i) add_intermediate(i);
  relay = relays.front();
  for (std::size_t i = 0; i < options_.connectors; ++i) add_connector(i);
  for (std::size_t i = 0; i < options_.agents; ++i) add_agent(i);
}

Network& Scene::carrier_around(const std::string& name, const std::optional<NatBehaviour>& carrier,
                               std::uint8_t number) {
  if (!carrier) return world.internet();
  if (options_.one_carrier && shared_carrier_ != nullptr) return *shared_carrier_;
  Network& made = world.add_network(options_.one_carrier ? "carrier" : name + "'s carrier",
                                    *carrier, Address::v4({198, 18, 0, number}, 0));
  if (options_.one_carrier) shared_carrier_ = &made;
  return made;
}

Scene::Place Scene::place(const std::string& name, const std::optional<NatBehaviour>& nat,
                          const std::optional<NatBehaviour>& carrier, bool ipv6,
                          std::uint8_t number, const Address& in_the_internet) {
  Place place{&world.internet(), {{0, in_the_internet}}};
  if (nat) {
    if (!options_.one_home || shared_home_ == nullptr) {
      Network& around = carrier_around(name, carrier, number);
      const Address outside = Address::v4({100, 64, 0, number}, 0);
      shared_home_ = &world.add_network(options_.one_home ? "home" : name + "'s home", *nat,
                                        around.is_internet() ? in_the_internet : outside, around);
    }
    place.home = shared_home_;
    // Others have the same address at home, as in the world.
    const std::uint8_t host = options_.one_home ? static_cast<std::uint8_t>(number + 1) : 2;
    place.local = {{0, Address::v4({192, 168, 1, host}, in_the_internet.port())}};
  }
  if (ipv6) place.local.push_back({1, v6_address(number, in_the_internet.port())});
  return place;
}

void Scene::add_intermediate(std::size_t index) {
  std::vector<LocalAddress> local = {{0, relay_address(index)}};
  if (options_.alternates) {
    const auto octet = static_cast<std::uint8_t>(101 + index);
    const Address second = Address::v4({203, 0, 113, octet}, 4433);
    local.push_back({1, local.front().address.with_port(4435)});
    local.push_back({2, second});
    local.push_back({3, second.with_port(4435)});
  }
  if (options_.intermediate_ipv6) {
    const auto network = static_cast<std::uint8_t>(0xf0 + index);
    local.push_back({static_cast<base::SocketId>(local.size()), v6_address(network, 4433)});
  }
  relays.push_back(&world.add_machine(index == 0 ? "relay" : "relay-" + std::to_string(index),
                                      world.internet(), local));
  relays.back()->link.delay = {};
  relays.back()->install([this, index, local]() -> std::unique_ptr<Part> {
    intermediate::EngineConfig config;
    config.credentials = intermediate_credentials_.at(index);
    config.policy = policy_;
    config.version = "sim";
    for (const LocalAddress& one : local) config.listen.push_back({one.socket, one.address});
    config.admission = options_.admission;
    config.broker = options_.broker;
    return std::make_unique<IntermediatePart>(world, std::move(config));
  });
}

node::NodeConfig Scene::node_config(const std::vector<std::size_t>& uses) const {
  node::NodeConfig node;
  for (const std::size_t index : uses) {
    node.intermediates.push_back({"relay-" + std::to_string(index) + ".example", 4433});
  }
  node.version = "sim";
  node.direct_paths = options_.direct_paths;
  return node;
}

std::vector<std::vector<Address>> Scene::addresses(const std::vector<std::size_t>& uses) const {
  std::vector<std::vector<Address>> all;
  for (const std::size_t index : uses) {
    const Machine& machine = *relays.at(index);
    std::vector<Address>& of_one = all.emplace_back();
    if (options_.intermediate_ipv6) of_one.push_back(machine.local().back().address);
    of_one.push_back(machine.address());
  }
  return all;
}

void Scene::add_connector(std::size_t index) {
  const auto octet = static_cast<std::uint8_t>(index + 1);
  const std::string name = "home-" + std::to_string(index);
  const Place at = place(name, options_.one_home ? options_.agent_nat : options_.connector_nat,
                         options_.one_carrier ? options_.agent_carrier : options_.connector_carrier,
                         options_.connector_ipv6, octet, Address::v4({198, 51, 100, octet}, 4434));
  connector_homes.push_back(at.home);
  connectors.push_back(&world.add_machine(name, *at.home, at.local));
  connectors.back()->install([this, index, name]() -> std::unique_ptr<Part> {
    connector::EngineConfig config;
    config.node = node_config(options_.connector_uses);
    config.node.credentials = connector_credentials_.at(index);
    config.policy = policy_;
    for (const char* service : {"echo", "source", "sink", "refused", "secret"}) {
      config.services.push_back({service, Protocol::tcp, {"127.0.0.1", 8080}});
    }
    config.services.push_back({"udp-echo", Protocol::udp, {"127.0.0.1", 27960}});
    return std::make_unique<ConnectorPart>(world, name, std::move(config),
                                           addresses(options_.connector_uses));
  });
}

void Scene::add_agent(std::size_t index) {
  const auto octet = static_cast<std::uint8_t>(index + 1);
  const std::string name = "agent-" + std::to_string(index);
  const Place at =
      place(name, options_.agent_nat, options_.agent_carrier, options_.agent_ipv6,
            static_cast<std::uint8_t>(octet + 16), Address::v4({192, 0, 2, octet}, 40000));
  agent_homes.push_back(at.home);
  agents.push_back(&world.add_machine(name, *at.home, at.local));
  agents.back()->install([this, index, name]() -> std::unique_ptr<Part> {
    agent::EngineConfig config;
    config.node = node_config(options_.agent_uses);
    config.node.credentials = agent_credentials_.at(index);
    config.node.direct_only = options_.direct_only;
    return std::make_unique<AgentPart>(world, name, std::move(config),
                                       addresses(options_.agent_uses));
  });
}

void Scene::renew_intermediate(std::size_t index) {
  intermediate_credentials_.at(index) = Certificates::get().renewed_intermediates.at(index);
}

void Scene::turn_calendar(int days) {
  base::WallReference wall = world.wall();
  wall.wall.seconds += std::int64_t{days} * 86400;
  world.set_wall(wall);
  for (std::size_t i = 0; i < relays.size(); ++i) {
    if (relays[i]->part() != nullptr) intermediate(i).set_wall(wall);
  }
  for (std::size_t i = 0; i < connectors.size(); ++i) {
    if (connectors[i]->part() != nullptr) connector(i).engine().set_wall(wall);
  }
  for (std::size_t i = 0; i < agents.size(); ++i) {
    if (agents[i]->part() != nullptr) agent(i).engine().set_wall(wall);
  }
}

void Scene::renew_connector(std::size_t index) {
  connector_credentials_.at(index) = Certificates::get().renewed_connectors.at(index);
  connector(index).engine().reload(connector_credentials_[index], policy_, world.now());
}

void Scene::renew_agent(std::size_t index) {
  agent_credentials_.at(index) = Certificates::get().renewed_agents.at(index);
  agent(index).engine().reload(agent_credentials_[index], world.now());
}

node::Node* Scene::node_on(const Machine& machine) {
  if (machine.part() == nullptr) return nullptr;
  for (std::size_t i = 0; i < agents.size(); ++i) {
    if (agents[i] == &machine) return &agent(i).engine().node();
  }
  for (std::size_t i = 0; i < connectors.size(); ++i) {
    if (connectors[i] == &machine) return &connector(i).engine().node();
  }
  return nullptr;
}

void Scene::set_wall_of(const Machine& machine, base::WallTime wall) {
  const base::WallReference reference{wall, machine.now()};
  if (machine.part() == nullptr) return;
  for (std::size_t i = 0; i < relays.size(); ++i) {
    if (relays[i] == &machine) intermediate(i).set_wall(reference);
  }
  for (std::size_t i = 0; i < agents.size(); ++i) {
    if (agents[i] == &machine) agent(i).engine().set_wall(reference);
  }
  for (std::size_t i = 0; i < connectors.size(); ++i) {
    if (connectors[i] == &machine) connector(i).engine().set_wall(reference);
  }
}

intermediate::Engine& Scene::intermediate(std::size_t index) {
  return dynamic_cast<IntermediatePart&>(*relays.at(index)->part()).engine();
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
    agent(agent_index).open(client, agents[agent_index]->now());
  }
  return client;
}

bool Scene::settle(Duration limit) {
  const auto all_up = [](const node::Node& node) {
    return std::ranges::all_of(node.uplinks(), [](const auto& uplink) { return uplink->up(); });
  };
  return world.run(
      [&] {
        for (std::size_t i = 0; i < connectors.size(); ++i) {
          if (!all_up(connector(i).engine().node())) return false;
        }
        for (std::size_t i = 0; i < agents.size(); ++i) {
          const agent::Service* const echo = agent(i).engine().catalog().find("echo");
          if (!all_up(agent(i).engine().node()) || echo == nullptr) return false;
          if (echo->instances.size() < connectors.size()) return false;
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
  for (std::size_t i = 0; i < relays.size(); ++i) {
    if (relays[i]->part() == nullptr) continue;
    intermediate(i).reload(intermediate_credentials_[i], policy_, world.now());
  }
  for (std::size_t i = 0; i < connectors.size(); ++i) {
    if (connectors[i]->part() == nullptr) continue;
    connector(i).engine().reload(connector_credentials_[i], policy_, world.now());
  }
}

bool Scene::nothing_left() {
  for (std::size_t i = 0; i < agents.size(); ++i) {
    if (agents[i]->part() != nullptr && !agent(i).engine().flows().empty()) return false;
  }
  for (std::size_t i = 0; i < connectors.size(); ++i) {
    if (connectors[i]->part() != nullptr && connector(i).engine().flow_count() != 0) return false;
  }
  return true;
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
