// Internal to src/io: one connection of the HttpServer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "io/http_codec.hpp"
#include "io/http_server.hpp"
#include "io/tcp.hpp"

namespace ztna::io {

class HttpConnection : public TcpStream::Handler,
                       public std::enable_shared_from_this<HttpConnection> {
 public:
  struct Site {  // what the server gives its connections
    HttpServer::Options options;
    std::function<void(const HttpRequest&, const std::shared_ptr<HttpConnection>&)> dispatch;
    std::function<void(HttpConnection*)> gone;  // drops the server's reference
  };

  HttpConnection(Loop& loop, std::shared_ptr<const Site> site, TcpStream stream);
  void start();
  void close();

  // --- the answer to the current request
  [[nodiscard]] bool awaiting(std::uint64_t request) const {
    return request == request_number_ && (state_ == State::handling || state_ == State::streaming);
  }
  [[nodiscard]] std::uint64_t request_number() const { return request_number_; }
  void answer(const HttpResponse& response);
  void begin_stream(unsigned status, std::string_view content_type);
  [[nodiscard]] bool stream(std::string_view text);
  void end_stream();

  [[nodiscard]] std::size_t read_budget() override;
  void on_data(base::BytesView data) override;
  void on_eof() override;
  void on_writable() override;
  void on_closed(TcpStream::CloseReason reason) override;

 private:
  enum class State : std::uint8_t {
    idle,       // between requests
    reading,    // a request has begun
    handling,   // its answer is awaited
    streaming,  // its answer is under way
    closing,    // the last answer is being sent
    draining,   // all is sent; waiting for the client to close, so that no RST overtakes the answer
    gone,
  };

  void process();
  void refuse(unsigned status);
  void answered();
  void queue(std::string_view text);
  void flush();
  void set_timer();

  Loop& loop_;
  std::shared_ptr<const Site> site_;
  TcpStream stream_;
  Timer timer_;
  State state_ = State::idle;
  std::optional<HttpRequestParser> parser_;
  HttpConnectionTraits traits_;
  std::string in_, out_;
  std::size_t out_sent_ = 0;
  std::uint64_t request_number_ = 0;
  bool processing_ = false;
  bool write_timed_ = false;  // the timer waits for the client to take more of out_
};

}  // namespace ztna::io
