#include "policy/policy.hpp"

#include <algorithm>

#include "policy/glob.hpp"

namespace ztna::policy {
namespace {

bool any_matches(const std::vector<std::string>& patterns, std::string_view name) {
  return std::ranges::any_of(
      patterns, [name](const std::string& pattern) { return glob_matches(pattern, name); });
}

Decision wrong_role(const identity::Principal& principal, identity::Role needed) {
  return {false, "role is " + std::string(to_string(principal.role)) + ", not " +
                     std::string(to_string(needed))};
}

Decision not_a_service(std::string_view service) {
  return {false, "\"" + identity::printable(service) + "\" is not a service name"};
}

}  // namespace

bool Policy::Rule::matches(std::string_view subject, std::string_view service) const {
  return any_matches(subjects, subject) && any_matches(services, service);
}

Decision Policy::decide(const std::vector<Rule>& rules, std::string_view subject,
                        std::string_view service) {
  for (const Rule& rule : rules) {
    if (rule.matches(subject, service)) return {true, rule.label};
  }
  return {false, "default deny"};
}

std::optional<std::string> Policy::revoked_by(const identity::Spki& spki) const {
  const auto found = std::ranges::find(revoke_, spki, &Revocation::spki);
  if (found == revoke_.end()) return std::nullopt;
  return found->label;
}

Decision Policy::may_serve(const identity::Principal& connector, std::string_view service) const {
  if (connector.role != identity::Role::connector) {
    return wrong_role(connector, identity::Role::connector);
  }
  if (!identity::is_valid_name(service)) return not_a_service(service);
  if (auto rule = revoked_by(connector.spki)) return {false, std::move(*rule)};
  if (!connector.may_serve(service)) {
    return {false, "certificate does not name " + std::string(service)};
  }
  return decide(serve_, connector.name, service);
}

Decision Policy::may_reach(const identity::Principal& agent, std::string_view service) const {
  if (agent.role != identity::Role::agent) return wrong_role(agent, identity::Role::agent);
  if (!identity::is_valid_name(service)) return not_a_service(service);
  if (auto rule = revoked_by(agent.spki)) return {false, std::move(*rule)};
  return decide(allow_, agent.name, service);
}

Decision Policy::may_suspend(const identity::Principal& agent, std::string_view service) const {
  Decision reach = may_reach(agent, service);
  return reach.allowed ? decide(prove_, agent.name, service) : reach;
}

std::vector<std::string> Policy::services_of(const identity::Principal& node) const {
  std::vector<std::string> services;
  if (node.role == identity::Role::intermediate || is_revoked(node.spki)) return services;
  for (const Rule& rule : node.role == identity::Role::agent ? allow_ : serve_) {
    if (!any_matches(rule.subjects, node.name)) continue;
    for (const std::string& pattern : rule.services) {
      if (std::ranges::find(services, pattern) == services.end()) services.push_back(pattern);
    }
  }
  return services;
}

}  // namespace ztna::policy
