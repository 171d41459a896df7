#include "io/http_client.hpp"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
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

enum class Waited : std::uint8_t { ready, timed_out, cancelled };

// How long a caller who may change its mind goes unasked.
constexpr base::Duration ask_every = std::chrono::milliseconds(100);

Waited wait_for(int fd, short events, base::Duration timeout, const HttpClientRequest& request) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const base::Duration left = until - std::chrono::steady_clock::now();
    const base::Duration slice = request.cancelled ? std::min(left, ask_every) : left;
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(slice).count();
    pollfd entry{fd, events, 0};
    if (::poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(ms, 0))) > 0) {
      return Waited::ready;
    }
    if (request.cancelled && request.cancelled()) return Waited::cancelled;
    if (std::chrono::steady_clock::now() >= until) return Waited::timed_out;
  }
}

tl::unexpected<base::Error> no_answer(const HttpClientRequest& request) {
  return base::fail(base::ErrorCode::timed_out, "no answer in time", target_name(request));
}

tl::unexpected<base::Error> not_ready(Waited why, const HttpClientRequest& request) {
  if (why == Waited::timed_out) return no_answer(request);
  return base::fail(base::ErrorCode::closed, "interrupted", target_name(request));
}

base::Result<Fd> connect_to(const sockaddr* address, socklen_t size,
                            const HttpClientRequest& request) {
  Fd fd(::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int error = fd.valid() ? 0 : errno;
  if (error == 0 && ::connect(fd.get(), address, size) != 0) error = errno;
  if (error == EINPROGRESS) {
    const Waited waited = wait_for(fd.get(), POLLOUT, request.timeout, request);
    if (waited != Waited::ready) return not_ready(waited, request);
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
    else if (const Waited waited = wait_for(fd, POLLOUT, request.timeout, request);
             waited != Waited::ready)
      return not_ready(waited, request);
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
  const auto until = request.at_most > base::Duration{}
                         ? std::chrono::steady_clock::now() + request.at_most
                         : std::chrono::steady_clock::time_point::max();
  while (!parser.complete()) {
    const base::Duration left = until - std::chrono::steady_clock::now();
    if (left <= base::Duration{}) {
      if (!parser.has_head()) return no_answer(request);
      break;
    }
    if (request.cancelled && request.cancelled()) return not_ready(Waited::cancelled, request);
    const ssize_t got = ::recv(fd->get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) {
      input.append(buffer.data(), static_cast<std::size_t>(got));
      if (!parser.feed(input)) return broken("the answer is not HTTP, or too large");
    } else if (got == 0) {
      if (!parser.end_of_input()) return broken("the answer ended too early");
    } else if (errno == EAGAIN || errno == EINTR) {
      const Waited waited = wait_for(fd->get(), POLLIN, std::min(request.timeout, left), request);
      if (waited == Waited::cancelled || (waited == Waited::timed_out && left > request.timeout)) {
        return not_ready(waited, request);
      }
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
