#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "io/http_client.hpp"
#include "io/http_codec.hpp"
#include "io/http_server.hpp"
#include "io/tcp.hpp"
#include "support.hpp"

namespace ztna::io {
namespace {

using testing::loopback;
using testing::run_until;
using namespace std::chrono_literals;

class Http : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ztna-http-XXXXXX";
    directory = ::mkdtemp(name);
    path = directory + "/control.sock";
  }
  void TearDown() override {
    ::unlink(path.c_str());
    ::rmdir(directory.c_str());
  }

  HttpServer& serve(const HttpServer::Options& options = {}) {
    server.emplace(loop, options);
    server->route("GET", "/hello", [](const HttpRequest& request) {
      return HttpResponse{200, "text/plain", "hello " + std::string(request.param("name", "you"))};
    });
    server->route("POST", "/echo", [](const HttpRequest& request) {
      return HttpResponse{201, "application/octet-stream", request.body};
    });
    tcp = server->listen(loopback()).value();
    return *server;
  }
  // The blocking client in a thread of its own, while this one turns the loop.
  base::Result<HttpResponse> ask(HttpClientRequest request) {
    if (request.unix_socket.empty()) request.tcp = {"127.0.0.1", tcp.port()};
    return turn_loop_during([&] { return http_request(request); });
  }
  template <class Ask>
  base::Result<HttpResponse> turn_loop_during(const Ask& call) {
    bool answered = false;
    auto answer = std::async(std::launch::async, [&] {
      auto result = call();
      loop.post([&] { answered = true; });
      return result;
    });
    EXPECT_TRUE(run_until(loop, [&] { return answered; }));
    return answer.get();
  }

  Loop loop;
  std::optional<HttpServer> server;
  base::Address tcp;
  std::string directory, path;
};

// A client that sends what a test wants and keeps what comes.
struct Raw : TcpStream::Handler {
  TcpStream stream;
  std::string got, send_first;
  bool eof = false, closed = false;
  Raw(Loop& loop, const base::Address& to, std::string text) : send_first(std::move(text)) {
    stream = TcpStream::connect(loop, {to.ip(), to.port()}, 5s, *this);
  }
  void on_connected() override { (void)stream.write(base::as_bytes(send_first)); }
  void on_data(base::BytesView data) override { got += base::as_text(data); }
  void on_eof() override { eof = true; }
  void on_closed(TcpStream::CloseReason) override { closed = true; }
};

TEST_F(Http, RoutesMethodsAndQueries) {
  serve();
  HttpClientRequest request;
  request.target = "/hello?x=1&name=" + url_encode("Zoë & co");
  auto answer = ask(request);
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->status, 200u);
  EXPECT_EQ(answer->body, "hello Zoë & co");
  EXPECT_EQ(answer->content_type, "text/plain");

  request.target = "/echo";
  request.method = "POST";
  request.body = std::string(20'000, 'p');
  answer = ask(request);
  EXPECT_EQ(answer->status, 201u);
  EXPECT_EQ(answer->body, request.body);

  request = {};
  request.target = "/nowhere";
  EXPECT_EQ(ask(request)->status, 404u);
  request.target = "/echo";
  EXPECT_EQ(ask(request)->status, 405u);
  request.target = "/hello";
  request.method = "HEAD";
  answer = ask(request);
  EXPECT_EQ(answer->status, 200u);
  EXPECT_EQ(answer->body, "");
}

