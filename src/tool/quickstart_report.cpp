#include "tool/quickstart_report.hpp"

#include <array>
#include <string_view>

#include "tool/status_format.hpp"
#include "tool/status_json.hpp"

namespace ztna::tool {
namespace {

// "agent alice" of "spiffe://example.org/agent/alice".
std::string spoken(const std::string& uri) {
  const auto name = uri.rfind('/');
  const auto role = name == std::string::npos ? name : uri.rfind('/', name - 1);
  if (role == std::string::npos) return uri;
  return uri.substr(role + 1, name - role - 1) + " " + uri.substr(name + 1);
}

// A label and its lines: the first beside it, the others below the first.
std::string paragraph(std::string_view label, const std::vector<std::string>& lines) {
  constexpr std::size_t width = 13;
  std::string text;
  for (const std::string& line : lines) {
    const std::string_view head = text.empty() ? label : std::string_view();
    text += "  " + std::string(head) + std::string(width - head.size(), ' ') + line + "\n";
  }
  return text;
}

std::string visit_line(const Visit& visit) {
  switch (visit.outcome) {
    case Visit::Outcome::answered: {
      std::string line = "GET / answered " + std::to_string(visit.http_status) + ", " +
                         format_count(visit.octets) + " octets, in " + format_ms(visit.first_ms);
      if (visit.second_ms) line += " (a second time: " + format_ms(*visit.second_ms) + ")";
      return line;
    }
    case Visit::Outcome::not_http: return "it answered GET / with something that is not HTTP";
    case Visit::Outcome::connected: return "it took the connection and sent no HTTP answer";
    case Visit::Outcome::not_tried: return "UDP: not tried";
  }
  return {};
}

std::string visits_text(const QuickstartReport& report) {
  std::string text;
  for (const Visit& visit : report.visits) {
    std::vector<std::string> lines{visit.service.name + ": " + visit_line(visit)};
    if (visit.as_served) {
      lines.emplace_back(*visit.as_served ? "exactly the octets that the service has"
                                          : "NOT the octets that the service has");
    }
    text += paragraph("service", lines);
  }
  return text;
}

std::string who_text(const QuickstartReport& report) {
  std::string services;
  for (const Visit& visit : report.visits) {
    services += (services.empty() ? "" : ", ") + visit.service.name;
  }
  return paragraph("who", {spoken(report.session.agent) + "  ->  " + services + " at " +
                               spoken(report.session.connector),
                           "each proved to the other who it is (mutual TLS 1.3, end to end)"});
}

std::string relay_text_of(const QuickstartReport& report) {
  std::vector<std::string> lines{
      "relayed " + format_count(report.relay.packets) + " packets, " +
          format_count(report.relay.octets) + " octets, of this session, encrypted between",
      "Agent and Connector: it knows their names and the service's, but has no key"};
  if (report.memory_searched) {
    lines.push_back("the page's secret was looked for in its memory (" +
                    format_octets(*report.memory_searched) + "): not there;");
    lines.emplace_back("in the Agent's memory it was found");
  }
  return paragraph("intermediate", lines);
}

const char* to_string(Visit::Outcome outcome) {
  static constexpr std::array<const char*, 4> names = {"answered", "not_http", "connected",
                                                       "not_tried"};
  return names[static_cast<std::size_t>(outcome)];
}

Json visit_json(const Visit& visit) {
  Json json = {{"service", visit.service.name},
               {"local", local_url(visit)},
               {"outcome", to_string(visit.outcome)}};
  if (visit.outcome == Visit::Outcome::answered) {
    json["http_status"] = visit.http_status;
    json["octets"] = visit.octets;
    json["first_ms"] = visit.first_ms;
    if (visit.second_ms) json["second_ms"] = *visit.second_ms;
    if (visit.as_served) json["as_served"] = *visit.as_served;
  }
  return json;
}

std::string one_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string local_url(const Visit& visit) {
  const std::string address = visit.local.to_string();
  if (visit.outcome == Visit::Outcome::answered) return "http://" + address + "/";
  return std::string(config::to_string(visit.service.transport)) + "://" + address;
}

std::string report_text(const QuickstartReport& report) {
  const SessionFacts& session = report.session;
  const std::string cipher =
      session.aead.empty() ? "AES-128-GCM" : "AES-128-GCM (by " + session.aead + ")";
  return "\nIt works: a private service was reached, end to end.\n\n" + who_text(report) +
         paragraph("path", {session.path + " via " + session.relay + ", round trip " +
                            format_ms(session.rtt_ms)}) +
         visits_text(report) + paragraph("encryption", {"one QUIC session, " + cipher}) +
         relay_text_of(report);
}

std::string report_hints(const QuickstartReport& report) {
  std::string text = "\n";
  for (const Visit& visit : report.visits) {
    const bool page = visit.outcome == Visit::Outcome::answered;
    text += paragraph(page ? "open" : "connect to", {local_url(visit)});
  }
  const std::string control = " --control " + report.folder + "/";
  text += paragraph("look inside", {report.ztna + " status" + control + "agent.sock",
                                    "(or connector.sock, intermediate.sock)"});
  text += paragraph("switch", {report.ztna + " relay off" + control + "intermediate.sock"});
  text += paragraph("logs", {report.folder + "/*.log"});
  text += paragraph("by hand", {"the five-minute tour in README.md"});
  return text;
}

std::string report_json(const QuickstartReport& report) {
  Json visits = Json::array();
  for (const Visit& visit : report.visits) visits.push_back(visit_json(visit));
  Json json = {
      {"ok", true},
      {"agent", report.session.agent},
      {"connector", report.session.connector},
      {"session", report.session.id},
      {"path", report.session.path},
      {"relay", report.session.relay},
      {"rtt_ms", report.session.rtt_ms},
      {"aead", report.session.aead},
      {"services", std::move(visits)},
      {"intermediate", {{"packets", report.relay.packets}, {"octets", report.relay.octets}}},
      {"folder", report.folder}};
  if (report.memory_searched) {
    json["intermediate"]["memory_searched"] = *report.memory_searched;
    json["intermediate"]["plaintext_found"] = false;
  }
  return one_line(json);
}

std::string failure_json(const base::Error& error) {
  return one_line({{"ok", false}, {"error", error.message()}});
}

}  // namespace ztna::tool
