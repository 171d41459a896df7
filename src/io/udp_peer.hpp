// A UDP socket connected to one backend. Payloads up to 65507 octets; larger than the MTU is
// fragmented by IP, as the backend's other clients do.
//
// Threading and destruction: as TcpStream (tcp.hpp).
#pragma once

#include <cstdint>
#include <memory>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/time.hpp"
#include "io/connect_error.hpp"
#include "io/loop.hpp"
#include "io/udp_socket.hpp"

namespace ztna::io {

class UdpPeer {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void on_connected(const base::Address& /*remote*/) {}
    virtual void on_datagram(base::BytesView payload) = 0;
    virtual void on_drained() {}  // after each batch of on_datagram()
    virtual void on_writable() {}
    // The name could not be resolved or no route exists. Nothing more will be called.
    virtual void on_failed(ConnectFailure failure) = 0;
    // The backend's host answered "port unreachable". The peer stays usable: it may come back.
    virtual void on_refused() {}
  };

  UdpPeer() = default;  // empty
  // Resolves `to` anew. Never calls back from inside open(). `handler` outlives the peer.
  [[nodiscard]] static UdpPeer open(Loop& loop, const base::HostPort& to, base::Duration timeout,
                                    Handler& handler);
  ~UdpPeer();
  UdpPeer(UdpPeer&&) noexcept;
  UdpPeer& operator=(UdpPeer&&) noexcept;

  // blocked until on_connected(); after that as UdpSocket: on_writable() follows.
  [[nodiscard]] SendStatus send(base::BytesView payload);
  [[nodiscard]] UdpCounters counters() const;
  void close();

 private:
  class Impl;
  explicit UdpPeer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace ztna::io
