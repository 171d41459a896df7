#include "io/resolve.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <string>

#include "io/socket_util.hpp"

namespace ztna::io {

namespace asio = boost::asio;
using Resolver = asio::ip::udp::resolver;  // of udp and tcp alike: one result an address

struct Resolve::Impl {
  Resolver resolver;
  Done done;  // empty once called or no longer wanted

  void finish(const std::vector<base::Address>& addresses) {
    if (!done) return;
    const Done call = std::exchange(done, nullptr);
    call(addresses);
  }
};

Resolve::Resolve(Loop& loop, const base::HostPort& host, Done done)
    : impl_(new Impl{Resolver(loop.context()), std::move(done)}) {
  if (const auto literal = base::Address::parse_ip(host.host, host.port)) {
    loop.post([impl = impl_, address = *literal] { impl->finish({address}); });
    return;
  }
  impl_->resolver.async_resolve(
      host.host, std::to_string(host.port), Resolver::numeric_service,
      [impl = impl_](boost::system::error_code error, const Resolver::results_type& results) {
        std::vector<base::Address> addresses;
        if (!error)
          for (const auto& entry : results)
            addresses.push_back(from_sockaddr(entry.endpoint().data()));
        impl->finish(addresses);
      });
}

Resolve::~Resolve() {
  impl_->done = nullptr;
  impl_->resolver.cancel();
}

}  // namespace ztna::io
