// Names, and UDP to the Intermediates.
#include <algorithm>

#include "tool/doctor_findings.hpp"
#include "tool/status_format.hpp"

namespace ztna::tool {
namespace {

std::string addresses_text(const NameFacts& name) {
  std::string text;
  for (const base::Address& address : name.addresses) {
    text += (text.empty() ? "" : ", ") + address.ip();
  }
  return text;
}

void judge_name(const NameFacts& name, Findings& out) {
  const std::string& host = name.host.host;
  if (name.literal) return out.push_back(ok("dns", host + " is an address, nothing to look up"));
  if (!name.addresses.empty()) {
    return out.push_back(ok("dns", host + " is " + addresses_text(name)));
  }
  if (!name.in_time) {
    return out.push_back(problem(
        "dns",
        host + ": no answer in " + format_ms(base::to_ms(lookup_limit)) + " from the resolver",
        "check this machine's network and /etc/resolv.conf"));
  }
  out.push_back(problem("dns", "no address is known for " + host,
                        "check its spelling, its record in DNS, and this machine's resolver"));
}

std::string nat_text(const AskedFacts& asked) {
  if (asked.mapped->ip() == asked.local.ip()) {
    return "no NAT between (" + asked.local.ip() + ")";
  }
  return "this machine (" + asked.local.ip() + ") is behind a NAT, seen as " +
         asked.mapped->to_string();
}

std::string advice(const AskedFacts& asked) {
  const std::string port = std::to_string(asked.server.port());
  if (asked.second) {
    return "start the Intermediate with --alt-listen ADDR:" + port + " and let UDP " + port +
           " in; without it, `ztna netcheck` cannot tell NATs apart";
  }
  if (!asked.not_sent.empty()) return "check this machine's network, routes and firewall";
  return "check that the Intermediate runs and listens there, that its firewall (and the cloud's) "
         "lets UDP " +
         port + " in, and that this network lets UDP out";
}

Finding no_answer(const AskedFacts& asked) {
  const std::string text =
      asked.server.to_string() + (asked.not_sent.empty()
                                      ? ": no answer in " + format_ms(base::to_ms(answer_limit))
                                      : ": nothing can be sent: " + asked.not_sent);
  if (asked.second) return warning("udp-alt", text, advice(asked));
  return problem("udp", text, advice(asked));
}

// One port of one Intermediate, by all of its addresses. True: it answers.
bool judge_port(const DoctorFacts& facts, const base::HostPort& host, bool second, Findings& out) {
  std::vector<const AskedFacts*> answered, silent;
  for (const AskedFacts& asked : facts.asked) {
    if (asked.host != host || asked.second != second) continue;
    (asked.mapped ? answered : silent).push_back(&asked);
  }
  for (const AskedFacts* asked : answered) {
    out.push_back(ok(second ? "udp-alt" : "udp", asked->server.to_string() + " answers in " +
                                                     format_ms(base::to_ms(asked->rtt)) + ", " +
                                                     nat_text(*asked)));
  }
  for (const AskedFacts* asked : silent) {
    Finding finding = no_answer(*asked);
    // One address that answers is enough; a family that this machine does not have is no fault.
    if (!answered.empty()) finding.verdict = Verdict::warning;
    if (!answered.empty() && !asked->not_sent.empty()) continue;
    out.push_back(std::move(finding));
  }
  return !answered.empty();
}

}  // namespace

void judge_network(const DoctorFacts& facts, Findings& out) {
  if (facts.role == identity::Role::intermediate) {
    return out.push_back(
        skipped("udp",
                "whether this Intermediate is reached, another machine tells: `ztna netcheck "
                "--intermediate HOST:PORT`"));
  }
  if (facts.config.intermediates.empty()) {
    out.push_back(skipped("dns", "no Intermediate is named"));
    return out.push_back(skipped("udp", "no Intermediate is named"));
  }
  for (const NameFacts& name : facts.names) {
    judge_name(name, out);
    if (name.addresses.empty()) {
      out.push_back(skipped("udp", "no address of " + name.host.host + " to ask"));
    } else if (!judge_port(facts, name.host, false, out)) {
      out.push_back(skipped("udp-alt", "the first port does not answer"));
    } else {
      judge_port(facts, name.host, true, out);
    }
  }
}

}  // namespace ztna::tool
