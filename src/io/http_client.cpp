#include "io/http_client.hpp"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "io/connect_error.hpp"
#include "io/http_codec.hpp"
#include "io/socket_util.hpp"

namespace ztna::io {

namespace {

constexpr std::size_t max_body = std::size_t{64} << 20;

std::string target_name(const HttpClientRequest& request) {
  return request.unix_socket.empty() ? request.tcp.to_string() : request.unix_socket;
}

bool wait_for(int fd, short events, base::Duration timeout) {
  pollfd entry{fd, events, 0};
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  int ready = 0;
  do {
    ready = ::poll(&entry, 1, static_cast<int>(ms));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

tl::unexpected<base::Error> no_answer(const HttpClientRequest& request) {
  return base::fail(base::ErrorCode::timed_out, "no answer in time", target_name(request));
}

base::Result<Fd> connect_to(const sockaddr* address, socklen_t size,
                            const HttpClientRequest& request) {
  Fd fd(::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int error = fd.valid() ? 0 : errno;
  if (error == 0 && ::connect(fd.get(), address, size) != 0) error = errno;
  if (error == EINPROGRESS) {
    if (!wait_for(fd.get(), POLLOUT, request.timeout)) return no_answer(request);
    error = take_socket_error(fd.get());
  }
  if (error == 0) return fd;
  const bool denied = error == EACCES || error == EPERM;
  return base::fail(denied ? base::ErrorCode::permission_denied : base::ErrorCode::unavailable,
                    denied ? "may not speak to it as this user" : "nobody is listening",
                    target_name(request), errno_text(error));
}

base::Result<Fd> connect_unix(const HttpClientRequest& request) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (request.unix_socket.size() >= sizeof address.sun_path)
    return base::fail(base::ErrorCode::invalid_argument, "the path of the socket is too long",
                      request.unix_socket);
  std::memcpy(address.sun_path, request.unix_socket.data(), request.unix_socket.size());
  return connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof address, request);
}

base::Result<Fd> connect_tcp(const HttpClientRequest& request) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(request.tcp.host.c_str(),
                                  std::to_string(request.tcp.port).c_str(), &hints, &found);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> guard(found, &::freeaddrinfo);
  if (error != 0)
    return base::fail(base::ErrorCode::not_found, "no such host", target_name(request),
                      ::gai_strerror(error));
  base::Result<Fd> result = base::fail(base::ErrorCode::not_found, "no such host");
  for (const addrinfo* at = found; at != nullptr && !result; at = at->ai_next)
    result = connect_to(at->ai_addr, at->ai_addrlen, request);
  return result;
}

base::Status send_all(int fd, std::string_view text, const HttpClientRequest& request) {
  while (!text.empty()) {
    const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0)
      text.remove_prefix(static_cast<std::size_t>(sent));
    else if (errno == EPIPE || errno == ECONNRESET)
      return {};  // an early answer may be waiting
    else if (errno != EAGAIN && errno != EINTR)
      return base::fail(base::ErrorCode::unavailable, "cannot send", target_name(request),
                        errno_text(errno));
    else if (!wait_for(fd, POLLOUT, request.timeout))
      return no_answer(request);
  }
  return {};
}

// Hands out the complete lines in `body`. False: the caller wants no more.
bool hand_out_lines(std::string& body, const HttpClientRequest& request) {
  std::size_t start = 0;
  bool more = true;
  for (std::size_t end = 0; more && (end = body.find('\n', start)) != std::string::npos;
       start = end + 1)
    more = request.on_line(std::string_view(body).substr(start, end - start));
  body.erase(0, start);
  return more;
}

}  // namespace

base::Result<HttpResponse> http_request(const HttpClientRequest& request) {
  auto fd = request.unix_socket.empty() ? connect_tcp(request) : connect_unix(request);
  if (!fd) return tl::unexpected(fd.error());
  const std::string host = request.unix_socket.empty() ? request.tcp.to_string() : "localhost";
  const std::string text =
      http_request_text(request.method, request.target, host, request.content_type, request.body);
  if (auto sent = send_all(fd->get(), text, request); !sent) return tl::unexpected(sent.error());

  const auto broken = [&](const char* what) {
    return base::fail(base::ErrorCode::protocol, what, target_name(request));
  };
  const bool streaming = static_cast<bool>(request.on_line);
  HttpResponseParser parser(streaming ? 0 : max_body, request.method == "HEAD");
  std::string input;
  std::array<char, std::size_t{16} * 1024> buffer{};
  while (!parser.complete()) {
    const ssize_t got = ::recv(fd->get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) {
      input.append(buffer.data(), static_cast<std::size_t>(got));
      if (!parser.feed(input)) return broken("the answer is not HTTP, or too large");
    } else if (got == 0) {
      if (!parser.end_of_input()) return broken("the answer ended too early");
    } else if (errno == EAGAIN || errno == EINTR) {
      if (!wait_for(fd->get(), POLLIN, request.timeout)) return no_answer(request);
    } else {
      return base::fail(base::ErrorCode::unavailable, "the connection broke", target_name(request),
                        errno_text(errno));
    }
    if (streaming && !hand_out_lines(parser.body(), request)) break;
    if (streaming && parser.body().size() > max_body) return broken("a line is too long");
  }
  if (streaming && parser.complete() && !parser.body().empty()) request.on_line(parser.body());
  return HttpResponse{parser.status(), parser.content_type(),
                      streaming ? std::string{} : std::move(parser.body())};
}

}  // namespace ztna::io
