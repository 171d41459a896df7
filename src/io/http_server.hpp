// A small HTTP/1.1 server for operators: health and metrics on a TCP address, control on a Unix
// socket. Not for untrusted networks at scale; hostile input is survived, not served.
//
// Threading: the loop's thread; handlers run there and must not block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "io/loop.hpp"

namespace ztna::io {

struct HttpRequest {
  std::string method;                                      // "GET"
  std::string path;                                        // "/v1/status", percent-decoded
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  std::string body;
  // The first value, or `otherwise`.
  [[nodiscard]] std::string_view param(std::string_view name,
                                       std::string_view otherwise = {}) const;
};

struct HttpResponse {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// The answer to one request, given now or later: either send(), or begin(), write() … and finish().
// Copies share the one answer. Dropping the last copy unanswered answers 500; dropping it in the
// middle of a stream cuts the connection.
class HttpReply {
 public:
  void send(const HttpResponse& response) const;

  void begin(unsigned status, std::string_view content_type) const;
  // False when the client is gone, or reads so slowly that max_queued octets wait already; the text
  // is then dropped.
  bool write(std::string_view text) const;
  void finish() const;

  [[nodiscard]] bool alive() const;  // the client is still there and the answer not complete
  static constexpr std::size_t max_queued = std::size_t{1} << 20;

 private:
  friend class HttpServer;
  struct Exchange;
  explicit HttpReply(std::shared_ptr<Exchange> exchange);
  std::shared_ptr<Exchange> exchange_;
};

class HttpServer {
 public:
  struct Options {
    std::size_t max_connections = 64;
    std::size_t max_header = std::size_t{8} * 1024;
    std::size_t max_body = std::size_t{64} * 1024;
    base::Duration request_timeout = std::chrono::seconds(10);  // first octet to last
    base::Duration idle_timeout = std::chrono::seconds(30);     // between requests
    base::Duration write_timeout = std::chrono::seconds(30);    // without any progress
  };
  using Handler = std::function<HttpResponse(const HttpRequest&)>;
  using AsyncHandler = std::function<void(const HttpRequest&, HttpReply)>;

  HttpServer(Loop& loop, const Options& options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Exact path. Other methods on a known path get 405, unknown paths 404; HEAD goes to GET.
  void route(std::string method, std::string path, Handler handler);
  void route_async(std::string method, std::string path, AsyncHandler handler);

  [[nodiscard]] base::Result<base::Address> listen(const base::Address& local);
  // Mode 0600, and only processes of this user or root may speak (SO_PEERCRED). A socket file that
  // nobody listens on is replaced; one that somebody does, or a file of another kind, is an error.
  // Missing parent directories are an error. The file is unlinked when the server goes.
  [[nodiscard]] base::Status listen_unix(const std::string& path);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace ztna::io
