#include "connector/shell_udp.hpp"

#include <cerrno>
#include <tuple>
#include <utility>

namespace ztna::connector {

void UdpBackend::send(base::BytesView payload) {
  if (connected_) {
    // A full socket buffer drops the datagram, as any network may.
    std::ignore = peer_.send(payload);
  } else if (early_.size() < max_early) {
    early_.emplace_back(payload.begin(), payload.end());
  }
}

void UdpBackend::on_connected(const base::Address& /*remote*/) {
  connected_ = true;
  for (const base::Bytes& payload : std::exchange(early_, {})) std::ignore = peer_.send(payload);
  settle_.set(io::Loop::now() + settle_time);
}

void UdpBackend::on_datagram(base::BytesView payload) {
  settle();
  port_.flow_datagram(id_, payload);
}

void UdpBackend::on_refused() {
  if (settled_) return owner_.on_udp_refused(backend_);
  settle_.cancel();
  owner_.on_udp_failed(id_, io::connect_failure(ECONNREFUSED));
}

void UdpBackend::settle() {
  if (std::exchange(settled_, true)) return;
  settle_.cancel();
  owner_.on_udp_settled(id_);
}

}  // namespace ztna::connector
