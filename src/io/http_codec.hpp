// Internal to src/io: HTTP/1.1 messages to and from bytes, without I/O. The only user of Beast.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "io/http_server.hpp"

namespace ztna::io {

class HttpRequestParser {
 public:
  HttpRequestParser(std::size_t max_header, std::size_t max_body);
  ~HttpRequestParser();

  // Takes octets from the front of `input`; what follows a complete request stays.
  void feed(std::string& input);
  [[nodiscard]] bool complete() const;
  // The status to refuse it with: 400, 413 (body), 431 (header). 0: fine so far.
  [[nodiscard]] unsigned error() const { return error_; }
  // True once: the client waits for "100 Continue" before it sends the body.
  [[nodiscard]] bool wants_continue();

  // Of a complete request. nullopt: the target is malformed (400).
  [[nodiscard]] std::optional<HttpRequest> request() const;
  [[nodiscard]] bool keep_alive() const;
  [[nodiscard]] bool http_1_0() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  unsigned error_ = 0;
  bool continued_ = false;
};

class HttpResponseParser {
 public:
  // `max_body` 0: unlimited, for streams whose owner empties body().
  explicit HttpResponseParser(std::size_t max_body, bool head_request);
  ~HttpResponseParser();

  // As above. False: this is not HTTP, or too large.
  [[nodiscard]] bool feed(std::string& input);
  // The server closed. False: in the middle of the message.
  [[nodiscard]] bool end_of_input();
  [[nodiscard]] bool complete() const;
  [[nodiscard]] bool has_head() const;  // status() and content_type() are the server's
  [[nodiscard]] unsigned status() const;
  [[nodiscard]] std::string content_type() const;
  [[nodiscard]] std::string& body();  // what has arrived so far

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct HttpConnectionTraits {
  bool keep_alive = true;
  bool http_1_0 = false;   // no chunks: the body ends with the connection
  bool head_only = false;  // answers HEAD
};
[[nodiscard]] std::string http_response_text(const HttpResponse& response,
                                             const HttpConnectionTraits& traits);
[[nodiscard]] std::string http_stream_head(unsigned status, std::string_view content_type,
                                           const HttpConnectionTraits& traits);
[[nodiscard]] std::string http_chunk(std::string_view text);  // not empty
[[nodiscard]] std::string http_last_chunk();
[[nodiscard]] std::string http_request_text(std::string_view method, std::string_view target,
                                            std::string_view host, std::string_view content_type,
                                            std::string_view body);

// Percent-decoding; nullopt for a malformed escape. `plus_is_space`: in queries.
[[nodiscard]] std::optional<std::string> url_decode(std::string_view text, bool plus_is_space);

}  // namespace ztna::io
