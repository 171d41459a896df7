// Beast asserts that more of the end of a chunked body is there than one packet need bring:
// "0\r\n\r", and "\n" later, would end a process that is built with assertions.
#define BOOST_DISABLE_ASSERTS

#include "io/http_codec.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/buffers_iterator.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/version.hpp>
#include <sstream>

#include "io/http_client.hpp"

namespace ztna::io {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {

// Feeds until the parser is content or wants more than there is.
template <class Parser>
http::error put_all(Parser& parser, std::string& input) {
  boost::system::error_code error;
  while (!input.empty() && !parser.is_done()) {
    const std::size_t used = parser.put(asio::buffer(input), error);
    input.erase(0, used);
    if (error == http::error::need_more) return http::error{};
    if (error)
      return error == http::error::body_limit     ? http::error::body_limit
             : error == http::error::header_limit ? http::error::header_limit
                                                  : http::error::bad_value;
  }
  return http::error{};
}

template <class Message>
std::string serialise(const Message& message) {
  std::ostringstream out;
  out << message;
  return out.str();
}

template <class Message>
void set_common(Message& message, std::string_view content_type,
                const HttpConnectionTraits& traits) {
  message.set(http::field::content_type, {content_type.data(), content_type.size()});
  message.set(http::field::cache_control, "no-store");
  message.set("X-Content-Type-Options", "nosniff");
  message.keep_alive(traits.keep_alive);
}

unsigned version(const HttpConnectionTraits& traits) { return traits.http_1_0 ? 10 : 11; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

struct HttpRequestParser::Impl {
  http::request_parser<http::string_body> parser;
};

HttpRequestParser::HttpRequestParser(std::size_t max_header, std::size_t max_body)
    : impl_(std::make_unique<Impl>()) {
  impl_->parser.header_limit(static_cast<std::uint32_t>(max_header));
  impl_->parser.body_limit(max_body);
  impl_->parser.eager(true);
}
HttpRequestParser::~HttpRequestParser() = default;

void HttpRequestParser::feed(std::string& input) {
  const http::error error = put_all(impl_->parser, input);
  if (error == http::error::body_limit)
    error_ = 413;
  else if (error == http::error::header_limit)
    error_ = 431;
  else if (error != http::error{})
    error_ = 400;
}

bool HttpRequestParser::complete() const { return error_ == 0 && impl_->parser.is_done(); }

bool HttpRequestParser::wants_continue() {
  const auto& parser = impl_->parser;
  if (continued_ || error_ != 0 || !parser.is_header_done() || parser.is_done()) return false;
  if (!boost::beast::iequals(parser.get()[http::field::expect], "100-continue")) return false;
  return continued_ = true;
}

std::optional<HttpRequest> HttpRequestParser::request() const {
  const auto& message = impl_->parser.get();
  const std::string_view target(message.target().data(), message.target().size());
  const std::size_t mark = target.find('?');
  HttpRequest out;
  out.method = std::string(message.method_string());
  out.body = message.body();
  const auto path = url_decode(target.substr(0, mark), false);
  if (!path || path->empty() || path->front() != '/') return std::nullopt;
  out.path = *path;
  std::string_view rest = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const auto name = url_decode(pair.substr(0, equals), true);
    const auto value = url_decode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!name || !value) return std::nullopt;
    out.query.emplace_back(*name, *value);
  }
  return out;
}

bool HttpRequestParser::keep_alive() const { return impl_->parser.get().keep_alive(); }
bool HttpRequestParser::http_1_0() const { return impl_->parser.get().version() < 11; }

struct HttpResponseParser::Impl {
  http::response_parser<http::string_body> parser;
};

HttpResponseParser::HttpResponseParser(std::size_t max_body, bool head_request)
    : impl_(std::make_unique<Impl>()) {
  if (max_body == 0)
    impl_->parser.body_limit(boost::none);
  else
    impl_->parser.body_limit(max_body);
  impl_->parser.skip(head_request);
  impl_->parser.eager(true);
}
HttpResponseParser::~HttpResponseParser() = default;

bool HttpResponseParser::feed(std::string& input) {
  return put_all(impl_->parser, input) == http::error{};
}
bool HttpResponseParser::end_of_input() {
  boost::system::error_code error;
  if (!impl_->parser.is_header_done()) return false;
  impl_->parser.put_eof(error);
  return !error;
}
bool HttpResponseParser::complete() const { return impl_->parser.is_done(); }
bool HttpResponseParser::has_head() const { return impl_->parser.is_header_done(); }
unsigned HttpResponseParser::status() const { return impl_->parser.get().result_int(); }
std::string HttpResponseParser::content_type() const {
  return std::string(impl_->parser.get()[http::field::content_type]);
}
std::string& HttpResponseParser::body() { return impl_->parser.get().body(); }

std::string http_response_text(const HttpResponse& response, const HttpConnectionTraits& traits) {
  if (traits.head_only) {
    http::response<http::empty_body> message(http::int_to_status(response.status), version(traits));
    set_common(message, response.content_type, traits);
    message.content_length(response.body.size());
    return serialise(message);
  }
  http::response<http::string_body> message(http::int_to_status(response.status), version(traits),
                                            response.body);
  set_common(message, response.content_type, traits);
  message.content_length(response.body.size());
  return serialise(message);
}

std::string http_stream_head(unsigned status, std::string_view content_type,
                             const HttpConnectionTraits& traits) {
  http::response<http::empty_body> message(http::int_to_status(status), version(traits));
  set_common(message, content_type, traits);
  if (!traits.http_1_0) message.chunked(true);
  return serialise(message.base());
}

std::string http_chunk(std::string_view text) {
  const auto chunk = http::make_chunk(asio::buffer(text.data(), text.size()));
  return {asio::buffers_begin(chunk), asio::buffers_end(chunk)};
}

std::string http_last_chunk() {
  const auto chunk = http::make_chunk_last();
  return {asio::buffers_begin(chunk), asio::buffers_end(chunk)};
}

std::string http_request_text(std::string_view method, std::string_view target,
                              std::string_view host, std::string_view content_type,
                              std::string_view body) {
  http::request<http::string_body> message;
  message.version(11);
  message.method_string({method.data(), method.size()});
  message.target({target.data(), target.size()});
  message.set(http::field::host, {host.data(), host.size()});
  message.keep_alive(false);
  if (!body.empty()) {
    message.set(http::field::content_type, {content_type.data(), content_type.size()});
    message.body() = body;
  }
  message.prepare_payload();
  return serialise(message);
}

std::optional<std::string> url_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i] == '+' && plus_is_space ? ' ' : text[i];
    }
  }
  return out;
}

std::string url_encode(std::string_view text) {
  constexpr std::string_view hex_digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';  // RFC 3986 §2.3
    const auto octet = static_cast<unsigned char>(c);
    if (plain)
      out += c;
    else
      out.append({'%', hex_digits[octet >> 4], hex_digits[octet & 15]});
  }
  return out;
}

}  // namespace ztna::io
