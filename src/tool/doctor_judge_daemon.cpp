// The daemon on this machine: its ports, whether it runs and is ready, its version, its uplinks.
#include <algorithm>

#include "base/rfc3339.hpp"
#include "tool/doctor_findings.hpp"
#include "tool/status_format.hpp"
#include "tool/status_json.hpp"

namespace ztna::tool {
namespace {

using identity::Role;

// The daemon's document; null when there is none of this role.
Json status_of(const DoctorFacts& facts) {
  if (!facts.daemon.document) return {};
  auto status = parse_status(*facts.daemon.document);
  if (!status || text(*status, "role") != to_string(facts.role)) return {};
  return std::move(*status);
}

std::string name_of(const DoctorFacts& facts, const Json& status) {
  return std::string(to_string(facts.role)) + " " + text(status, "name");
}

bool holds(const Json& status, const base::Address& wanted) {
  return std::ranges::any_of(list(status, "listen"), [&](const Json& each) {
    const auto address = base::Address::parse(scalar_text(each, ""));
    return address && address->port() == wanted.port() &&
           (*address == wanted || address->is_unspecified());
  });
}

void judge_port(const DoctorFacts& facts, const Json& status, const PortFacts& port,
                Findings& out) {
  const std::string check = facts.role == Role::intermediate ? "listen" : "p2p-port";
  const std::string name = "UDP " + port.address.to_string();
  if (!port.error) return out.push_back(ok(check, name + " is free"));
  const bool taken = port.error->code == base::ErrorCode::already_exists;
  // An Agent does not tell where it listens.
  const bool untold = taken && !status.is_null() && list(status, "listen").empty();
  // What it holds it could bind, whatever it says to us: a port below 1024, say.
  if (holds(status, port.address) || untold) {
    return out.push_back(ok(check, name + " is held by the running " + name_of(facts, status) +
                                       (untold ? ", as far as can be told" : "")));
  }
  if (!taken) {
    return out.push_back(problem(check, port.flag + ": " + port.error->message(), {}));
  }
  const std::string number = std::to_string(port.address.port());
  out.push_back(problem(check, name + " is taken by another program",
                        "find it (ss -lunp 'sport = :" + number +
                            "') and stop it, or choose another port with " + port.flag));
}

std::string how_to_start(Role role) {
  return "start " + program_of(role) + ", and look at its log if it ends";
}

void judge_running(const DoctorFacts& facts, const Json& status, Findings& out) {
  const DaemonFacts& daemon = facts.daemon;
  const std::string role(to_string(facts.role));
  if (daemon.off) {
    return out.push_back(skipped("daemon", "the control socket is off: it cannot be asked"));
  }
  if (daemon.socket.empty()) {
    return out.push_back(problem("daemon",
                                 "no " + role + " is running here, looked for " + daemon.looked_for,
                                 how_to_start(facts.role)));
  }
  if (daemon.error) {
    const bool denied = daemon.error->code == base::ErrorCode::permission_denied;
    const bool silent = daemon.error->code == base::ErrorCode::timed_out;
    return out.push_back(problem("daemon", daemon.error->message(),
                                 denied ? "ask as the user that the daemon runs as, or as root"
                                 : silent
                                     ? "it hangs or is stopped: restart " + program_of(facts.role)
                                     : how_to_start(facts.role)));
  }
  if (status.is_null()) {
    return out.push_back(problem("daemon", "no " + role + " answers at " + daemon.socket,
                                 "give --role, or the --control of the " + role));
  }
  const std::string process = name_of(facts, status) + " is running (process " +
                              text(status, "pid") + ", for " +
                              format_age(count(status, "uptime_seconds")) + ")";
  if (flag(status, "ready")) return out.push_back(ok("daemon", process + " and ready"));
  out.push_back(problem(
      "daemon",
      process + ", but NOT ready: " + text(status, "not_ready_reason", text(status, "phase")),
      "what stands above and below tells why; `ztna status` shows all of it"));
}

void judge_version(const DoctorFacts& facts, const Json& status, Findings& out) {
  const std::string version = text(status, "version");
  if (version.substr(0, version.find(' ')) == facts.version) {
    return out.push_back(ok("version", "the daemon and this tool are " + facts.version));
  }
  out.push_back(warning("version", "the daemon is " + version + ", this tool " + facts.version,
                        "install one version, and restart " + program_of(facts.role)));
}

// A certificate that was renewed since, and not read again.
void judge_reload(const DoctorFacts& facts, const Json& status, Findings& out) {
  if (!facts.identity || !facts.identity->inspection.validity) return;
  if (!facts.identity->accepted) return;  // it would stay with what it has
  const Json& used = member(status, "certificate");
  const std::string until = base::rfc3339(facts.identity->inspection.validity->until);
  if (!facts.identity->in_use || text(used, "not_after") == until) return;
  out.push_back(warning("daemon",
                        "it still uses a certificate that ends at " + text(used, "not_after") +
                            ", the file's ends at " + until,
                        "send it SIGHUP: kill -HUP " + text(status, "pid")));
}

void judge_uplinks(const DoctorFacts& facts, const Json& status, Findings& out) {
  const Json& uplinks = list(status, "uplinks");
  const auto is_up = [](const Json& uplink) { return text(uplink, "state") == "up"; };
  const bool any = std::ranges::any_of(uplinks, is_up);
  std::vector<std::string> used;
  for (const Json& uplink : uplinks) {
    used.push_back(text(uplink, "intermediate"));
    if (is_up(uplink)) {
      out.push_back(ok("uplink", used.back() + " is up, round trip " +
                                     format_ms(number(uplink, "rtt_ms").value_or(0)) +
                                     ", sees us as " + text(uplink, "observed_address")));
      continue;
    }
    Finding down = problem("uplink",
                           used.back() + " is " + text(uplink, "state") + ": " +
                               text(uplink, "last_error", "no answer yet"),
                           "it is tried again by itself, once its cause is gone");
    if (any) down.verdict = Verdict::warning;
    out.push_back(std::move(down));
  }
  std::vector<std::string> unused;
  for (const base::HostPort& host : facts.config.intermediates) {
    if (std::ranges::find(used, host.to_string()) == used.end()) unused.push_back(host.to_string());
  }
  if (unused.empty()) return;
  out.push_back(warning("uplink",
                        "the running daemon does not use " + listed(unused) + ", but " +
                            (used.empty() ? "none" : listed(used)),
                        "restart " + program_of(facts.role) + " with this configuration"));
}

void judge_served(const Json& service, Findings& out) {
  const std::string name = text(service, "name");
  const std::string refused = text(service, "refused", "");
  if (!refused.empty()) {
    out.push_back(problem("service", name + " is refused by the Intermediate: " + refused,
                          "the policy there, or the certificate, has to name it"));
  } else if (!flag(service, "healthy")) {
    out.push_back(warning(
        "service", name + ": its backend " + text(service, "backend") + " accepts no connection",
        "start the backend, or correct --service"));
  } else {
    out.push_back(ok("service", name + " is offered, from " + text(service, "backend")));
  }
}

void judge_reachable(const DoctorFacts& facts, const Json& services, Findings& out) {
  std::vector<std::string> seen, healthy;
  for (const Json& service : services) {
    seen.push_back(text(service, "name"));
    const auto is_healthy = [](const Json& each) { return flag(each, "healthy"); };
    if (std::ranges::any_of(list(service, "instances"), is_healthy)) healthy.push_back(seen.back());
  }
  const std::size_t before = out.size();
  for (const std::string& service : facts.config.services) {
    if (std::ranges::find(healthy, service) != healthy.end()) continue;
    const bool known = std::ranges::find(seen, service) != seen.end();
    out.push_back(warning("service",
                          service + (known ? ": no Connector offers it now, or its backend is away"
                                           : " is not among what this Agent may see"),
                          "look at the Connector with `ztna doctor`, and at the policy"));
  }
  if (out.size() != before) return;
  if (seen.empty()) {
    return out.push_back(warning("service", "this Agent sees no service",
                                 "the policy allows it none, or no Connector is up"));
  }
  out.push_back(ok("service", "this Agent sees " + listed(seen)));
}

void judge_services(const DoctorFacts& facts, const Json& status, Findings& out) {
  const Json& services = list(status, "services");
  if (facts.role == Role::connector) {
    for (const Json& service : services) judge_served(service, out);
  } else if (facts.role == Role::agent && flag(status, "ready")) {
    judge_reachable(facts, services, out);
  }
}

}  // namespace

void judge_daemon(const DoctorFacts& facts, Findings& out) {
  const Json status = status_of(facts);
  for (const PortFacts& port : facts.ports) judge_port(facts, status, port, out);
  judge_running(facts, status, out);
  if (status.is_null()) return;
  judge_version(facts, status, out);
  judge_reload(facts, status, out);
  if (facts.role != Role::intermediate) judge_uplinks(facts, status, out);
  judge_services(facts, status, out);
}

}  // namespace ztna::tool
