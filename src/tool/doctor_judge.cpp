#include "tool/doctor_judge.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/rfc3339.hpp"
#include "config/values.hpp"
#include "tool/doctor_findings.hpp"
#include "tool/status_format.hpp"

namespace ztna::tool {
namespace {

using config::EnvironmentFile;

std::string at_line(const EnvFacts& env, std::size_t line) {
  return env.path + ":" + std::to_string(line);
}

void judge_entry(const EnvFacts& env, const EnvironmentFile::Entry& entry, Findings& out) {
  const std::string place = at_line(env, entry.line) + ": " + entry.name;
  if (is_placeholder(entry.value)) {
    out.push_back(problem("env",
                          place + " is still the placeholder " + config::in_quotes(entry.value),
                          "put the real value there"));
  } else if (entry.value.find('$') != std::string::npos) {
    out.push_back(
        warning("env",
                place + " is " + config::in_quotes(entry.value) +
                    ": only shells replace what follows a $, systemd and containers do not",
                "write the value itself"));
  }
}

// Names that nobody reads: slips get a finding each, others are returned.
std::vector<std::string> judge_names(const EnvFacts& env, Findings& out) {
  const std::vector<std::string> known = config::known_variables();
  std::vector<std::string> foreign;
  std::set<std::string> seen;
  for (const EnvironmentFile::Entry& entry : env.file.entries) {
    const std::string place = at_line(env, entry.line) + ": " + entry.name;
    if (!seen.insert(entry.name).second) {
      out.push_back(
          warning("env", place + " is set twice, and the last counts", "keep one of them"));
      continue;
    }
    if (std::ranges::binary_search(known, entry.name)) continue;
    const std::string meant = config::suggest(entry.name, known);
    if (!meant.empty()) {
      out.push_back(warning("env", place + " is read by no daemon",
                            "did you mean " + meant + "? Else remove it"));
    } else if (entry.name.starts_with("ZTNA_") && !entry.name.starts_with("ZTNA_AWS_")) {
      out.push_back(warning("env", place + " is read by no daemon",
                            "see --help of the daemons: each flag has its variable"));
    } else {
      foreign.push_back(entry.name);
    }
  }
  return foreign;
}

void judge_env(const DoctorFacts& facts, Findings& out) {
  if (!facts.env) {
    return out.push_back(skipped("env", "no --env FILE is given; the environment counts"));
  }
  const EnvFacts& env = *facts.env;
  const std::size_t before = out.size();
  for (const EnvironmentFile::Slip& slip : env.file.slips) {
    out.push_back(problem("env", at_line(env, slip.line) + ": " + slip.what, "correct that line"));
  }
  for (const EnvironmentFile::Entry& entry : env.file.entries) judge_entry(env, entry, out);
  const std::vector<std::string> foreign = judge_names(env, out);
  if (out.size() != before) return;
  std::string text = env.path + ": " + std::to_string(env.file.entries.size()) + " names";
  if (!foreign.empty()) text += ", of which no daemon reads " + listed(foreign);
  out.push_back(ok("env", std::move(text)));
}

bool is_about_services(const base::Error& gap) {
  return (gap.what.starts_with("is missing") || gap.what.starts_with("needs ")) &&
         (gap.where == "--service" || gap.where.ends_with("SERVICE_ID") ||
          gap.where.ends_with("LOCAL_ADDR"));
}

std::string how_to_fill(const base::Error& gap) {
  if (gap.where == "--intermediate") {
    return "set INTERMEDIATE_HOST and INTERMEDIATE_PORT in the env file, or give --intermediate "
           "HOST[:PORT]";
  }
  if (gap.where == "--cert-dir" || gap.where == "--cert" || gap.where == "--key" ||
      gap.where == "--ca") {
    return "set CERT_DIR in the env file to the folder that `ztna ca issue` made, or give "
           "--cert-dir DIR";
  }
  return "correct it where it is set";
}

void judge_gaps(const DoctorFacts& facts, Findings& out) {
  bool told_services = false;
  for (const base::Error& gap : facts.config.gaps) {
    if (gap.where == "--control" || gap.where == "--policy") continue;  // looked at by themselves
    if (!is_about_services(gap)) {
      out.push_back(problem("config", gap.message(), how_to_fill(gap)));
    } else if (!std::exchange(told_services, true) && !facts.daemon.document) {
      out.push_back(warning("config", "no service with its backend is named for the Connector",
                            "set ZTNA_SERVICE=NAME=tcp://HOST:PORT, or start app-connector with "
                            "--service"));
    }
  }
}

void judge_config(const DoctorFacts& facts, Findings& out) {
  const ConfigFacts& config = facts.config;
  const std::size_t before = out.size();
  for (const base::Error& error : config.errors) {
    out.push_back(problem("config", error.message(), "correct it where it is set"));
  }
  for (const std::string& text : config.warnings) {
    // A file for all machines names it, and it is looked at as a name of a service.
    if (text.starts_with("environment variable SERVICE_ID: ignored")) continue;
    out.push_back(warning("config", text, {}));
  }
  if (!config.not_here.empty()) {
    out.push_back(warning("config",
                          config.not_here + " is not on this machine; what the running daemon has "
                                            "is looked at instead",
                          "if these are the settings of this machine, correct CERT_DIR"));
  }
  judge_gaps(facts, out);
  if (out.size() != before) return;
  std::string text = std::string(to_string(facts.role)) + " (" + facts.role_told_by + ")";
  for (const base::HostPort& host : config.intermediates)
    text += ", Intermediate " + host.to_string();
  text += ", certificate " + config.identity.certificate;
  if (config.from_daemon) text += "; as the running daemon has it";
  out.push_back(ok("config", std::move(text)));
}

// The first moment at which all the certificates are valid; nothing when none can be read.
std::optional<base::WallTime> certificates_begin(const DoctorFacts& facts) {
  if (!facts.identity) return std::nullopt;
  const identity::Inspection& inspection = facts.identity->inspection;
  std::optional<base::WallTime> latest;
  if (inspection.validity) latest = inspection.validity->from;
  for (const identity::Period& period : inspection.root_validity) {
    if (!latest || period.from > *latest) latest = period.from;
  }
  return latest;
}

void judge_clock(const DoctorFacts& facts, Findings& out) {
  const std::string now = base::rfc3339(facts.now);
  const std::string set_it = "set the clock, and let NTP keep it: timedatectl set-ntp true";
  if (const auto begin = certificates_begin(facts); begin && facts.now < *begin) {
    return out.push_back(problem("clock",
                                 now + " is before the certificates begin, at " +
                                     base::rfc3339(*begin) +
                                     ": this clock is late, or the CA's was "
                                     "early",
                                 set_it));
  }
  if (!facts.clock.known) {
    return out.push_back(
        warning("clock", now + "; whether NTP keeps it, the system does not tell", set_it));
  }
  if (!facts.clock.synchronised) {
    return out.push_back(warning("clock", now + ", and NTP does not keep it", set_it));
  }
  out.push_back(ok("clock", now + ", kept by NTP, off by at most " +
                                format_ms(base::to_ms(facts.clock.error_at_most))));
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok: return "ok";
    case Verdict::warning: return "warning";
    case Verdict::problem: return "problem";
    case Verdict::skipped: return "skipped";
  }
  return "unknown";
}

std::string listed(const std::vector<std::string>& names, std::string_view between) {
  std::string text;
  for (const std::string& name : names) text.append(text.empty() ? "" : between).append(name);
  return text;
}

std::string program_of(identity::Role role) {
  switch (role) {
    case identity::Role::intermediate: return "intermediate-server";
    case identity::Role::connector: return "app-connector";
    case identity::Role::agent: return "ztna-agent";
  }
  return "unknown";
}

bool is_placeholder(std::string_view value) {
  const auto open = value.find('<');
  return open != std::string_view::npos && value.find('>', open) != std::string_view::npos;
}

std::vector<Finding> judge(const DoctorFacts& facts) {
  Findings all;
  judge_env(facts, all);
  judge_config(facts, all);
  judge_network(facts, all);
  judge_clock(facts, all);
  judge_identity(facts, all);
  judge_policy(facts, all);
  judge_daemon(facts, all);
  return all;
}

}  // namespace ztna::tool
