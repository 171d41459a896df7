#include "tool/control.hpp"

#include <unistd.h>

#include "config/config.hpp"
#include "io/http_client.hpp"

namespace ztna::tool {
namespace {

using base::ErrorCode;

// What a daemon answers is a line or a document; only the first line of a refusal is for people.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

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

base::Result<std::string> default_control_socket(const std::string& role) {
  std::string tried;
  const auto environment = config::from_process(0, nullptr).environment;
  for (std::string& path : config::control_candidates(role, environment)) {
    if (access(path.c_str(), F_OK) == 0) return std::move(path);
    tried += (tried.empty() ? "" : ", ") + path;
  }
  return base::fail(ErrorCode::not_found, "no " + role + " is running here, looked for " + tried);
}

}  // namespace ztna::tool
