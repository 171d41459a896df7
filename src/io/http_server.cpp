#include "io/http_server.hpp"

#include <map>
#include <unordered_map>

#include "io/acceptor.hpp"
#include "io/http_connection.hpp"
#include "io/socket_util.hpp"
#include "io/unix_listener.hpp"

namespace ztna::io {

std::string_view HttpRequest::param(std::string_view name, std::string_view otherwise) const {
  for (const auto& [key, value] : query)
    if (key == name) return value;
  return otherwise;
}

struct HttpReply::Exchange {
  std::weak_ptr<HttpConnection> connection;
  std::uint64_t request = 0;
  bool begun = false;

  // The connection, while it still waits for this answer.
  [[nodiscard]] std::shared_ptr<HttpConnection> waiting() const {
    auto locked = connection.lock();
    return locked && locked->awaiting(request) ? locked : nullptr;
  }
  ~Exchange() {
    const auto to = waiting();
    if (!to) return;
    if (begun)
      to->close();
    else
      to->answer({500, "text/plain; charset=utf-8", "no answer\n"});
  }
};

HttpReply::HttpReply(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

bool HttpReply::alive() const { return exchange_->waiting() != nullptr; }

void HttpReply::send(const HttpResponse& response) const {
  const auto to = exchange_->waiting();
  if (to && !exchange_->begun) to->answer(response);
}

void HttpReply::begin(unsigned status, std::string_view content_type) const {
  const auto to = exchange_->waiting();
  if (!to || std::exchange(exchange_->begun, true)) return;
  to->begin_stream(status, content_type);
}

bool HttpReply::write(std::string_view text) const {
  const auto to = exchange_->waiting();
  return to && exchange_->begun && to->stream(text);
}

void HttpReply::finish() const {
  const auto to = exchange_->waiting();
  if (to && exchange_->begun) to->end_stream();
}

struct HttpServer::Impl : std::enable_shared_from_this<Impl> {
  explicit Impl(Loop& on) : loop(on) {}

  Loop& loop;
  std::shared_ptr<HttpConnection::Site> site = std::make_shared<HttpConnection::Site>();
  std::map<std::string, std::map<std::string, AsyncHandler>> routes;  // path, then method
  std::vector<std::shared_ptr<Acceptor>> acceptors;
  std::vector<UnixListener> unix_paths;
  std::unordered_map<HttpConnection*, std::shared_ptr<HttpConnection>> connections;

  void serve(Fd listening, bool check_peer);
  void accepted(Fd fd, bool check_peer);
  void dispatch(const HttpRequest& request, const HttpReply& reply);
  void close();
};

void HttpServer::Impl::serve(Fd listening, bool check_peer) {
  auto acceptor = std::make_shared<Acceptor>(
      loop, std::move(listening),
      [this, check_peer](Fd fd, const base::Address&) { accepted(std::move(fd), check_peer); });
  acceptor->start();
  acceptors.push_back(std::move(acceptor));
}

void HttpServer::Impl::accepted(Fd fd, bool check_peer) {
  if (check_peer && !peer_may_control(fd.get())) return;
  if (connections.size() >= site->options.max_connections) return;
  auto connection =
      std::make_shared<HttpConnection>(loop, site, TcpStream::adopt(loop, fd.release()));
  connections.emplace(connection.get(), connection);
  connection->start();
}

void HttpServer::Impl::dispatch(const HttpRequest& request, const HttpReply& reply) {
  const auto path = routes.find(request.path);
  if (path == routes.end()) return reply.send({404, "text/plain; charset=utf-8", "no such page\n"});
  const auto handler = path->second.find(request.method == "HEAD" ? "GET" : request.method);
  if (handler == path->second.end())
    return reply.send({405, "text/plain; charset=utf-8", "method not allowed here\n"});
  const auto keep = shared_from_this();  // the handler may destroy the server
  handler->second(request, reply);
}

void HttpServer::Impl::close() {
  for (const auto& acceptor : acceptors) acceptor->close();
  while (!connections.empty()) {
    const auto connection = connections.begin()->second;
    connection->close();
  }
  unix_paths.clear();
}

HttpServer::HttpServer(Loop& loop, const Options& options) : impl_(std::make_shared<Impl>(loop)) {
  impl_->site->options = options;
  impl_->site->dispatch = [impl = impl_.get()](const HttpRequest& request,
                                               const std::shared_ptr<HttpConnection>& connection) {
    auto exchange = std::make_shared<HttpReply::Exchange>();
    exchange->request = connection->request_number();
    exchange->connection = connection;
    impl->dispatch(request, HttpReply(std::move(exchange)));
  };
  impl_->site->gone = [impl = impl_.get()](HttpConnection* connection) {
    impl->connections.erase(connection);
  };
}

HttpServer::~HttpServer() { impl_->close(); }

void HttpServer::route(std::string method, std::string path, Handler handler) {
  route_async(std::move(method), std::move(path),
              [handler = std::move(handler)](const HttpRequest& request, const HttpReply& reply) {
                reply.send(handler(request));
              });
}

void HttpServer::route_async(std::string method, std::string path, AsyncHandler handler) {
  impl_->routes[std::move(path)][std::move(method)] = std::move(handler);
}

base::Result<base::Address> HttpServer::listen(const base::Address& local) {
  auto fd = bind_socket(local, SOCK_STREAM, true, true);
  if (!fd) return tl::unexpected(fd.error());
  if (::listen(fd->get(), SOMAXCONN) != 0)
    return base::fail(base::ErrorCode::already_exists,
                      "cannot listen: another program already uses this TCP port",
                      local.to_string(), errno_text(errno));
  const base::Address bound = local_address_of(fd->get());
  impl_->serve(std::move(*fd), false);
  return bound;
}

base::Status HttpServer::listen_unix(const std::string& path) {
  auto listener = UnixListener::bind(path);
  if (!listener) return tl::unexpected(listener.error());
  impl_->serve(listener->take(), true);
  impl_->unix_paths.push_back(std::move(*listener));
  return {};
}

}  // namespace ztna::io
