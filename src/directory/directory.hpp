// Who serves what, now: the offers of the Connectors that are here, in memory. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.hpp"

namespace ztna::directory {

// The Intermediate's number for an uplink.
using NodeKey = std::uint64_t;

struct Service {
  std::string name;
  bool udp = false;
  std::uint16_t port = 0;  // a hint for --auto-forward
  bool healthy = true;
  friend bool operator==(const Service&, const Service&) = default;
};

struct Instance {
  NodeKey node = 0;
  std::string connector;  // SPIFFE id
  base::IncarnationId incarnation;
  Service service;
};

class Directory {
 public:
  // Everything this Connector offers from now on; an empty list withdraws it. False: it did
  // already.
  bool offer(NodeKey node, const std::string& connector, const base::IncarnationId& incarnation,
             const std::vector<Service>& services);
  void withdraw(NodeKey node);

  // In a stable order. Empty: nobody offers it.
  [[nodiscard]] const std::vector<Instance>& instances(const std::string& service) const;
  [[nodiscard]] const std::map<std::string, std::vector<Instance>>& all() const {
    return services_;
  }
  // Names of what this Connector offers.
  [[nodiscard]] const std::vector<std::string>& offered_by(NodeKey node) const;
  [[nodiscard]] bool offers(NodeKey node, const std::string& service) const;

 private:
  [[nodiscard]] bool stands(NodeKey node, const std::vector<Service>& services) const;

  std::map<std::string, std::vector<Instance>> services_;
  std::unordered_map<NodeKey, std::vector<std::string>> by_node_;
};

}  // namespace ztna::directory
