// Intermediates (one, unless asked for more), some Connectors and Agents, their certificates and
// policy: the world most scenarios start from.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/parts.hpp"
#include "sim/programs.hpp"
#include "sim/world.hpp"
#include "unit/identity/test_certificates.hpp"

namespace ztna::sim {

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
  bool direct_paths = false;  // the network of scenes is flat: the direct path is always there
  bool direct_only = false;   // of Agents
  std::string policy = "";    // empty: everyone may reach and offer everything but "secret"
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

  // Null while killed.
  [[nodiscard]] intermediate::Engine& intermediate(std::size_t index = 0);
  [[nodiscard]] ConnectorPart& connector(std::size_t index = 0);
  [[nodiscard]] AgentPart& agent(std::size_t index = 0);
  [[nodiscard]] const std::vector<policy::AuditRecord>& relay_audit();

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
  // A part's quota of what it still holds after all flows are over: leaks are violations.
  void check_nothing_left();

 private:
  [[nodiscard]] node::NodeConfig node_config(const std::vector<std::size_t>& uses) const;
  [[nodiscard]] std::vector<base::Address> addresses(const std::vector<std::size_t>& uses) const;
  void add_intermediate(std::size_t index);
  void add_connector(std::size_t index);
  void add_agent(std::size_t index);

  SceneOptions options_;
  std::vector<std::shared_ptr<const identity::Credentials>> intermediate_credentials_,
      connector_credentials_, agent_credentials_;
  std::shared_ptr<const policy::Policy> policy_;
  std::vector<std::unique_ptr<Client>> clients_;
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
