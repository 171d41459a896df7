#include "io/interface_watch.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <utility>

#include "io/fd_watch.hpp"
#include "io/interfaces.hpp"

namespace ztna::io {
namespace {

// One event of a person's (a cable, a Wi-Fi, a lease) is a burst of messages.
constexpr base::Duration settle = std::chrono::milliseconds(50);

// Null where the kernel has no rtnetlink for us.
Fd open_netlink() {
  Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!fd.valid()) return fd;
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  local.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0) return Fd{};
  return fd;
}

}  // namespace

struct InterfaceWatch::Impl : FdWatch::Owner, std::enable_shared_from_this<Impl> {
  Impl(Loop& loop, Callback cb)
      : callback(std::move(cb)), settled(loop, [this] { look(); }), known(interface_addresses()) {
    if (Fd fd = open_netlink(); fd.valid()) watch.emplace(loop, std::move(fd));
  }

  void listen() {
    if (watch && watch->fd() >= 0) watch->wait(FdWatch::Event::readable, shared_from_this());
  }

  // What it says does not matter, only that it speaks: getifaddrs() knows the whole. A full buffer
  // (ENOBUFS) is news as well.
  void on_fd_readable() override {
    if (!watch || watch->fd() < 0) return;
    std::array<std::byte, 8192> messages{};
    while (recv(watch->fd(), messages.data(), messages.size(), 0) > 0) {
    }
    if (settled.deadline() == base::never) settled.set(Loop::now() + settle);
    listen();
  }

  void look() {
    std::vector<base::Address> now = interface_addresses();
    if (now == known) return;
    known = std::move(now);
    callback(known);
  }

  Callback callback;
  Timer settled;
  std::vector<base::Address> known;
  std::optional<FdWatch> watch;
};

InterfaceWatch::InterfaceWatch(Loop& loop, Callback callback)
    : impl_(std::make_shared<Impl>(loop, std::move(callback))) {
  impl_->listen();
}

InterfaceWatch::~InterfaceWatch() {
  if (impl_->watch) impl_->watch->close();
  impl_->settled.cancel();
}

const std::vector<base::Address>& InterfaceWatch::addresses() const { return impl_->known; }

}  // namespace ztna::io
