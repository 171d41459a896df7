#include "tool/policy_check.hpp"

#include <nlohmann/json.hpp>
#include <ostream>

#include "policy/policy.hpp"
#include "tool/ca_files.hpp"

namespace ztna::tool {
namespace {

base::Status check_name(const std::string& name, const std::string& flag) {
  if (identity::is_valid_name(name)) return {};
  return base::fail(base::ErrorCode::invalid_argument,
                    "\"" + identity::printable(name) +
                        "\" is not a name, expected 1 to 63 of a-z, 0-9 and -, no - at the ends",
                    flag);
}

identity::Principal stand_in(identity::Role role, const std::string& name) {
  identity::Principal principal;
  principal.role = role;
  principal.name = name;
  principal.serve = {"*"};
  return principal;
}

struct Question {
  identity::Role role;
  const std::string& name;
  policy::Decision decision;
};

std::string to_text(const Question& question, const std::string& service) {
  const bool serves = question.role == identity::Role::connector;
  return std::string(question.decision.allowed ? "allowed" : "denied") + ": " +
         std::string(to_string(question.role)) + " " + question.name +
         (question.decision.allowed ? " may " : " may not ") + (serves ? "serve " : "reach ") +
         service + " (" + question.decision.rule + ")\n";
}

void summarise(const CheckOptions& options, const policy::Policy::Counts& counts,
               Context& context) {
  if (options.json) {
    const nlohmann::ordered_json summary = {{"valid", true},
                                            {"serve", counts.serve},
                                            {"allow", counts.allow},
                                            {"prove", counts.prove},
                                            {"revoke", counts.revoke}};
    context.out << summary.dump() << "\n";
    return;
  }
  context.out << options.policy << ": valid, [[serve]] " << counts.serve << ", [[allow]] "
              << counts.allow << ", [[prove]] " << counts.prove << ", [[revoke]] " << counts.revoke
              << (counts.lets_nobody_in() ? "; it lets nobody reach anything\n" : "\n");
}

base::Status check_names(const CheckOptions& options) {
  if (options.agent) {
    const auto agent = check_name(*options.agent, "--agent");
    if (!agent) return agent;
  }
  if (options.connector) {
    const auto connector = check_name(*options.connector, "--connector");
    if (!connector) return connector;
  }
  return check_name(options.service, "--service");
}

}  // namespace

base::Result<bool> check_policy(const CheckOptions& options, Context& context) {
  const auto text = read_file(options.policy);
  if (!text) return tl::unexpected(text.error());
  const auto policy = policy::Policy::parse(*text, options.policy);
  if (!policy) return tl::unexpected(policy.error());
  if (!options.agent && !options.connector) {
    summarise(options, policy->counts(), context);
    return true;
  }
  const auto names = check_names(options);
  if (!names) return tl::unexpected(names.error());
  std::vector<Question> questions;
  if (options.agent) {
    const auto agent = stand_in(identity::Role::agent, *options.agent);
    questions.push_back({agent.role, *options.agent, policy->may_reach(agent, options.service)});
  }
  if (options.connector) {
    const auto connector = stand_in(identity::Role::connector, *options.connector);
    questions.push_back(
        {connector.role, *options.connector, policy->may_serve(connector, options.service)});
  }
  bool allowed = true;
  nlohmann::ordered_json json = {{"allowed", true}, {"service", options.service}};
  for (const Question& question : questions) {
    allowed = allowed && question.decision.allowed;
    if (!options.json) context.out << to_text(question, options.service);
    json[std::string(to_string(question.role))] = {{"name", question.name},
                                                   {"allowed", question.decision.allowed},
                                                   {"rule", question.decision.rule}};
  }
  json["allowed"] = allowed;
  if (options.json) {
    context.out << json.dump() << "\n";
  } else if (allowed && policy->counts().revoke > 0) {
    context.out << "(if its key is not revoked: [[revoke]] names keys, which are not known here)\n";
  }
  return allowed;
}

}  // namespace ztna::tool
