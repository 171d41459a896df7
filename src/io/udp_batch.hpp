// Internal to src/io: the buffers and system calls behind batched UDP.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "io/udp_socket.hpp"

namespace ztna::io {

[[nodiscard]] UdpError udp_error(int os_error);

// Counts of the kernel's own drops (its buffer was full) since the socket was made.
[[nodiscard]] std::uint64_t kernel_drops(int fd);

// Receive buffers, shared by all sockets of a loop: what was received is used up before anybody
// receives again. 1 MiB, allocated once.
class UdpReceiveBatch {
 public:
  static constexpr std::size_t max_messages = 16;
  static constexpr std::size_t buffer_size = std::size_t{64} * 1024;  // what GRO can build at most

  UdpReceiveBatch();

  // One recvmmsg. The number of messages, or -errno.
  [[nodiscard]] int receive(int fd, UdpCounters& counters);

  struct Message {
    base::BytesView bytes;
    std::size_t segment = 0;  // size of each datagram in it; the last may be shorter. 0: only one
    base::Address from, to;   // `to` without its port
    Ecn ecn = 0;
    bool truncated = false;
  };
  [[nodiscard]] Message message(std::size_t index);

 private:
  struct alignas(cmsghdr) Control {
    std::array<std::uint8_t, 128> octets{};
  };
  base::Bytes buffers_;
  std::array<mmsghdr, max_messages> headers_{};
  std::array<iovec, max_messages> vectors_{};
  std::array<sockaddr_storage, max_messages> names_{};
  std::array<Control, max_messages> controls_{};
};

// Delivers the last batch of `received` messages datagram by datagram to `deliver`, which returns
// false to stop (the socket is gone). False then.
template <class Deliver>
bool deliver_batch(UdpReceiveBatch& batch, int received, std::uint16_t local_port,
                   UdpCounters& counters, const Deliver& deliver) {
  for (int i = 0; i < received; ++i) {
    const auto message = batch.message(static_cast<std::size_t>(i));
    if (message.truncated) {
      ++counters.received_truncated;
      continue;
    }
    Datagram datagram{{}, message.from, message.to.with_port(local_port), message.ecn};
    base::BytesView rest = message.bytes;
    if (message.segment != 0 && message.segment < rest.size()) ++counters.gro_batches;
    do {  // an empty datagram is a datagram
      const std::size_t size =
          message.segment == 0 ? rest.size() : std::min(message.segment, rest.size());
      datagram.payload = rest.first(size);
      rest = rest.subspan(size);
      ++counters.received_packets;
      counters.received_bytes += size;
      if (!deliver(datagram)) return false;
    } while (!rest.empty());
  }
  return true;
}

// Sends batches from one socket and remembers whether GSO works on it.
class UdpSendBatch {
 public:
  static constexpr std::size_t max_segments = 64;    // UDP_MAX_SEGMENTS before Linux 6.9
  static constexpr std::size_t max_payload = 65507;  // of IPv4, all segments together

  UdpSendBatch(int socket_family, bool gso) : family_(socket_family), gso_(gso) {}

  [[nodiscard]] SendResult send(int fd, const OutgoingDatagrams& out, UdpCounters& counters);

 private:
  struct alignas(cmsghdr) Control {
    std::array<std::uint8_t, 160> octets{};
    std::size_t size = 0;
  };
  void put(int level, int type, const void* data, std::size_t size);
  [[nodiscard]] bool prepare(const OutgoingDatagrams& out);
  [[nodiscard]] int send_whole(int fd, base::BytesView bytes);
  [[nodiscard]] SendResult send_each(int fd, base::BytesView bytes, std::size_t segment,
                                     bool& first_sent, UdpCounters& counters);
  [[nodiscard]] SendResult send_chunk(int fd, base::BytesView bytes, std::size_t segment,
                                      UdpCounters& counters);

  int family_;
  bool gso_;
  sockaddr_storage name_{};
  socklen_t name_size_ = 0;
  Control control_{};
  std::array<mmsghdr, max_segments> headers_{};
  std::array<iovec, max_segments> vectors_{};
};

}  // namespace ztna::io