TEST_F(Http, PipelinedRequestsAreAnsweredInOrderOnOneConnection) {
  serve();
  Raw raw(loop, tcp,
          "GET /hello?name=a HTTP/1.1\r\nHost: x\r\n\r\nGET /hello?name=b HTTP/1.1\r\nHost: "
          "x\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(run_until(loop, [&] { return raw.eof; }));
  const auto first = raw.got.find("hello a"), second = raw.got.find("hello b");
  EXPECT_NE(first, std::string::npos);
  EXPECT_NE(second, std::string::npos);
  EXPECT_LT(first, second);
}

TEST_F(Http, ClientThatPipelinesAndNeverReadsIsHeldBackAndCutOff) {
  HttpServer::Options options;
  options.write_timeout = 300ms;
  serve(options);
  std::size_t answers = 0;
  server->route("GET", "/big", [&](const HttpRequest&) {
    ++answers;
    return HttpResponse{200, "text/plain", std::string(256 * 1024, 'b')};
  });
  const std::string request = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n";
  std::string many;
  while (many.size() < 32'000) many += request;
  Raw raw(loop, tcp, many);
  raw.stream.pause_reading();
  // One more request now and then is no progress.
  std::optional<Timer> again;
  const auto ask_again = [&] {
    (void)raw.stream.write(base::as_bytes(request));
    again->set(Loop::now() + 20ms);
  };
  again.emplace(loop, ask_again);
  ask_again();
  EXPECT_TRUE(run_until(loop, [&] { return raw.closed; })) << "never cut off";
  EXPECT_LT(answers, 200u);  // what the kernel's buffers hold, of a thousand
}

TEST_F(Http, PipelinedRequestsBehindALargeAnswerAreAnswered) {
  serve();
  server->route("GET", "/big", [](const HttpRequest&) {
    return HttpResponse{200, "text/plain", std::string(16 << 20, 'b')};
  });
  const std::string big = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n";
  Raw raw(loop, tcp, big + big + "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(run_until(loop, [&] { return raw.eof; }));
  EXPECT_GT(raw.got.size(), std::size_t{32} << 20);
  EXPECT_TRUE(raw.got.ends_with("hello you"));
}

TEST_F(Http, LimitsAndNonsenseAreRefused) {
  HttpServer::Options options;
  options.max_body = 1000;
  options.max_header = 1000;
  serve(options);
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"GET / HTTP/1.1\r\nX: " + std::string(5000, 'x') + "\r\n\r\n", "431"},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n", "413"},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" +
           std::string(4096, 'c'),
       "413"},
      {"\x16\x03\x01 this is not HTTP\r\n\r\n", "400"},
      {"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
  };
  for (const auto& [text, status] : cases) {
    Raw raw(loop, tcp, text);
    ASSERT_TRUE(run_until(loop, [&] { return raw.eof || raw.closed; })) << status;
    EXPECT_EQ(raw.got.substr(0, 12), "HTTP/1.1 " + status) << text.substr(0, 40);
  }
}

// RFC 9112 §7.1: the last chunk, cut wherever a network may cut it.
TEST(HttpRequestParser, TakesAChunkedBodyOctetByOctet) {
  HttpRequestParser parser(1000, 1000);
  const std::string text =
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n0\r\n\r\n";
  std::string input;
  for (const char octet : text) {
    ASSERT_FALSE(parser.complete());
    input += octet;
    parser.feed(input);
    ASSERT_EQ(parser.error(), 0u);
  }
  ASSERT_TRUE(parser.complete());
  EXPECT_EQ(parser.request()->body, "abc");
}

TEST_F(Http, SlowAndIdleClientsAreCutOff) {
  HttpServer::Options options;
  options.request_timeout = 20ms;
  options.idle_timeout = 30ms;
  serve(options);
  Raw slow(loop, tcp, "GET /hello HT"), idle(loop, tcp, "");
  ASSERT_TRUE(run_until(loop, [&] { return slow.closed && idle.closed; }));
  EXPECT_EQ(slow.got, "");
}

TEST_F(Http, ConnectionsAreLimited) {
  HttpServer::Options options;
  options.max_connections = 2;
  serve(options);
  Raw a(loop, tcp, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  Raw b(loop, tcp, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(run_until(loop, [&] { return !a.got.empty() && !b.got.empty(); }));
  Raw c(loop, tcp, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(run_until(loop, [&] { return c.eof || c.closed; }));
  EXPECT_EQ(c.got, "");
  a.stream.close();
  // There is room again, as soon as the server has seen that `a` left.
  std::optional<Raw> d;
  ASSERT_TRUE(run_until(loop, [&] {
    if (!d || d->eof || d->closed) d.emplace(loop, tcp, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    return !d->got.empty();
  }));
}

TEST_F(Http, LaterAnswersAndForgottenOnes) {
  serve();
  std::optional<HttpReply> kept;
  server->route_async("GET", "/later",
                      [&](const HttpRequest&, HttpReply reply) { kept = std::move(reply); });
  server->route_async("GET", "/forgotten", [](const HttpRequest&, const HttpReply&) {});
  Raw raw(loop, tcp, "GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(run_until(loop, [&] { return kept.has_value(); }));
  EXPECT_TRUE(kept->alive());
  EXPECT_EQ(raw.got, "");
  kept->send({202, "text/plain", "now"});
  EXPECT_FALSE(kept->alive());
  kept->send({500, "text/plain", "twice"});
  ASSERT_TRUE(run_until(loop, [&] { return raw.eof; }));
  EXPECT_NE(raw.got.find("202"), std::string::npos);
  EXPECT_EQ(raw.got.find("twice"), std::string::npos);

  HttpClientRequest request;
  request.target = "/forgotten";
  EXPECT_EQ(ask(request)->status, 500u);

  Raw gone(loop, tcp, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  kept.reset();
  ASSERT_TRUE(run_until(loop, [&] { return kept.has_value(); }));
  gone.stream.close();
  ASSERT_TRUE(run_until(loop, [&] { return !kept->alive(); }));
  server.reset();
  kept->send({});  // harmless
}

TEST_F(Http, StreamsLinesOverTime) {
  serve();
  ASSERT_TRUE(server->listen_unix(path));
  std::optional<HttpReply> stream;
  server->route_async("GET", "/ping", [&](const HttpRequest&, HttpReply reply) {
    reply.begin(200, "application/x-ndjson");
    EXPECT_TRUE(reply.write("{\"n\":1}\n{\"n\""));
    stream = std::move(reply);
  });
  std::vector<std::string> lines;
  HttpClientRequest request;
  request.unix_socket = path;
  request.target = "/ping";
  // The rest is sent only when the client has the first line: it does not wait for the end.
  request.on_line = [&](std::string_view line) {
    lines.emplace_back(line);
    if (lines.size() == 1)
      loop.post([&] {
        EXPECT_TRUE(stream->write(":2}\n"));
        EXPECT_TRUE(stream->write("tail"));
        stream->finish();
      });
    return true;
  };
  const auto answer = ask(request);
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->status, 200u);
  EXPECT_EQ(lines, (std::vector<std::string>{"{\"n\":1}", "{\"n\":2}", "tail"}));

  request.on_line = [](std::string_view) { return false; };  // ends the request
  stream.reset();
  ASSERT_TRUE(ask(request));
  ASSERT_TRUE(run_until(loop, [&] { return !stream->alive(); }));
}

TEST_F(Http, StreamToAClientThatDoesNotReadIsBounded) {
  serve();
  std::optional<HttpReply> stream;
  server->route_async("GET", "/flood", [&](const HttpRequest&, HttpReply reply) {
    reply.begin(200, "text/plain");
    stream = std::move(reply);
  });
  Raw raw(loop, tcp, "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n");
  raw.stream.pause_reading();
  ASSERT_TRUE(run_until(loop, [&] { return stream.has_value(); }));
  const std::string block(64 * 1024, 'f');
  std::size_t accepted = 0;
  while (stream->write(block)) {
    accepted += block.size();
    ASSERT_LT(accepted, 64u << 20);
  }
  EXPECT_TRUE(stream->alive());
  stream.reset();  // cut, not ended
  raw.stream.resume_reading();
  ASSERT_TRUE(run_until(loop, [&] { return raw.closed || raw.eof; }));
  EXPECT_EQ(raw.got.find("\r\n0\r\n\r\n"), std::string::npos);
}

TEST_F(Http, UnixSocketIsPrivateAndCleanedUp) {
  serve();
  ASSERT_TRUE(server->listen_unix(path));
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  HttpClientRequest request;
  request.unix_socket = path;
  request.target = "/hello";
  EXPECT_EQ(ask(request)->body, "hello you");

  // Somebody listens: neither replaced nor unlinked.
  HttpServer second(loop, {});
  const auto refused = second.listen_unix(path);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::ErrorCode::already_exists);
  EXPECT_NE(refused.error().message().find(path), std::string::npos);
  EXPECT_EQ(ask(request)->status, 200u);
  server.reset();
  EXPECT_NE(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(http_request(request).error().code, base::ErrorCode::unavailable);
}

TEST_F(Http, StaleSocketIsReplacedAndOtherFilesAreNot) {
  const int stale = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(stale, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(stale);
  serve();
  ASSERT_TRUE(server->listen_unix(path));
  // Whoever replaced the file in between keeps theirs.
  ::unlink(path.c_str());
  std::ofstream(path) << "precious";
  server.reset();
  struct stat info{};
  EXPECT_EQ(::stat(path.c_str(), &info), 0);

  HttpServer other(loop, {});
  EXPECT_EQ(other.listen_unix(path).error().code, base::ErrorCode::already_exists);
  EXPECT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(other.listen_unix(directory + "/no/such.sock").error().code,
            base::ErrorCode::not_found);
  EXPECT_EQ(other.listen_unix(std::string(200, 'p')).error().code,
            base::ErrorCode::invalid_argument);
}

TEST_F(Http, OtherUsersAreTurnedAway) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  serve();
  ASSERT_TRUE(server->listen_unix(path));
  ::chmod(directory.c_str(), 0755);
  ::chmod(path.c_str(), 0666);  // the mode alone would let them in
  HttpClientRequest request;
  request.unix_socket = path;
  request.target = "/hello";
  const auto answer = turn_loop_during([&] {
    // The raw system call changes this thread only, which then connects as "nobody".
    EXPECT_EQ(::syscall(SYS_setresuid, 65534, 65534, -1), 0);
    return http_request(request);
  });
  ASSERT_FALSE(answer);
  // Cut before a word: seen as an early end or as a reset, by who is faster.
  EXPECT_TRUE(answer.error().code == base::ErrorCode::protocol ||
              answer.error().code == base::ErrorCode::unavailable)
      << answer.error().message();
}

}  // namespace
}  // namespace ztna::io
