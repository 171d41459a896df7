// What a quickstart tells its user in the end. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/options.hpp"
#include "tool/quickstart_state.hpp"

namespace ztna::tool {

// One service, as it was found through the tunnel.
struct Visit {
  enum class Outcome : std::uint8_t {
    answered,   // with an HTTP response
    not_http,   // with something else
    connected,  // the backend took the connection and said nothing
    not_tried,  // UDP
  };
  config::Service service;
  base::Address local;  // where this machine's programs reach it
  Outcome outcome = Outcome::not_tried;
  unsigned http_status = 0;
  std::uint64_t octets = 0;         // of the body
  double first_ms = 0;              // the session's handshakes included
  std::optional<double> second_ms;  // over the session that is there now
  std::optional<bool> as_served;    // the same octets as the service has; unknown for others'
};

struct QuickstartReport {
  SessionFacts session;
  RelayFacts relay;
  std::vector<Visit> visits;
  // Octets of the Intermediate's memory in which the page's text was looked for and not found,
  // while it was found in the Agent's. Nothing: not looked, or the comparison failed.
  std::optional<std::uint64_t> memory_searched;
  std::string folder;
  std::string ztna;  // how this program is called
};

// "http://127.0.0.1:8080/", or with tcp:// or udp:// where HTTP is not known to be spoken.
[[nodiscard]] std::string local_url(const Visit& visit);

[[nodiscard]] std::string report_text(const QuickstartReport& report);
[[nodiscard]] std::string report_hints(const QuickstartReport& report);  // where to go from here
// One object on one line.
[[nodiscard]] std::string report_json(const QuickstartReport& report);
[[nodiscard]] std::string failure_json(const base::Error& error);

}  // namespace ztna::tool
