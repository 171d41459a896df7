#include "tool/quickstart_state.hpp"

#include <algorithm>

#include "tool/status_json.hpp"

namespace ztna::tool {
namespace {

tl::unexpected<base::Error> untold(std::string what) {
  return base::fail(base::ErrorCode::protocol, std::move(what));
}

// The element of `key` whose `name` is `value`, or null.
const Json& element(const Json& status, std::string_view key, std::string_view name,
                    const std::string& value) {
  static const Json none;
  for (const Json& each : list(status, key)) {
    if (text(each, name) == value) return each;
  }
  return none;
}

Json parsed(std::string_view status) {
  auto json = parse_status(status);
  return json ? std::move(*json) : Json::object();
}

}  // namespace

std::optional<std::string> not_ready(std::string_view status) {
  const Json json = parsed(status);
  if (flag(json, "ready")) return std::nullopt;
  return text(json, "not_ready_reason", "not ready");
}

base::Result<base::Address> listen_address(std::string_view status) {
  const Json json = parsed(status);
  const Json& addresses = list(json, "listen");
  if (addresses.empty()) return untold("its status does not say where it listens");
  return base::Address::parse(scalar_text(addresses.front(), "-"));
}

bool sees_service(std::string_view agent, const std::string& service) {
  const Json json = parsed(agent);
  const Json& instances = list(element(json, "services", "name", service), "instances");
  return std::ranges::any_of(instances, [](const Json& each) { return flag(each, "healthy"); });
}

base::Result<base::Address> forward_address(std::string_view agent, const std::string& service) {
  const Json json = parsed(agent);
  const std::string listen = text(element(json, "forwards", "service", service), "listen", "");
  const auto scheme = listen.find("://");
  if (scheme == std::string::npos) return untold("its status shows no forward to " + service);
  return base::Address::parse(std::string_view(listen).substr(scheme + 3));
}

std::uint64_t flows_carried(std::string_view connector, const std::string& service) {
  const Json json = parsed(connector);
  return count(element(json, "services", "name", service), "flows_total");
}

std::string last_failure(std::string_view agent) {
  const Json json = parsed(agent);
  const Json& failures = list(json, "failures");
  if (failures.empty()) return {};
  const Json* latest = &failures.front();
  for (const Json& each : failures) {
    if (count(each, "ago_s") <= count(*latest, "ago_s")) latest = &each;
  }
  const std::string detail = text(*latest, "detail", "");
  return text(*latest, "reason") + (detail.empty() ? "" : " (" + detail + ")");
}

base::Result<SessionFacts> session_facts(std::string_view agent) {
  const Json json = parsed(agent);
  const Json& session = element(json, "sessions", "state", "ready");
  if (session.is_null()) return untold("the Agent has no session that is ready");
  SessionFacts facts;
  facts.id = text(session, "id");
  facts.agent = "spiffe://" + text(json, "trust_domain") + "/agent/" + text(json, "name");
  facts.connector = text(session, "with");
  facts.path = text(session, "path");
  facts.relay = text(session, "peer");
  facts.rtt_ms = number(session, "rtt_ms").value_or(0);
  const std::string version = text(json, "version");  // "0.1.0 (AEAD: ipsec-mb)"
  constexpr std::string_view label = "AEAD: ";
  if (const auto at = version.find(label); at != std::string::npos) {
    const auto from = at + label.size();
    facts.aead = version.substr(from, version.find(')', from) - from);
  }
  return facts;
}

base::Result<RelayFacts> relay_facts(std::string_view intermediate, const std::string& session) {
  const Json json = parsed(intermediate);
  const Json& found = element(json, "sessions", "id", session);
  if (found.is_null()) return untold("the Intermediate does not know session " + session);
  return RelayFacts{count(found, "packets"), count(found, "bytes")};
}

}  // namespace ztna::tool
