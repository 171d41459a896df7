// Who may do what: policy.toml as a value, default deny. Immutable once parsed; a reload makes a
// new one. Not tied to any thread.
//
//   [[serve]]   # which connectors may offer which services
//   connectors = ["home-*"]
//   services   = ["web", "quake"]
//   [[allow]]   # which agents may reach which services
//   agents     = ["alice", "ci-*"]
//   services   = ["web"]
//   [[prove]]   # which agents may suspend paths of their own sessions for seconds (ztna prove)
//   agents     = ["alice"]
//   services   = ["web"]
//   [[revoke]]  # by public key: SHA-256 of the SubjectPublicKeyInfo, hexadecimal
//   spki = "…"
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "identity/principal.hpp"

namespace ztna::policy {

struct Decision {
  bool allowed = false;
  // What decided, for logs and people: "allow[2] at policy.toml:14", "default deny",
  // "certificate does not name web", "revoke[1] at policy.toml:20".
  std::string rule;
};

class Policy {
 public:
  // Denies everything.
  Policy() = default;

  // `where` (a path, usually) begins every error and stands in every rule. Unknown keys, wrong
  // types, empty lists and malformed patterns are errors: a typing error must not change who gets
  // in.
  [[nodiscard]] static base::Result<Policy> parse(std::string_view text, std::string where);

  // May this Connector offer `service`: its key is not revoked, its certificate names the service,
  // and a [[serve]] block matches.
  [[nodiscard]] Decision may_serve(const identity::Principal& connector,
                                   std::string_view service) const;
  // May this Agent reach `service`: its key is not revoked and an [[allow]] block matches.
  [[nodiscard]] Decision may_reach(const identity::Principal& agent,
                                   std::string_view service) const;
  // May this Agent suspend a path of a session of its own, for seconds, that carries `service`: it
  // may reach the service and a [[prove]] block matches.
  [[nodiscard]] Decision may_suspend(const identity::Principal& agent,
                                     std::string_view service) const;
  // The patterns of all services that it may reach (an Agent) or serve (a Connector, if its
  // certificate names them, too), each once. Empty: none, or its key is revoked.
  [[nodiscard]] std::vector<std::string> services_of(const identity::Principal& node) const;
  // The rule that revokes this key, or nothing.
  [[nodiscard]] std::optional<std::string> revoked_by(const identity::Spki& spki) const;
  [[nodiscard]] bool is_revoked(const identity::Spki& spki) const {
    return revoked_by(spki).has_value();
  }

  // How many blocks of each kind there are.
  struct Counts {
    std::size_t serve = 0, allow = 0, prove = 0, revoke = 0;
    // Without a block of both kinds nobody reaches anything.
    [[nodiscard]] bool lets_nobody_in() const { return serve == 0 || allow == 0; }
  };
  [[nodiscard]] Counts counts() const {
    return {serve_.size(), allow_.size(), prove_.size(), revoke_.size()};
  }

 private:
  friend class PolicyReader;

  struct Rule {
    std::vector<std::string> subjects;  // patterns over the names of connectors or agents
    std::vector<std::string> services;  // patterns
    std::string label;                  // "allow[2] at policy.toml:14"
    [[nodiscard]] bool matches(std::string_view subject, std::string_view service) const;
  };
  struct Revocation {
    identity::Spki spki{};
    std::string label;
  };
  [[nodiscard]] static Decision decide(const std::vector<Rule>& rules, std::string_view subject,
                                       std::string_view service);

  std::vector<Rule> serve_;
  std::vector<Rule> allow_;
  std::vector<Rule> prove_;
  std::vector<Revocation> revoke_;
};

}  // namespace ztna::policy
