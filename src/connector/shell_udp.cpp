#include "connector/shell_udp.hpp"

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
  owner_.on_udp_connected(id_);
}

}  // namespace ztna::connector
