#include "io/udp_batch.hpp"

#include <linux/sock_diag.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "io/socket_util.hpp"

namespace ztna::io {

UdpError udp_error(int os_error) {
  switch (os_error) {
    case EMSGSIZE: return UdpError::too_large;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EADDRNOTAVAIL: return UdpError::unreachable;
    case ECONNREFUSED: return UdpError::refused;
    case EPERM:
    case EACCES: return UdpError::not_permitted;
    case ENOBUFS:
    case ENOMEM: return UdpError::no_buffers;
    case EINVAL:
    case EAFNOSUPPORT: return UdpError::invalid_argument;
    default: return UdpError::other;
  }
}

std::string_view to_string(UdpError error) {
  switch (error) {
    case UdpError::too_large: return "too_large";
    case UdpError::unreachable: return "unreachable";
    case UdpError::refused: return "refused";
    case UdpError::not_permitted: return "not_permitted";
    case UdpError::no_buffers: return "no_buffers";
    case UdpError::invalid_argument: return "invalid_argument";
    case UdpError::other: break;
  }
  return "other";
}

std::uint64_t kernel_drops(int fd) {
  std::array<std::uint32_t, SK_MEMINFO_VARS> info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info.data(), &size) != 0) return 0;
  return info[SK_MEMINFO_DROPS];
}

// --- receiving

UdpReceiveBatch::UdpReceiveBatch() : buffers_(max_messages * buffer_size) {
  for (std::size_t i = 0; i < max_messages; ++i) {
    vectors_[i] = {&buffers_[i * buffer_size], buffer_size};
    headers_[i].msg_hdr.msg_iov = &vectors_[i];
    headers_[i].msg_hdr.msg_iovlen = 1;
    headers_[i].msg_hdr.msg_name = &names_[i];
    headers_[i].msg_hdr.msg_control = controls_[i].octets.data();
  }
}

int UdpReceiveBatch::receive(int fd, UdpCounters& counters) {
  for (mmsghdr& header : headers_) {
    header.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    header.msg_hdr.msg_controllen = sizeof(Control);
  }
  ++counters.receive_calls;
  int received = 0;
  do {
    received = ::recvmmsg(fd, headers_.data(), max_messages, MSG_DONTWAIT, nullptr);
  } while (received < 0 && errno == EINTR);
  return received < 0 ? -errno : received;
}

namespace {

void read_control(const cmsghdr& header, UdpReceiveBatch::Message& message) {
  const std::uint8_t* data = CMSG_DATA(&header);
  if (header.cmsg_level == SOL_UDP && header.cmsg_type == UDP_GRO) {
    int segment = 0;
    std::memcpy(&segment, data, sizeof segment);
    message.segment = static_cast<std::size_t>(segment);
  } else if (header.cmsg_level == IPPROTO_IP && header.cmsg_type == IP_TOS) {
    message.ecn = data[0] & 3;
  } else if (header.cmsg_level == IPPROTO_IPV6 && header.cmsg_type == IPV6_TCLASS) {
    int traffic_class = 0;
    std::memcpy(&traffic_class, data, sizeof traffic_class);
    message.ecn = static_cast<Ecn>(traffic_class & 3);
  } else if (header.cmsg_level == IPPROTO_IP && header.cmsg_type == IP_PKTINFO) {
    std::array<std::uint8_t, 4> octets{};
    std::memcpy(octets.data(), data + offsetof(in_pktinfo, ipi_addr), octets.size());
    message.to = base::Address::v4(octets, 0);
  } else if (header.cmsg_level == IPPROTO_IPV6 && header.cmsg_type == IPV6_PKTINFO) {
    std::array<std::uint8_t, 16> octets{};
    std::memcpy(octets.data(), data + offsetof(in6_pktinfo, ipi6_addr), octets.size());
    message.to = base::Address::v6(octets, 0);
  }
}

}  // namespace

UdpReceiveBatch::Message UdpReceiveBatch::message(std::size_t index) {
  mmsghdr& header = headers_[index];
  Message out;
  out.bytes = {&buffers_[index * buffer_size], header.msg_len};
  out.truncated = (header.msg_hdr.msg_flags & MSG_TRUNC) != 0;
  if (header.msg_hdr.msg_namelen != 0)
    out.from = from_sockaddr(static_cast<const sockaddr*>(header.msg_hdr.msg_name));
  for (cmsghdr* at = CMSG_FIRSTHDR(&header.msg_hdr); at != nullptr;
       at = CMSG_NXTHDR(&header.msg_hdr, at))
    read_control(*at, out);
  return out;
}

// --- sending

void UdpSendBatch::put(int level, int type, const void* data, std::size_t size) {
  auto* header = reinterpret_cast<cmsghdr*>(&control_.octets[control_.size]);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(size);
  std::memcpy(CMSG_DATA(header), data, size);
  control_.size += CMSG_SPACE(size);
}

