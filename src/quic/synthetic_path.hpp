// ngtcp2 tells paths apart by socket addresses. Ours are numbers, so path N becomes local fd00::N,
// remote fd01::N. Both differ, because ngtcp2 refuses to migrate to a new remote from the same
// local address.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include <cstring>

#include "base/bytes.hpp"
#include "quic/connection.hpp"

namespace ztna::quic {

class SyntheticPath {
 public:
  explicit SyntheticPath(PathId id) {
    fill(local_, 0, id);
    fill(remote_, 1, id);
  }
  SyntheticPath(const SyntheticPath&) = delete;
  SyntheticPath& operator=(const SyntheticPath&) = delete;

  [[nodiscard]] const ngtcp2_path* get() {
    path_.local = {reinterpret_cast<ngtcp2_sockaddr*>(&local_), sizeof local_};
    path_.remote = {reinterpret_cast<ngtcp2_sockaddr*>(&remote_), sizeof remote_};
    return &path_;
  }

  [[nodiscard]] static PathId id_of(const ngtcp2_path& path) {
    ngtcp2_sockaddr_in6 address{};
    if (path.local.addrlen != sizeof address) return {};
    std::memcpy(&address, path.local.addr, sizeof address);
    return {base::load_be32(address.sin6_addr.s6_addr + 12)};
  }

 private:
  static void fill(ngtcp2_sockaddr_in6& address, std::uint8_t side, PathId id) {
    address.sin6_family = NGTCP2_AF_INET6;
    address.sin6_port = 1;
    address.sin6_addr.s6_addr[0] = 0xfd;
    address.sin6_addr.s6_addr[1] = side;
    base::store_be32(address.sin6_addr.s6_addr + 12, id.value);
  }

  ngtcp2_sockaddr_in6 local_{};
  ngtcp2_sockaddr_in6 remote_{};
  ngtcp2_path path_{};
};

}  // namespace ztna::quic
