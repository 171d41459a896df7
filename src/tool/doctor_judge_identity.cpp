// Certificate, key, CA, and what the policy allows whom they name.
#include <algorithm>
#include <array>
#include <cstdio>

#include "base/rfc3339.hpp"
#include "daemon/trust.hpp"
#include "policy/policy.hpp"
#include "tool/doctor_findings.hpp"

namespace ztna::tool {
namespace {

using identity::Period;
using identity::Role;

std::string octal(unsigned mode) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%04o", mode);
  return text.data();
}

std::string how_to_issue(const DoctorFacts& facts) {
  return "issue one: ztna ca issue --role " + std::string(to_string(facts.role)) + " --name NAME";
}

// True: it could be read.
bool judge_readable(const std::string& check, const FileFacts& file, Findings& out) {
  if (!file.error) return true;
  out.push_back(problem(check, file.error->message(),
                        file.missing ? "put it there, or correct CERT_DIR"
                                     : "let the user that the daemon runs as read it"));
  return false;
}

// Of a certificate that begins with `what`. True: a finding was made.
bool judge_dates(const std::string& check, const std::string& what, const Period& period,
                 const DoctorFacts& facts, const std::string& todo, Findings& out) {
  if (facts.now < period.from) {
    out.push_back(problem(check, what + " is not valid before " + base::rfc3339(period.from),
                          "check the clock"));
    return true;
  }
  if (facts.now > period.until) {
    out.push_back(problem(check, what + " expired at " + base::rfc3339(period.until), todo));
    return true;
  }
  const std::int64_t days = daemon::days_left(period.until, facts.now);
  if (days > daemon::expiry_warning_days) return false;
  out.push_back(warning(
      check,
      what + " expires in " + std::to_string(days) + " days, at " + base::rfc3339(period.until),
      todo));
  return true;
}

void judge_certificate(const DoctorFacts& facts, Findings& out) {
  const IdentityFacts& id = *facts.identity;
  const std::string& path = id.certificate.path;
  if (!judge_readable("certificate", id.certificate, out)) return;
  const auto& leaf = id.inspection.leaf;
  if (!leaf) {
    return out.push_back(problem("certificate", leaf.error().message(), how_to_issue(facts)));
  }
  const std::size_t before = out.size();
  if (leaf->role != facts.role) {
    out.push_back(problem("certificate",
                          path + " is the certificate of role " +
                              std::string(to_string(leaf->role)) + ", expected role " +
                              std::string(to_string(facts.role)),
                          how_to_issue(facts) + ", or give --role"));
  }
  const std::string renewal = "renew it: ztna ca renew --role " +
                              std::string(to_string(leaf->role)) + " --name " + leaf->name +
                              ", then SIGHUP";
  if (id.inspection.validity) {
    judge_dates("certificate", path, *id.inspection.validity, facts, renewal, out);
  }
  if (out.size() != before) return;
  out.push_back(ok("certificate",
                   leaf->uri() + ", valid until " + base::rfc3339(leaf->not_after) + " (" +
                       std::to_string(daemon::days_left(leaf->not_after, facts.now)) + " days)"));
}

void judge_key(const DoctorFacts& facts, Findings& out) {
  const IdentityFacts& id = *facts.identity;
  if (!judge_readable("key", id.key, out)) return;
  if (!id.inspection.key) {
    return out.push_back(
        problem("key", id.inspection.key.error().message(),
                "put the key there that was made with the certificate, or " + how_to_issue(facts)));
  }
  if (daemon::is_open_to_others(id.key.mode)) {
    return out.push_back(warning(
        "key", id.key.path + " has mode " + octal(id.key.mode) + ": others may use this identity",
        "chmod g-w,o= " + id.key.path));
  }
  out.push_back(ok("key", id.inspection.leaf ? id.key.path + " belongs to the certificate, mode " +
                                                   octal(id.key.mode)
                                             : id.key.path + " can be read"));
}

void judge_trust(const DoctorFacts& facts, Findings& out) {
  const IdentityFacts& id = *facts.identity;
  if (!judge_readable("trust", id.roots, out)) return;
  const std::string bring = "put the ca-cert.pem of your CA there";
  if (!id.inspection.roots) {
    return out.push_back(problem("trust", id.inspection.roots.error().message(), bring));
  }
  bool told = false;
  for (const Period& period : id.inspection.root_validity) {
    told =
        judge_dates("trust", "a CA certificate in " + id.roots.path, period, facts,
                    "make a new CA (ztna ca init), and trust both while certificates move", out) ||
        told;
  }
  if (!id.inspection.leaf) return;
  if (!id.inspection.issued && !told) {
    return out.push_back(problem("trust", id.inspection.issued.error().message(),
                                 "the same CA has to stand behind all nodes: " + bring +
                                     ", or issue the certificate "
                                     "with it"));
  }
  if (!told) out.push_back(ok("trust", "the certificate is issued by the CA in " + id.roots.path));
}

// What a Connector's certificate lets it serve, and what it is to serve.
void judge_names(const DoctorFacts& facts, Findings& out) {
  const auto& leaf = facts.identity->inspection.leaf;
  if (!leaf || leaf->role != Role::connector || facts.role != Role::connector) return;
  std::vector<std::string> missing;
  std::vector<std::string> all = leaf->serve;  // a new certificate takes the old one's place
  for (const std::string& service : facts.config.services) {
    if (leaf->may_serve(service)) continue;
    missing.push_back(service);
    all.push_back(service);
  }
  const std::string names =
      leaf->serve.empty() ? "no service" : "the services " + listed(leaf->serve);
  if (missing.empty() && !leaf->serve.empty()) {
    return out.push_back(ok("names", "the certificate names " + names));
  }
  out.push_back(problem(
      "names",
      "the certificate names " + names + (missing.empty() ? "" : ", and not " + listed(missing)),
      "issue one that does: ztna ca issue --role connector --name " + leaf->name + " --serve " +
          (all.empty() ? "SERVICE" : listed(all, " "))));
}

// Whatever the single looks did not find: the daemon's own word.
void judge_whole(const DoctorFacts& facts, std::size_t before, Findings& out) {
  const bool told = std::any_of(out.begin() + static_cast<std::ptrdiff_t>(before), out.end(),
                                [](const Finding& f) { return f.verdict == Verdict::problem; });
  if (told || facts.identity->accepted) return;
  out.push_back(
      problem("certificate", facts.identity->accepted.error().message(), how_to_issue(facts)));
}

// --- policy

void judge_node(const DoctorFacts& facts, const policy::Policy& policy,
                const identity::Principal& node, Findings& out) {
  const bool serves = node.role == Role::connector;
  const std::string who = std::string(to_string(node.role)) + " " + node.name;
  const std::string block = serves ? "add a [[serve]] block with connectors and services"
                                   : "add an [[allow]] block with agents and services";
  if (const auto rule = policy.revoked_by(node.spki)) {
    return out.push_back(
        problem("policy", who + ": its key is revoked by " + *rule, how_to_issue(facts)));
  }
  const std::vector<std::string> allowed = policy.services_of(node);
  if (allowed.empty()) {
    return out.push_back(problem(
        "policy", facts.policy->path + " lets " + who + (serves ? " serve" : " reach") + " nothing",
        block + " that name it, here and at the other nodes"));
  }
  bool all = true;
  for (const std::string& service : facts.config.services) {
    if (serves && !node.may_serve(service)) continue;  // told of the certificate
    const auto decision =
        serves ? policy.may_serve(node, service) : policy.may_reach(node, service);
    if (decision.allowed) continue;
    all = false;
    std::string text = who;
    text += serves ? " may not serve " : " may not reach ";
    text += service;
    text += " (" + decision.rule + ")";
    out.push_back(problem("policy", text, block + " that name both"));
  }
  if (!all) return;
  out.push_back(ok("policy", who + (serves ? " may serve " : " may reach ") + listed(allowed)));
}

}  // namespace

