// A blocking HTTP/1.1 client for people's tools: one request a connection. Not for the loop.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "io/http_server.hpp"

namespace ztna::io {

struct HttpClientRequest {
  std::string unix_socket;  // a path; empty: use `tcp`
  base::HostPort tcp;
  std::string method = "GET";
  std::string target = "/";  // path and query, encoded
  std::string content_type = "application/json";
  std::string body;
  base::Duration timeout = std::chrono::seconds(10);  // without any progress
  // For all of it, however much comes; 0: none. An answer whose body is not over by then is
  // returned as far as it has come.
  base::Duration at_most{};
  // Asked several times a second; true ends the request (`closed`).
  std::function<bool()> cancelled;
  // Called for each line (without its end) as it arrives; false ends the request. The body is then
  // not collected.
  std::function<bool(std::string_view line)> on_line;
};

// `unavailable` when nobody listens, `permission_denied` for a socket of another user, `timed_out`,
// `protocol`. An HTTP error status is a response, not an Error. Bodies are cut at 64 MiB (error).
[[nodiscard]] base::Result<HttpResponse> http_request(const HttpClientRequest& request);

// Percent-encodes one query value or path segment.
[[nodiscard]] std::string url_encode(std::string_view text);

}  // namespace ztna::io
