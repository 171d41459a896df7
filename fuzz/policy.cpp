// Any octets as policy.toml: they parse or fail with a place, and nothing is allowed by a rule that
// does not name itself.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "policy/policy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto policy = ztna::policy::Policy::parse(text, "policy.toml");
  if (!policy) {
    const ztna::base::Error& error = policy.error();
    if (!error.where.starts_with("policy.toml:") || error.what.empty()) std::abort();
    return 0;
  }
  ztna::identity::Principal agent;
  agent.name = "alice";
  const auto reach = policy->may_reach(agent, "web");
  if (reach.allowed && !reach.rule.starts_with("allow[")) std::abort();
  if (reach.allowed && policy->is_revoked(agent.spki)) std::abort();
  if (policy->may_reach(agent, "*").allowed) std::abort();
  ztna::identity::Principal connector;
  connector.role = ztna::identity::Role::connector;
  connector.name = "home-1";
  connector.serve = {"web"};
  const auto serve = policy->may_serve(connector, "web");
  if (serve.allowed && !serve.rule.starts_with("serve[")) std::abort();
  if (policy->may_serve(connector, "payroll").allowed) std::abort();
  return 0;
}
