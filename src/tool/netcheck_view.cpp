#include "tool/netcheck_view.hpp"

#include <algorithm>
#include <chrono>
#include <set>
#include <vector>

#include "base/rfc3339.hpp"
#include "logging/format.hpp"
#include "nat/outlook.hpp"
#include "tool/status_format.hpp"
#include "tool/status_json.hpp"
#include "tool/text_table.hpp"

namespace ztna::tool {
namespace {

using nat::Behaviour;
using nat::Dependence;
using nat::MappingSeen;
using Rows = std::vector<std::vector<std::string>>;

std::int64_t seconds(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

std::string yes_no(const std::optional<bool>& value, const std::string& otherwise) {
  return !value ? otherwise : *value ? "yes" : "no";
}

// Every IP that a server saw us come from, each once; `of` picks the member.
std::vector<std::string> addresses(const NetcheckFamily& family, base::Address MappingSeen::* of) {
  std::vector<std::string> all;
  for (const MappingSeen& seen : family.report.seen.mappings) {
    const std::string ip = (seen.*of).ip();
    if (std::ranges::find(all, ip) == all.end()) all.push_back(ip);
  }
  return all;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

// Why there is nothing to tell; empty when UDP works.
std::string why_not(const NetcheckFamily& family) {
  if (family.report.udp()) return {};
  if (family.servers.empty()) return "no Intermediate has an address of this kind";
  if (!family.machine_has) return "this machine has no address of this kind";
  return "UDP: no answer";
}

std::string mtu_text(const nat::SurveyReport& report) {
  if (!report.mtu) return "could not be told (the server returns no padding)";
  std::string text = std::to_string(*report.mtu) + " octets go both ways in one piece";
  if (report.too_large) text += ", " + std::to_string(*report.too_large) + " do not";
  return text;
}

std::string lifetime_text(const nat::SurveyReport& report, bool asked) {
  if (!asked) return "not measured (--binding-lifetime)";
  if (!report.lifetime) return "could not be told (the server knows no RESPONSE-PORT)";
  const auto least = seconds(report.lifetime->at_least), less = seconds(report.lifetime->less_than);
  if (less == 0) return "more than " + std::to_string(least) + " s of silence";
  if (least == 0) return "less than " + std::to_string(less) + " s of silence";
  return "between " + std::to_string(least) + " and " + std::to_string(less) + " s of silence";
}

std::string preservation_text(const Behaviour& behaviour) {
  return yes_no(behaviour.preserves_ports, "no NAT");
}
std::string hairpin_text(const Behaviour& behaviour) {
  return yes_no(behaviour.hairpins,
                behaviour.mapping == Dependence::none ? "no NAT" : "could not be told");
}

std::string servers_table(const nat::SurveyReport& report) {
  Rows rows = {{"asked", "saw us as", "RTT"}};
  for (const auto& asked : report.asked) {
    rows.push_back({asked.server.to_string(),
                    asked.mapped ? asked.mapped->to_string() : "no answer",
                    asked.rtt ? format_ms(base::to_ms(*asked.rtt)) : ""});
  }
  return text_table("  ", rows);
}

std::string family_text(const NetcheckFamily& family, const NetcheckResult& result) {
  const std::string name = family.family == base::Family::v4 ? "IPv4" : "IPv6";
  if (const std::string why = why_not(family); !why.empty()) {
    return name + ": " + why + "\n" +
           (family.report.asked.empty() ? "" : "\n" + servers_table(family.report));
  }
  const Behaviour behaviour = nat::classify(family.report.seen);
  Rows rows = {{"public address", joined(addresses(family, &MappingSeen::mapped))},
               {"this machine", joined(addresses(family, &MappingSeen::local))},
               {"kind", nat::common_name(behaviour)},
               {"mapping", std::string(to_string(behaviour.mapping))},
               {"filtering", std::string(to_string(behaviour.filtering))},
               {"keeps ports", preservation_text(behaviour)},
               {"hairpins", hairpin_text(behaviour)},
               {"packet size", mtu_text(family.report)},
               {"mapping lives", lifetime_text(family.report, result.lifetime_asked)}};
  if (behaviour.carrier_grade) rows.push_back({"carrier's NAT", behaviour.carrier_grade_sign});
  std::string text = name + ": UDP works\n" + text_table("  ", rows);
  text += "\n" + servers_table(family.report);
  rows = {{"towards a peer with", "expect"}};
  for (const auto& outlook : nat::outlooks(behaviour, true)) {
    rows.push_back({outlook.peer, outlook.sentence});
  }
  text += "\n" + text_table("  ", rows);
  for (const std::string& question : behaviour.open_questions) text += "\n  " + question + ".";
  return behaviour.open_questions.empty() ? text : text + "\n";
}

Json null_or(const std::optional<bool>& value) { return value ? Json(*value) : Json(); }
Json null_or(const std::optional<std::uint16_t>& value) { return value ? Json(*value) : Json(); }

Json lifetime_json(const std::optional<nat::MappingLifetime>& lifetime) {
  if (!lifetime) return {};
  const auto less = seconds(lifetime->less_than);
  return {{"at_least_s", seconds(lifetime->at_least)},
          {"less_than_s", less == 0 ? Json() : Json(less)}};
}

Json family_json(const NetcheckFamily& family) {
  Json json = {{"udp", family.report.udp()}};
  if (const std::string why = why_not(family); !why.empty()) json["why"] = why;
  Json asked = Json::array();
  for (const auto& each : family.report.asked) {
    asked.push_back({{"server", each.server.to_string()},
                     {"mapped", each.mapped ? Json(each.mapped->to_string()) : Json()},
                     {"rtt_ms", each.rtt ? Json(base::to_ms(*each.rtt)) : Json()}});
  }
  json["asked"] = std::move(asked);
  if (!family.report.udp()) return json;
  const Behaviour behaviour = nat::classify(family.report.seen);
  json["public_addresses"] = addresses(family, &MappingSeen::mapped);
  json["local_addresses"] = addresses(family, &MappingSeen::local);
  json["kind"] = nat::common_name(behaviour);
  json["mapping"] = to_string(behaviour.mapping);
  json["filtering"] = to_string(behaviour.filtering);
  json["preserves_ports"] = null_or(behaviour.preserves_ports);
  json["hairpins"] = null_or(behaviour.hairpins);
  json["carrier_grade_sign"] =
      behaviour.carrier_grade ? Json(behaviour.carrier_grade_sign) : Json();
  json["mtu"] = null_or(family.report.mtu);
  json["mtu_too_large"] = null_or(family.report.too_large);
  json["binding_lifetime"] = lifetime_json(family.report.lifetime);
  Json peers = Json::array();
  for (const auto& outlook : nat::outlooks(behaviour, true)) {
    peers.push_back({{"peer", outlook.peer}, {"expect", to_string(outlook.outcome)}});
  }
  json["peers"] = std::move(peers);
  json["open_questions"] = behaviour.open_questions;
  return json;
}

std::vector<std::string> names(const std::vector<base::HostPort>& hosts) {
  std::vector<std::string> all;
  for (const base::HostPort& host : hosts) all.push_back(host.to_string());
  return all;
}

// The ports that one socket had towards each server: the same number everywhere is no symmetric
// NAT.
std::string ports_text(const NetcheckFamily& family, const Behaviour& behaviour) {
  std::vector<std::string> ports;
  for (const auto& asked : family.report.asked) {
    if (asked.mapped) ports.push_back(std::to_string(asked.mapped->port()));
  }
  const std::set<std::string> distinct(ports.begin(), ports.end());
  std::string text = "(" + std::to_string(ports.size()) + " tests, by STUN): " + joined(ports);
  if (ports.size() < 2) return text + " (one test tells nothing)";
  if (distinct.size() > 1) return text + " (differ = symmetric)";
  return text + (behaviour.mapping == Dependence::independent_or_address_dependent
                     ? " (consistent, from one server address)"
                     : " (consistent = not symmetric)");
}

std::string family_record(const NetcheckFamily& family, const NetcheckResult& result) {
  const std::string name = family.family == base::Family::v4 ? "IPv4" : "IPv6";
  if (const std::string why = why_not(family); !why.empty()) return "- " + name + ": " + why + "\n";
  const Behaviour behaviour = nat::classify(family.report.seen);
  std::string expected;
  for (const auto& outlook : nat::outlooks(behaviour, true)) {
    expected += (expected.empty() ? "" : "; ") + outlook.peer + ": " +
                (outlook.outcome == nat::Outcome::open ? std::string("could not be told")
                                                       : std::string(to_string(outlook.outcome)));
  }
  return "- " + name + " result: " + nat::common_name(behaviour) + " (mapping " +
         std::string(to_string(behaviour.mapping)) + ", filtering " +
         std::string(to_string(behaviour.filtering)) + ")\n" +                 //
         "- " + name + " QAD ports " + ports_text(family, behaviour) + "\n" +  //
         "- " + name + " port preserved: " + preservation_text(behaviour) +
         "; hairpins: " + hairpin_text(behaviour) + "\n" +                  //
         "- " + name + " packet size: " + mtu_text(family.report) + "\n" +  //
         "- " + name + " mapping lives: " + lifetime_text(family.report, result.lifetime_asked) +
         "\n" +  //
         "- " + name + " expected by peer: " + expected + "\n";
}

}  // namespace

std::string netcheck_text(const NetcheckResult& result) {
  return family_text(result.v4, result) + "\n" + family_text(result.v6, result);
}

std::string netcheck_json(const NetcheckResult& result) {
  const Json json = {{"intermediates", names(result.intermediates)},
                     {"unknown_hosts", result.unknown_hosts},
                     {"udp", result.udp()},
                     {"ipv4", family_json(result.v4)},
                     {"ipv6", family_json(result.v6)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string netcheck_record(const NetcheckResult& result, const NetcheckRecord& record) {
  std::string name = logging::escaped(record.name);
  if (name.empty()) {
    const auto& family = result.v4.report.udp() ? result.v4 : result.v6;
    const auto seen = addresses(family, &MappingSeen::mapped);
    name = seen.empty() ? "A network without UDP" : "Network of " + seen.front();
  }
  return "\n## " + name + "\n" +  //
         "- Router: " + (record.router.empty() ? "not told" : logging::escaped(record.router)) +
         "\n" +                                                             //
         "- Date: " + base::rfc3339(record.at) + "\n" +                     //
         "- Intermediate: " + joined(names(result.intermediates)) + "\n" +  //
         "- External tool result: not used; the results below are `ztna netcheck` (RFC 5780)\n" +
         family_record(result.v4, result) + family_record(result.v6, result) +
         "- Hole punch success: " +
         (record.sessions == 0 ? "not tried; `ztna ping SERVICE --until-direct` tells"
                               : std::to_string(record.direct_sessions) + " of " +
                                     std::to_string(record.sessions) + " live sessions direct") +
         "\n";
}

}  // namespace ztna::tool
