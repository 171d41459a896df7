#include "tool/status_view.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "tool/status_format.hpp"
#include "tool/status_json.hpp"
#include "tool/text_table.hpp"

namespace ztna::tool {
namespace {

using Row = std::vector<std::string>;
using Rows = std::vector<Row>;

std::string ms(const Json& object, std::string_view key) {
  const auto value = number(object, key);
  return value ? format_ms(*value) : "-";
}

std::string age(const Json& object, std::string_view key) {
  return number(object, key) ? format_age(count(object, key)) : "-";
}

std::string octets(const Json& object, std::string_view key) {
  return format_octets(count(object, key));
}

// "connector/home" of "spiffe://example.org/connector/home": the trust domain is in the headline.
std::string short_name(const std::string& uri) {
  constexpr std::string_view scheme = "spiffe://";
  const auto slash = uri.starts_with(scheme) ? uri.find('/', scheme.size()) : std::string::npos;
  return slash == std::string::npos ? uri : uri.substr(slash + 1);
}

std::string joined(const Json& values) {
  std::string all;
  for (const Json& each : values) {
    all += (all.empty() ? "" : ", ") + scalar_text(each, "-");
  }
  return all.empty() ? "-" : all;
}

// A titled table, or one line when there is nothing to list.
std::string section(const std::string& title, Row header, const Rows& rows) {
  if (rows.empty()) return "  " + title + ": none\n";
  Rows all{std::move(header)};
  all.insert(all.end(), rows.begin(), rows.end());
  return "  " + title + "\n" + text_table("    ", all);
}

std::string headline(const Json& status) {
  std::string line = text(status, "role") + " " + text(status, "name") + " of " +
                     text(status, "trust_domain") + ": ";
  const std::string phase = text(status, "phase");
  if (flag(status, "ready")) {
    line += "ready";
  } else {
    line += "NOT ready (" + text(status, "not_ready_reason", phase) + ")";
  }
  line += ", up " + age(status, "uptime_seconds") + ", version " + text(status, "version") +
          ", process " + text(status, "pid") + "\n";
  const auto days = number(member(status, "certificate"), "days_left");
  if (days && *days < 14) {
    line += "  WARNING: its certificate " +
            (*days < 0 ? "has expired"
                       : "expires in " + std::to_string(static_cast<int>(*days)) + " days") +
            " (" + text(member(status, "certificate"), "file") + ")\n";
  }
  return line;
}

std::string uplinks_of_node(const Json& status) {
  Rows rows;
  for (const Json& uplink : list(status, "uplinks")) {
    const bool off = member(uplink, "relay_carries_flows") == Json(false);
    rows.push_back({text(uplink, "intermediate"),
                    text(uplink, "state") + (off ? ", relay off" : ""), ms(uplink, "rtt_ms"),
                    text(uplink, "observed_address"), text(uplink, "connects"),
                    text(uplink, "last_error")});
  }
  return section("uplinks", {"INTERMEDIATE", "STATE", "RTT", "SEEN AS", "CONNECTS", "LAST ERROR"},
                 rows);
}

std::string loss(const Json& session) {
  const std::uint64_t sent = count(session, "packets_sent");
  const std::uint64_t lost = count(session, "packets_lost");
  if (sent == 0) return "-";
  std::array<char, 32> percent{};
  std::snprintf(percent.data(), percent.size(), "%.2f %%",
                100.0 * static_cast<double>(lost) / static_cast<double>(sent));
  return percent.data();
}

// The last moves between paths, of all sessions, the newest first.
std::string switches_of_node(const Json& status) {
  constexpr std::size_t shown = 8;
  std::vector<std::pair<double, Row>> all;
  for (const Json& session : list(status, "sessions")) {
    for (const Json& change : list(session, "switches")) {
      const double ago = number(change, "ago_s").value_or(0);
      all.push_back(
          {ago,
           {format_age(static_cast<std::uint64_t>(ago)) + " ago", short_name(text(session, "with")),
            text(change, "from") + " → " + text(change, "to"), text(change, "peer"),
            text(change, "reason"), ms(change, "rtt_ms")}});
    }
  }
  if (all.empty()) return {};
  std::ranges::stable_sort(all, {}, &std::pair<double, Row>::first);
  Rows rows;
  for (auto& [ago, row] : all) {
    if (rows.size() < shown) rows.push_back(std::move(row));
  }
  return section("path switches", {"WHEN", "WITH", "MOVE", "PEER", "REASON", "RTT"}, rows);
}

// Why the session is where it is; on the relay, what keeps it from a direct path.
std::string why(const Json& session) {
  const std::string reason = text(session, "path_reason");
  const std::string obstacle = text(session, "obstacle", "none");
  if (obstacle == "no_candidates") return reason + ", no direct path wanted";
  if (obstacle == "no_answer") return reason + ", no direct way yet";
  if (obstacle == "one_way") return reason + ", direct one way only";
  if (obstacle == "slower") return reason + ", direct is slower";
  if (obstacle == "resting") return reason + ", direct was in doubt";
  return reason;
}

std::string sessions_of_node(const Json& status) {
  Rows rows;
  for (const Json& session : list(status, "sessions")) {
    rows.push_back({short_name(text(session, "with")), text(session, "state"),
                    text(session, "path") + " via " + text(session, "peer"), ms(session, "rtt_ms"),
                    loss(session), age(session, "path_age_s"), why(session), text(session, "flows"),
                    octets(session, "bytes_sent") + " / " + octets(session, "bytes_received"),
                    text(session, "id").substr(0, 8)});
  }
  return section("sessions",
                 {"WITH", "STATE", "PATH", "RTT", "LOSS", "SINCE", "WHY", "FLOWS",
                  "SENT / RECEIVED", "ID"},
                 rows) +
         switches_of_node(status);
}

std::string instances(const Json& service) {
  std::string all;
  for (const Json& instance : list(service, "instances")) {
    all += (all.empty() ? "" : ", ") + short_name(text(instance, "connector"));
    if (!flag(instance, "healthy")) all += " (unhealthy)";
  }
  return all.empty() ? "nobody offers it now" : all;
}

std::string agent_sections(const Json& status) {
  Rows services;
  for (const Json& service : list(status, "services")) {
    services.push_back({text(service, "name"), text(service, "protocol"), text(service, "port"),
                        instances(service), text(service, "auto_forward")});
  }
  Rows forwards;
  for (const Json& forward : list(status, "forwards")) {
    forwards.push_back(
        {text(forward, "listen"), text(forward, "service"), text(forward, "connections")});
  }
  if (member(status, "socks").is_string()) {
    forwards.push_back({"socks5://" + text(status, "socks"), "any", "-"});
  }
  Rows failures;
  for (const Json& failure : list(status, "failures")) {
    failures.push_back({age(failure, "ago_s") + " ago", text(failure, "service"),
                        text(failure, "reason"), text(failure, "detail", "")});
  }
  return section("services", {"NAME", "PROTOCOL", "PORT", "OFFERED BY", "LOCAL ADDRESS"},
                 services) +
         section("forwards", {"LISTEN", "SERVICE", "CONNECTIONS"}, forwards) +
         section("last failures", {"WHEN", "SERVICE", "REASON", "DETAIL"}, failures);
}

// One row a service, however many flows there are.
std::string flow_summary(const Json& status) {
  struct Sum {
    std::string service;
    std::uint64_t flows = 0, to_service = 0, to_agent = 0, oldest = 0;
  };
  std::vector<Sum> sums;
  for (const Json& flow : list(status, "flows")) {
    const std::string service = text(flow, "service");
    auto at = std::ranges::find(sums, service, &Sum::service);
    if (at == sums.end()) at = sums.insert(sums.end(), Sum{service});
    ++at->flows;
    at->to_service += count(flow, "bytes_to_service");
    at->to_agent += count(flow, "bytes_to_agent");
    at->oldest = std::max(at->oldest, count(flow, "age_s"));
  }
  Rows rows;
  for (const Sum& sum : sums) {
    rows.push_back({sum.service, format_count(sum.flows), format_octets(sum.to_service),
                    format_octets(sum.to_agent), format_age(sum.oldest)});
  }
  return section("open flows", {"SERVICE", "FLOWS", "TO SERVICE", "TO AGENT", "OLDEST"}, rows);
}

std::string connector_sections(const Json& status) {
  Rows rows;
  for (const Json& service : list(status, "services")) {
    std::string state = flag(service, "healthy") ? "healthy" : "UNHEALTHY";
    const std::string refused = text(service, "refused", "");
    if (!refused.empty()) state += ", refused: " + refused;
    rows.push_back({text(service, "name"), text(service, "protocol"), text(service, "backend"),
                    state, text(service, "flows"), text(service, "flows_total")});
  }
  return section("services", {"NAME", "PROTOCOL", "BACKEND", "STATE", "FLOWS", "TOTAL"}, rows) +
         "  listens on " + joined(list(status, "listen")) + "\n";
}

std::string relay_summary(const Json& status) {
  const Json& relay = member(status, "relay");
  std::string line = std::string("  relay: ") + (flag(relay, "on") ? "on" : "OFF") + ", " +
                     format_count(count(relay, "packets")) + " packets, " + octets(relay, "bytes");
  const Json& dropped = member(relay, "dropped");
  std::string reasons;
  if (dropped.is_object()) {
    for (const auto& [reason, unused] : dropped.items()) {
      const std::uint64_t packets = count(dropped, reason);
      if (packets != 0) reasons += ", dropped " + format_count(packets) + " (" + reason + ")";
    }
  }
  return line + (reasons.empty() ? ", none dropped" : reasons) + "\n";
}

std::string intermediate_sections(const Json& status) {
  Rows uplinks;
  for (const Json& uplink : list(status, "uplinks")) {
    uplinks.push_back({short_name(text(uplink, "uri")), text(uplink, "address"),
                       flag(uplink, "silent") ? "silent" : "up", ms(uplink, "rtt_ms"),
                       text(uplink, "sessions"), joined(list(uplink, "services"))});
  }
  Rows sessions;
  for (const Json& session : list(status, "sessions")) {
    sessions.push_back({short_name(text(session, "agent")), short_name(text(session, "connector")),
                        flag(session, "bound") ? "both ends" : "one end", age(session, "age_s"),
                        format_count(count(session, "packets")), octets(session, "bytes"),
                        text(session, "id").substr(0, 8)});
  }
  return "  listens on " + joined(list(status, "listen")) + "\n" + relay_summary(status) +
         section("uplinks", {"NODE", "ADDRESS", "STATE", "RTT", "SESSIONS", "SERVICES"}, uplinks) +
         section("sessions",
                 {"AGENT", "CONNECTOR", "CLAIMED BY", "SINCE", "PACKETS", "OCTETS", "ID"},
                 sessions);
}

}  // namespace

base::Result<std::string> status_text(std::string_view document) {
  const auto status = parse_status(document);
  if (!status) return tl::unexpected(status.error());
  const std::string role = text(*status, "role");
  if (role == "intermediate") return headline(*status) + intermediate_sections(*status);
  std::string view = headline(*status) + uplinks_of_node(*status) + sessions_of_node(*status);
  if (role == "connector") return view + connector_sections(*status);
  return view + agent_sections(*status) + flow_summary(*status);
}

base::Result<std::string> status_line(std::string_view document) {
  const auto status = parse_status(document);
  if (!status) return tl::unexpected(status.error());
  return status->dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

base::Result<std::string> relay_text(std::string_view document) {
  const auto relay = parse_status(document);
  if (!relay) return tl::unexpected(relay.error());
  if (!member(*relay, "on").is_boolean()) {
    return base::fail(base::ErrorCode::protocol, "the answer does not say whether relaying is on");
  }
  return std::string("relay: ") + (flag(*relay, "on") ? "on" : "off") + "\n";
}

}  // namespace ztna::tool
