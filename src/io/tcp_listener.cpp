#include <sys/socket.h>

#include <cerrno>

#include "io/acceptor.hpp"
#include "io/socket_util.hpp"
#include "io/tcp.hpp"

namespace ztna::io {

void Acceptor::on_fd_readable() {
  for (int round = 0; round < max_rounds && watch_.fd() >= 0; ++round) {
    SockAddr peer;
    peer.length = sizeof peer.storage;
    Fd fd(::accept4(watch_.fd(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.length,
                    SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      ++counters_.accepted;
      accepted_(std::move(fd), from_sockaddr(peer.get()));
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) break;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      // The connection stays in the backlog; asking again at once would only spin.
      ++counters_.paused;
      retry_.set(Loop::now() + TcpListener::pause);
      return;
    }
    ++counters_.aborted;
  }
  if (watch_.fd() >= 0) start();
}

class TcpListener::Impl {
 public:
  std::shared_ptr<Acceptor> acceptor;
  base::Address local;
};

base::Result<TcpListener> TcpListener::bind(Loop& loop, const base::Address& local,
                                            const Options& options, Accept accept) {
  // SO_REUSEADDR: a restarted daemon need not wait for connections in TIME_WAIT.
  auto fd = bind_socket(local, SOCK_STREAM, true, options.dual_stack);
  if (!fd) return tl::unexpected(fd.error());
  if (::listen(fd->get(), SOMAXCONN) != 0)
    return base::fail(base::ErrorCode::already_exists,
                      "cannot listen: another program already uses this TCP port",
                      local.to_string(), errno_text(errno));
  auto impl = std::make_shared<Impl>();
  impl->local = local_address_of(fd->get());
  impl->acceptor = std::make_shared<Acceptor>(
      loop, std::move(*fd), [&loop, accept = std::move(accept)](Fd taken, const auto& peer) {
        accept(TcpStream::adopt(loop, taken.release()), peer);
      });
  impl->acceptor->start();
  return TcpListener(std::move(impl));
}

TcpListener::TcpListener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
TcpListener::~TcpListener() {
  if (impl_) impl_->acceptor->close();
}
TcpListener::TcpListener(TcpListener&&) noexcept = default;
TcpListener& TcpListener::operator=(TcpListener&& other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}

const base::Address& TcpListener::local_address() const { return impl_->local; }
TcpListener::Counters TcpListener::counters() const { return impl_->acceptor->counters(); }

}  // namespace ztna::io
