#include "io/fd_watch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

namespace ztna::io {

namespace asio = boost::asio;

struct FdWatch::Impl {
  asio::posix::stream_descriptor descriptor;
};

FdWatch::FdWatch(Loop& loop, Fd fd)
    : impl_(new Impl{asio::posix::stream_descriptor(loop.context())}), fd_(fd.get()) {
  boost::system::error_code error;
  impl_->descriptor.assign(fd.get(), error);
  // Fails only when epoll refuses for want of memory: the waits then end at once with an error.
  if (!error)
    static_cast<void>(fd.release());
  else
    fd_ = -1;
}

FdWatch::~FdWatch() { close(); }

void FdWatch::wait(Event event, std::shared_ptr<Owner> owner) {
  using Wait = asio::posix::stream_descriptor::wait_type;
  switch (event) {
    case Event::readable:
      impl_->descriptor.async_wait(Wait::wait_read,
                                   [owner = std::move(owner)](boost::system::error_code error) {
                                     if (!error) owner->on_fd_readable();
                                   });
      return;
    case Event::writable:
      impl_->descriptor.async_wait(Wait::wait_write,
                                   [owner = std::move(owner)](boost::system::error_code error) {
                                     if (!error) owner->on_fd_writable();
                                   });
      return;
    case Event::error:
      impl_->descriptor.async_wait(Wait::wait_error,
                                   [owner = std::move(owner)](boost::system::error_code error) {
                                     if (!error) owner->on_fd_error();
                                   });
      return;
  }
}

void FdWatch::close() {
  boost::system::error_code ignored;
  impl_->descriptor.close(ignored);
  fd_ = -1;
}

Fd FdWatch::release() {
  if (fd_ < 0) return {};
  fd_ = -1;
  return Fd(impl_->descriptor.release());
}

}  // namespace ztna::io
