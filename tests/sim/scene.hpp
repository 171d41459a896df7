// Intermediates (one, unless asked for more), some Connectors and Agents, their certificates and
// policy: the world most scenarios start from.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/parts.hpp"
#include "sim/programs.hpp"
#include "sim/world.hpp"
#include "unit/identity/test_certificates.hpp"

namespace ztna::sim {

inline const std::vector<std::string> none;  // violations

// Certificates of all scenes: Ed25519, so that sizes repeat. Made once a process.
class Certificates {
 public:
  [[nodiscard]] static Certificates& get();
  std::shared_ptr<const identity::Credentials> intermediate, stranger;
  std::vector<std::shared_ptr<const identity::Credentials>> intermediates, connectors, agents;
  // The same names with other keys, for twice as long: after a renewal.
  std::vector<std::shared_ptr<const identity::Credentials>> renewed_intermediates,
      renewed_connectors, renewed_agents;

 private:
  Certificates();
};

struct SceneOptions {
  std::uint64_t seed = 1;
  std::size_t intermediates = 1;  // at most 2
  std::size_t connectors = 1;     // "home-0" …, at most 2; all offer the same
  std::size_t agents = 1;         // "agent-0" …, at most 3
  // Which Intermediates they are told of, in this order; empty: all.
  std::vector<std::size_t> connector_uses = {}, agent_uses = {};
  bool direct_paths = false;
  bool direct_only = false;  // of Agents
  // How the nodes are attached. Without a NAT, a node is in the Internet itself; otherwise each has
  // a home of its own, whose router may be inside a carrier's NAT.
  std::optional<NatBehaviour> agent_nat = {}, connector_nat = {};
  std::optional<NatBehaviour> agent_carrier = {}, connector_carrier = {};  // only around a home
  bool one_home = false;     // everyone is in one LAN, behind agent_nat
  bool one_carrier = false;  // all homes are inside one carrier's NAT, agent_carrier
  std::optional<std::uint8_t> core_hops = {};  // between any two in the Internet
  // Who also has a global IPv6 address, for socket 1. An Intermediate's name then has both, that
  // one first.
  bool agent_ipv6 = false, connector_ipv6 = false, intermediate_ipv6 = false;
  // Each Intermediate also has a second port and a second IP address, and STUN on all four.
  bool alternates = false;
  std::string policy = "";  // empty: everyone may reach and offer everything but "secret"
  intermediate::AdmissionLimits admission = {};
  intermediate::BrokerLimits broker = {};
};

class Scene {
 public:
  explicit Scene(SceneOptions options = {});
  ~Scene() { world.stop(); }  // the parts tell their clients that they go

  World world;
  std::vector<Machine*> relays;
  Machine* relay = nullptr;  // the first one
  std::vector<Machine*> connectors, agents;
  // Where they are at the start; the Internet, unless they are behind a NAT.
  std::vector<Network*> connector_homes, agent_homes;

  // Null while killed.
  [[nodiscard]] intermediate::Engine& intermediate(std::size_t index = 0);
  [[nodiscard]] ConnectorPart& connector(std::size_t index = 0);
  [[nodiscard]] AgentPart& agent(std::size_t index = 0);
  [[nodiscard]] const std::vector<policy::AuditRecord>& relay_audit();
  // Null for Intermediates, and while killed.
  [[nodiscard]] node::Node* node_on(const Machine& machine);
  // Somebody sets that machine's civil clock.
  void set_wall_of(const Machine& machine, base::WallTime wall);

  // A program on that Agent's machine opens a flow now.
  Client& open(FlowPlan plan, std::size_t agent = 0);
  [[nodiscard]] const std::vector<std::unique_ptr<Client>>& clients() const { return clients_; }

  // Connectors and Agents registered at every Intermediate that they use, Agents with a directory.
  bool settle(Duration limit = 10s);
  // Opens `plan` again and again, as an impatient person would, until one completes; the virtual
  // time that took, or `limit`.
  Duration until_served(const FlowPlan& plan, Duration limit, std::size_t agent = 0);
  // Runs until the client is over.
  bool finish(Client& client, Duration limit = 30s);
  // All links of everyone.
  void set_links(const Link& link);
  void reload_policy(const std::string& text);
  // The certificate that a part starts with from now on; a running one is told by reload().
  void renew_intermediate(std::size_t index = 0);
  void renew_connector(std::size_t index = 0);
  void renew_agent(std::size_t index = 0);
  // Civil time goes on by so many days; certificates are of 90, renewed ones of 180.
  void turn_calendar(int days);
  [[nodiscard]] std::shared_ptr<const policy::Policy> policy() const { return policy_; }
  // No part holds a flow.
  [[nodiscard]] bool nothing_left();
  // What parts still hold after all flows are over: leaks are violations.
  void check_nothing_left();

 private:
  [[nodiscard]] node::NodeConfig node_config(const std::vector<std::size_t>& uses) const;
  // What the names of these Intermediates resolve to.
  [[nodiscard]] std::vector<std::vector<base::Address>> addresses(
      const std::vector<std::size_t>& uses) const;
  // A node's place: the LAN, and its addresses there.
  struct Place {
    Network* home;
    std::vector<LocalAddress> local;
  };
  // `number`: 1 … 255, one for each node.
  [[nodiscard]] Place place(const std::string& name, const std::optional<NatBehaviour>& nat,
                            const std::optional<NatBehaviour>& carrier, bool ipv6,
                            std::uint8_t number, const base::Address& in_the_internet);
  [[nodiscard]] Network& carrier_around(const std::string& name,
                                        const std::optional<NatBehaviour>& carrier,
                                        std::uint8_t number);
  void add_intermediate(std::size_t index);
  void add_connector(std::size_t index);
  void add_agent(std::size_t index);

  SceneOptions options_;
  std::vector<std::shared_ptr<const identity::Credentials>> intermediate_credentials_,
      connector_credentials_, agent_credentials_;
  std::shared_ptr<const policy::Policy> policy_;
  std::vector<std::unique_ptr<Client>> clients_;
  Network* shared_home_ = nullptr;
  Network* shared_carrier_ = nullptr;
};

inline constexpr const char* open_policy = R"(
[[serve]]
connectors = ["*"]
services = ["*"]
[[allow]]
agents = ["*"]
services = ["echo", "source", "sink", "udp-echo", "refused", "missing", "other"]
)";

}  // namespace ztna::sim
