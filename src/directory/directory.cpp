#include "directory/directory.hpp"

#include <algorithm>

namespace ztna::directory {

bool Directory::stands(NodeKey node, const std::vector<Service>& services) const {
  const std::vector<std::string>& names = offered_by(node);
  if (!std::ranges::equal(names, services, {}, {}, &Service::name)) return false;
  return std::ranges::all_of(services, [&](const Service& service) {
    const auto& known = instances(service.name);
    return std::ranges::find(known, node, &Instance::node)->service == service;
  });
}

bool Directory::offer(NodeKey node, const std::string& connector,
                      const base::IncarnationId& incarnation,
                      const std::vector<Service>& services) {
  if (stands(node, services)) return false;
  withdraw(node);
  for (const Service& service : services) {
    services_[service.name].push_back({node, connector, incarnation, service});
    by_node_[node].push_back(service.name);
  }
  return true;
}

void Directory::withdraw(NodeKey node) {
  const auto found = by_node_.find(node);
  if (found == by_node_.end()) return;
  for (const std::string& name : found->second) {
    const auto service = services_.find(name);
    if (service == services_.end()) continue;
    std::erase_if(service->second, [&](const Instance& i) { return i.node == node; });
    if (service->second.empty()) services_.erase(service);
  }
  by_node_.erase(found);
}

const std::vector<Instance>& Directory::instances(const std::string& service) const {
  static const std::vector<Instance> none;
  const auto found = services_.find(service);
  return found == services_.end() ? none : found->second;
}

const std::vector<std::string>& Directory::offered_by(NodeKey node) const {
  static const std::vector<std::string> none;
  const auto found = by_node_.find(node);
  return found == by_node_.end() ? none : found->second;
}

bool Directory::offers(NodeKey node, const std::string& service) const {
  const auto& names = offered_by(node);
  return std::ranges::find(names, service) != names.end();
}

}  // namespace ztna::directory
