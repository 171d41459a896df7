// Asks a daemon on this machine through its control socket. Blocking; for commands.
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "base/time.hpp"

namespace ztna::tool {

struct ControlRequest {
  std::string socket;
  std::string method = "GET";
  std::string target = "/v1/status";
  std::string body;  // JSON
  base::Duration timeout = std::chrono::seconds(5);
};

// The body of a 2xx answer. Errors name the socket: `unavailable` when no daemon is there,
// `invalid_argument` when it refuses, in its own words, `not_found` when it knows no such target.
[[nodiscard]] base::Result<std::string> ask_daemon(const ControlRequest& request);

// A question to an Agent that may have to open a session first: it gets the time for an uplink, a
// relay, a direct path and an answer. `able_to`: what the target is for, for a daemon that does not
// know it ("ping").
[[nodiscard]] base::Result<std::string> ask_agent(const std::string& socket,
                                                  const std::string& method,
                                                  const std::string& target,
                                                  const std::string& able_to);

// Where a daemon of `role` listens on this machine by default: the first of the usual sockets that
// exists, each looked for in its folder and in the role's own below that. Else `not_found`, saying
// where it was looked for.
[[nodiscard]] base::Result<std::string> default_control_socket(const std::string& role);
// The one that was given, or that.
[[nodiscard]] inline base::Result<std::string> control_socket(const std::string& given,
                                                              const std::string& role) {
  return given.empty() ? default_control_socket(role) : base::Result<std::string>(given);
}

}  // namespace ztna::tool