void judge_identity(const DoctorFacts& facts, Findings& out) {
  if (!facts.identity) {
    for (const char* const check : {"certificate", "key", "trust"}) {
      out.push_back(skipped(check, "no certificate is named"));
    }
    return;
  }
  const std::size_t before = out.size();
  judge_certificate(facts, out);
  judge_key(facts, out);
  judge_trust(facts, out);
  judge_names(facts, out);
  judge_whole(facts, before, out);
}

void judge_policy(const DoctorFacts& facts, Findings& out) {
  if (!facts.policy) {
    if (facts.role == Role::agent) {
      return out.push_back(skipped("policy",
                                   "Agents have none; the Intermediate's and the "
                                   "Connectors' decide"));
    }
    return out.push_back(problem("policy", "no policy is named, nor beside the certificate",
                                 "set ZTNA_POLICY, or put policy.toml beside the certificate"));
  }
  if (facts.policy->error) {
    return out.push_back(problem("policy", facts.policy->error->message(),
                                 "put it there, or correct --policy or ZTNA_POLICY"));
  }
  const auto policy = policy::Policy::parse(facts.policy->text, facts.policy->path);
  if (!policy) {
    return out.push_back(problem("policy", policy.error().message(), "correct that place"));
  }
  const auto counts = policy->counts();
  if (facts.role == Role::intermediate || !facts.identity || !facts.identity->inspection.leaf) {
    if (counts.lets_nobody_in()) {
      return out.push_back(problem("policy", facts.policy->path + " lets nobody reach anything",
                                   "add [[serve]] and [[allow]] blocks"));
    }
    return out.push_back(ok("policy", facts.policy->path + ": [[serve]] " +
                                          std::to_string(counts.serve) + ", [[allow]] " +
                                          std::to_string(counts.allow)));
  }
  judge_node(facts, *policy, *facts.identity->inspection.leaf, out);
}

}  // namespace ztna::tool