// Everything that is the same for all datagrams of a batch. False: source of another family.
bool UdpSendBatch::prepare(const OutgoingDatagrams& out) {
  const SockAddr to = to_sockaddr(out.to, family_);
  name_ = to.storage;
  name_size_ = to.length;
  control_.octets.fill(0);
  control_.size = 0;
  const bool v4 = out.to.is_v4();
  if (out.ecn != 0) {
    const int mark = out.ecn & 3;
    if (v4)
      put(IPPROTO_IP, IP_TOS, &mark, sizeof mark);
    else
      put(IPPROTO_IPV6, IPV6_TCLASS, &mark, sizeof mark);
  }
  if (out.ttl != 0) {
    const int ttl = out.ttl;
    if (v4)
      put(IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    else
      put(IPPROTO_IPV6, IPV6_HOPLIMIT, &ttl, sizeof ttl);
  }
  if (!out.from || out.from->is_unspecified()) return true;
  if (out.from->is_v4() != v4) return false;
  if (v4) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, out.from->octets().data(), 4);
    put(IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
  } else {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, out.from->octets().data(), 16);
    put(IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
  }
  return true;
}

// One sendmsg. 0 or errno.
int UdpSendBatch::send_whole(int fd, base::BytesView bytes) {
  iovec vector{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  msghdr header{};
  header.msg_name = &name_;
  header.msg_namelen = name_size_;
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control_.size == 0 ? nullptr : control_.octets.data();
  header.msg_controllen = control_.size;
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

// At most max_segments datagrams by sendmmsg. A refused one is counted and skipped.
SendResult UdpSendBatch::send_each(int fd, base::BytesView bytes, std::size_t segment,
                                   bool& first_sent, UdpCounters& counters) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < bytes.size() || count == 0; at += segment, ++count) {
    const base::BytesView one = bytes.subspan(at, std::min(segment, bytes.size() - at));
    vectors_[count] = {const_cast<std::uint8_t*>(one.data()), one.size()};
    msghdr& header = headers_[count].msg_hdr;
    header = {};
    header.msg_name = &name_;
    header.msg_namelen = name_size_;
    header.msg_iov = &vectors_[count];
    header.msg_iovlen = 1;
    header.msg_control = control_.size == 0 ? nullptr : control_.octets.data();
    header.msg_controllen = control_.size;
  }
  SendResult result;
  first_sent = false;
  for (std::size_t next = 0; next < count;) {
    const int sent = ::sendmmsg(fd, &headers_[next], static_cast<unsigned>(count - next),
                                MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      ++counters.blocked;
      return {SendStatus::blocked, result.taken};
    }
    if (sent < 0) {
      ++counters.send_errors[static_cast<std::size_t>(udp_error(errno))];
      result.status = SendStatus::failed;
      result.taken += vectors_[next++].iov_len;
      continue;
    }
    if (next == 0 && sent > 0) first_sent = true;
    for (const std::size_t end = next + static_cast<std::size_t>(sent); next < end; ++next) {
      ++counters.sent_packets;
      counters.sent_bytes += vectors_[next].iov_len;
      result.taken += vectors_[next].iov_len;
    }
  }
  return result;
}

// One batch that the kernel can take at once.
SendResult UdpSendBatch::send_chunk(int fd, base::BytesView bytes, std::size_t segment,
                                    UdpCounters& counters) {
  const bool several = bytes.size() > segment;
  bool first_sent = false;
  if (!several || !gso_) {
    if (several) ++counters.split_batches;
    return send_each(fd, bytes, segment, first_sent, counters);
  }
  const std::size_t plain_control = control_.size;
  const auto size = static_cast<std::uint16_t>(segment);
  put(SOL_UDP, UDP_SEGMENT, &size, sizeof size);
  const int error = send_whole(fd, bytes);
  control_.size = plain_control;
  if (error == 0) {
    ++counters.gso_batches;
    counters.sent_packets += (bytes.size() + segment - 1) / segment;
    counters.sent_bytes += bytes.size();
    return {SendStatus::sent, bytes.size()};
  }
  if (error == EAGAIN || error == EWOULDBLOCK) {
    ++counters.blocked;
    return {SendStatus::blocked, 0};
  }
  if (error != EIO && error != EINVAL && error != EMSGSIZE) {
    ++counters.send_errors[static_cast<std::size_t>(udp_error(error))];
    return {SendStatus::failed, bytes.size()};
  }
  // GSO may be at fault (no checksum offload on the interface, an old kernel) or the datagrams may.
  // If a full-size one goes alone, it was GSO.
  ++counters.split_batches;
  const SendResult result = send_each(fd, bytes, segment, first_sent, counters);
  if (first_sent) {
    gso_ = false;
    counters.gso_refused = true;
  }
  return result;
}

SendResult UdpSendBatch::send(int fd, const OutgoingDatagrams& out, UdpCounters& counters) {
  if (!prepare(out) || out.segment > max_payload) {
    ++counters.send_errors[static_cast<std::size_t>(UdpError::invalid_argument)];
    return {SendStatus::failed, out.bytes.size()};
  }
  const std::size_t segment = out.segment == 0 ? out.bytes.size() : out.segment;
  const std::size_t at_once =
      segment == 0 ? 0 : segment * std::clamp<std::size_t>(max_payload / segment, 1, max_segments);
  SendResult total;
  do {
    const base::BytesView rest = out.bytes.subspan(total.taken);
    const SendResult one =
        send_chunk(fd, rest.first(std::min(at_once, rest.size())), segment, counters);
    total.taken += one.taken;
    if (one.status != SendStatus::sent) total.status = one.status;
    if (one.status == SendStatus::blocked) break;
  } while (total.taken < out.bytes.size());
  return total;
}

}  // namespace ztna::io
