// A UDP socket in batches: UDP_GRO and recvmmsg in, UDP_SEGMENT (GSO) out, with ECN marks and the
// local address of every datagram. IPv4-mapped addresses never leave this class.
//
// Threading: the loop's thread. Callbacks may send(), and may destroy the socket, but the spans and
// references they got are then gone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/loop.hpp"

namespace ztna::io {

// The two ECN bits of the IP header (RFC 3168): 0 not-ECT, 1 ECT(1), 2 ECT(0), 3 CE.
using Ecn = std::uint8_t;

struct Datagram {
  base::BytesView payload;
  base::Address from;
  base::Address to;  // the local address it was sent to, also on a wildcard socket
  Ecn ecn = 0;
};

// One or more datagrams to one destination.
struct OutgoingDatagrams {
  base::Address to;
  std::optional<base::Address> from;  // source IP to send from; its port is ignored
  Ecn ecn = 0;
  std::uint8_t ttl = 0;  // TTL or hop limit; 0: the system's default
  // `bytes` is cut into datagrams of this size, the last one may be shorter. 0: one datagram.
  std::size_t segment = 0;
  base::BytesView bytes;  // any number of segments; each at most 65507 octets
};

enum class SendStatus : std::uint8_t {
  sent,     // the kernel has all of it
  blocked,  // no room in the socket's buffer: keep the rest, on_writable() follows
  failed,   // the kernel refused (some of) it; counted by reason; treat it as lost on the way
};

struct SendResult {
  SendStatus status = SendStatus::sent;
  std::size_t taken = 0;  // octets that need no further care; all of them unless blocked
};

enum class UdpError : std::uint8_t {
  too_large,         // EMSGSIZE: larger than the interface's MTU (DF is set)
  unreachable,       // ENETUNREACH, EHOSTUNREACH, ENETDOWN, EADDRNOTAVAIL
  refused,           // ECONNREFUSED: ICMP port unreachable
  not_permitted,     // EPERM, EACCES: a local firewall
  no_buffers,        // ENOBUFS, ENOMEM
  invalid_argument,  // EINVAL, EAFNOSUPPORT: for example an IPv6 destination on an IPv4 socket
  other,
};
inline constexpr std::size_t udp_errors = 7;
[[nodiscard]] std::string_view to_string(UdpError error);

struct UdpCounters {
  std::uint64_t received_packets = 0, received_bytes = 0;
  std::uint64_t receive_calls = 0;       // recvmmsg
  std::uint64_t gro_batches = 0;         // messages that held more than one datagram
  std::uint64_t received_truncated = 0;  // dropped here: larger than the buffer
  std::uint64_t dropped_by_kernel = 0;   // socket buffer was full
  std::uint64_t sent_packets = 0, sent_bytes = 0;
  std::uint64_t gso_batches = 0;    // sends that carried more than one datagram
  std::uint64_t split_batches = 0;  // batches that had to go without GSO
  std::uint64_t blocked = 0;        // EAGAIN
  bool gso_refused = false;         // the kernel or interface cannot; no longer tried
  std::array<std::uint64_t, udp_errors> send_errors{}, receive_errors{};  // by UdpError
};

class UdpSocket {
 public:
  struct Options {
    bool reuse_address = false;
    bool dual_stack = true;        // a [::] socket takes IPv4 too
    int receive_buffer = 4 << 20;  // asked for; the kernel may give less
    int send_buffer = 4 << 20;
    bool gso = true;  // off: always sendmmsg
    // DF on every packet, as QUIC wants it. Off: IP fragments what exceeds the path's MTU.
    bool dont_fragment = true;
    bool gro = true;
  };

  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void on_datagram(const Datagram& datagram) = 0;
    // After each batch of on_datagram(): the moment to transmit what they caused.
    virtual void on_drained() {}
    virtual void on_writable() {}
  };

  // `handler` outlives the socket. Datagrams are delivered from the loop from now on.
  [[nodiscard]] static base::Result<UdpSocket> bind(Loop& loop, const base::Address& local,
                                                    const Options& options, Handler& handler);
  ~UdpSocket();
  UdpSocket(UdpSocket&&) noexcept;
  UdpSocket& operator=(UdpSocket&&) noexcept;

  [[nodiscard]] const base::Address& local_address() const;  // with the port that was given
  [[nodiscard]] SendResult send(const OutgoingDatagrams& out);
  [[nodiscard]] UdpCounters counters() const;
  // What the kernel gave, octets.
  [[nodiscard]] int receive_buffer() const;
  [[nodiscard]] int send_buffer() const;

 private:
  class Impl;
  explicit UdpSocket(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace ztna::io
