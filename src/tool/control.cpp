#include "tool/control.hpp"

#include <unistd.h>

#include <cerrno>

#include "config/config.hpp"
#include "io/http_client.hpp"

namespace ztna::tool {
namespace {

using base::ErrorCode;

// The Agent itself gives up within this time.
constexpr base::Duration agent_patience = std::chrono::seconds(40);

// What a daemon answers is a line or a document; only the first line of a refusal is for people.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// "/run/ztna/agent/agent.sock": as a service, each role has a folder that the others cannot enter.
std::string in_own_folder(const std::string& socket, const std::string& role) {
  const auto name = socket.rfind('/') + 1;
  return socket.substr(0, name) + role + "/" + socket.substr(name);
}

}  // namespace

base::Result<std::string> ask_daemon(const ControlRequest& request) {
  io::HttpClientRequest http;
  http.unix_socket = request.socket;
  http.method = request.method;
  http.target = request.target;
  http.body = request.body;
  http.timeout = request.timeout;
  auto answer = io::http_request(http);
  if (!answer) {
    base::Error error = answer.error();
    if (error.code == ErrorCode::unavailable) error.what = "no daemon is running there";
    return tl::unexpected(std::move(error));
  }
  if (answer->status / 100 == 2) return std::move(answer->body);
  const bool unknown = answer->status == 404 || answer->status == 405;
  return base::fail(unknown ? ErrorCode::not_found : ErrorCode::invalid_argument,
                    "the daemon answers " + std::to_string(answer->status), request.socket,
                    first_line(answer->body));
}

base::Result<std::string> ask_agent(const std::string& socket, const std::string& method,
                                    const std::string& target, const std::string& able_to) {
  ControlRequest request;
  request.socket = socket;
  request.method = method;
  request.target = target;
  request.timeout = agent_patience;
  auto answer = ask_daemon(request);
  if (answer || answer.error().code != ErrorCode::not_found) return answer;
  base::Error error = answer.error();
  error.what = "this daemon is no Agent that can " + able_to;
  return tl::unexpected(std::move(error));
}

base::Result<std::string> default_control_socket(const std::string& role) {
  std::string tried;
  const auto environment = config::from_process(0, nullptr).environment;
  for (const std::string& shared : config::control_candidates(role, environment)) {
    for (const std::string& path : {shared, in_own_folder(shared, role)}) {
      if (access(path.c_str(), F_OK) == 0) return path;
      tried += (tried.empty() ? "" : ", ") + path;
      if (errno == EACCES) tried += " (which this user may not look into: try sudo)";
    }
  }
  return base::fail(ErrorCode::not_found, "no " + role + " is running here, looked for " + tried);
}

}  // namespace ztna::tool
