#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "io/udp_peer.hpp"
#include "io/udp_socket.hpp"
#include "support.hpp"

namespace ztna::io {
namespace {

using testing::loopback;
using testing::run_until;

struct Collector : UdpSocket::Handler {
  struct Got {
    std::string payload;
    base::Address from, to;
    Ecn ecn;
  };
  std::vector<Got> got;
  int drained = 0, writable = 0;
  std::function<void()> each;

  void on_datagram(const Datagram& d) override {
    got.push_back({std::string(base::as_text(d.payload)), d.from, d.to, d.ecn});
    if (each) each();
  }
  void on_drained() override { ++drained; }
  void on_writable() override { ++writable; }
};

UdpSocket bind_to(Loop& loop, const std::string& address, UdpSocket::Handler& handler,
                  const UdpSocket::Options& options = {}) {
  auto socket = UdpSocket::bind(loop, *base::Address::parse(address), options, handler);
  if (!socket) throw std::runtime_error(socket.error().message());
  return std::move(*socket);
}

OutgoingDatagrams to(const base::Address& address, std::string_view bytes,
                     std::size_t segment = 0) {
  OutgoingDatagrams out;
  out.to = address;
  out.segment = segment;
  out.bytes = base::as_bytes(bytes);
  return out;
}

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 251);
  return text;
}

TEST(UdpSocket, CarriesADatagramWithBothAddresses) {
  Loop loop;
  Collector a, b;
  UdpSocket left = bind_to(loop, "127.0.0.1:0", a), right = bind_to(loop, "127.0.0.1:0", b);
  ASSERT_NE(left.local_address().port(), 0);
  const SendResult result = left.send(to(right.local_address(), "hello"));
  EXPECT_EQ(result.status, SendStatus::sent);
  EXPECT_EQ(result.taken, 5u);
  ASSERT_TRUE(run_until(loop, [&] { return b.drained > 0; }));
  ASSERT_EQ(b.got.size(), 1u);
  EXPECT_EQ(b.got[0].payload, "hello");
  EXPECT_EQ(b.got[0].from, left.local_address());
  EXPECT_EQ(b.got[0].to, right.local_address());
  EXPECT_EQ(b.got[0].ecn, 0);
}

TEST(UdpSocket, EmptyDatagramIsADatagram) {
  Loop loop;
  Collector a, b;
  UdpSocket left = bind_to(loop, "127.0.0.1:0", a), right = bind_to(loop, "127.0.0.1:0", b);
  EXPECT_EQ(left.send(to(right.local_address(), "")).status, SendStatus::sent);
  ASSERT_TRUE(run_until(loop, [&] { return !b.got.empty(); }));
  EXPECT_EQ(b.got[0].payload, "");
}

// One send of 50 datagrams and a shorter one; on loopback the kernel hands them over as one.
TEST(UdpSocket, SegmentsTravelByGsoAndGro) {
  Loop loop;
  Collector a, b;
  UdpSocket left = bind_to(loop, "127.0.0.1:0", a), right = bind_to(loop, "127.0.0.1:0", b);
  const std::string data = pattern(50 * 1200 + 77);
  EXPECT_EQ(left.send(to(right.local_address(), data, 1200)).status, SendStatus::sent);
  ASSERT_TRUE(run_until(loop, [&] { return b.got.size() == 51; }));
  std::string joined;
  for (const auto& one : b.got) joined += one.payload;
  EXPECT_EQ(joined, data);
  EXPECT_EQ(b.got.front().payload.size(), 1200u);
  EXPECT_EQ(b.got.back().payload.size(), 77u);
  EXPECT_EQ(left.counters().gso_batches, 1u);
  EXPECT_EQ(left.counters().sent_packets, 51u);
  EXPECT_EQ(left.counters().sent_bytes, data.size());
  EXPECT_EQ(left.counters().split_batches, 0u);
  EXPECT_EQ(right.counters().gro_batches, 1u);
  EXPECT_EQ(right.counters().received_packets, 51u);
  EXPECT_EQ(b.drained, 1);
}

TEST(UdpSocket, MoreSegmentsThanTheKernelTakesAreSentInParts) {
  Loop loop;
  Collector a, b;
  UdpSocket left = bind_to(loop, "127.0.0.1:0", a), right = bind_to(loop, "127.0.0.1:0", b);
  const std::string data = pattern(200 * 100);
  const SendResult result = left.send(to(right.local_address(), data, 100));
  EXPECT_EQ(result.taken, data.size());
  ASSERT_TRUE(run_until(loop, [&] { return b.got.size() == 200; }));
  EXPECT_EQ(left.counters().gso_batches, 4u);  // 64 + 64 + 64 + 8
}

TEST(UdpSocket, WithoutGsoAndGroTheSameArrives) {
  Loop loop;
  Collector a, b;
  UdpSocket::Options plain;
  plain.gso = plain.gro = false;
  UdpSocket left = bind_to(loop, "127.0.0.1:0", a, plain);
  UdpSocket right = bind_to(loop, "127.0.0.1:0", b, plain);
  const std::string data = pattern(40 * 1200 + 1);
  EXPECT_EQ(left.send(to(right.local_address(), data, 1200)).status, SendStatus::sent);
  ASSERT_TRUE(run_until(loop, [&] { return b.got.size() == 41; }));
  std::string joined;
  for (const auto& one : b.got) joined += one.payload;
  EXPECT_EQ(joined, data);
  EXPECT_EQ(left.counters().gso_batches, 0u);
  EXPECT_EQ(left.counters().split_batches, 1u);
  EXPECT_EQ(left.counters().sent_packets, 41u);
  EXPECT_EQ(right.counters().gro_batches, 0u);
}

TEST(UdpSocket, EcnMarksArriveOnBothFamilies) {
  for (const char* address : {"127.0.0.1:0", "[::1]:0"}) {
    Loop loop;
    Collector a, b;
    UdpSocket left = bind_to(loop, address, a), right = bind_to(loop, address, b);
    for (const Ecn mark : {Ecn{1}, Ecn{2}, Ecn{3}, Ecn{0}}) {
      OutgoingDatagrams out = to(right.local_address(), "marked");
      out.ecn = mark;
      EXPECT_EQ(left.send(out).status, SendStatus::sent);
    }
    OutgoingDatagrams batch = to(right.local_address(), "aabbcc", 2);
    batch.ecn = 2;
    EXPECT_EQ(left.send(batch).status, SendStatus::sent);
    ASSERT_TRUE(run_until(loop, [&] { return b.got.size() == 7; }));
    std::vector<int> marks;
    for (const auto& one : b.got) marks.push_back(one.ecn);
    EXPECT_EQ(marks, (std::vector<int>{1, 2, 3, 0, 2, 2, 2})) << address;
  }
}

TEST(UdpSocket, SourceAddressIsChosenPerDatagram) {
  Loop loop;
  Collector a, b;
  UdpSocket left = bind_to(loop, "0.0.0.0:0", a), right = bind_to(loop, "127.0.0.1:0", b);
  OutgoingDatagrams out = to(right.local_address(), "from the second");
  out.from = base::Address::v4({127, 0, 0, 2}, 9);
  EXPECT_EQ(left.send(out).status, SendStatus::sent);
  ASSERT_TRUE(run_until(loop, [&] { return b.got.size() == 1; }));
  EXPECT_EQ(b.got[0].from, base::Address::v4({127, 0, 0, 2}, left.local_address().port()));

  // The answer goes back to 127.0.0.2, and the wildcard socket says so.
  EXPECT_EQ(right.send(to(b.got[0].from, "answer")).status, SendStatus::sent);
  ASSERT_TRUE(run_until(loop, [&] { return a.got.size() == 1; }));
  EXPECT_EQ(a.got[0].to, b.got[0].from);
}

TEST(UdpSocket, DualStackSocketSpeaksIPv4WithoutMappedAddresses) {
  Loop loop;
  Collector a, b, c;
  UdpSocket dual = bind_to(loop, "[::]:0", a), v4 = bind_to(loop, "127.0.0.1:0", b);
  UdpSocket v6 = bind_to(loop, "[::1]:0", c);
  EXPECT_EQ(v4.send(to(loopback(dual.local_address().port()), "four")).status, SendStatus::sent);
  ASSERT_TRUE(run_until(loop, [&] { return a.got.size() == 1; }));
  EXPECT_EQ(a.got[0].from, v4.local_address());
  EXPECT_EQ(a.got[0].to, loopback(dual.local_address().port()));

  OutgoingDatagrams back = to(v4.local_address(), "aabb", 2);  // GSO, ECN, TTL and source together
  back.from = base::Address::v4({127, 0, 0, 3}, 0);
  back.ecn = 1;
  back.ttl = 3;
  EXPECT_EQ(dual.send(back).status, SendStatus::sent);
  ASSERT_TRUE(run_until(loop, [&] { return b.got.size() == 2; }));
  EXPECT_EQ(b.got[1].from, base::Address::v4({127, 0, 0, 3}, dual.local_address().port()));
  EXPECT_EQ(b.got[1].ecn, 1);
  EXPECT_EQ(dual.counters().gso_batches, 1u);

  OutgoingDatagrams six = to(v6.local_address(), "six");
  six.from = v6.local_address();
  six.ttl = 9;
  EXPECT_EQ(dual.send(six).status, SendStatus::sent);
  ASSERT_TRUE(run_until(loop, [&] { return c.got.size() == 1; }));
  EXPECT_EQ(c.got[0].from.ip(), "::1");
  EXPECT_EQ(c.got[0].to, v6.local_address());
}

// A plain kernel socket reads the TTL that the header carried.
TEST(UdpSocket, TimeToLiveIsSetPerDatagram) {
  Loop loop;
  Collector a;
  UdpSocket left = bind_to(loop, "127.0.0.1:0", a);
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof in;
  const int on = 1;
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&in), size), 0);
  ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&in), &size), 0);
  ASSERT_EQ(::setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on), 0);
  OutgoingDatagrams out = to(loopback(ntohs(in.sin_port)), "x");
  out.ttl = 2;
  ASSERT_EQ(left.send(out).status, SendStatus::sent);
  char byte = 0;
  alignas(cmsghdr) char control[64];
  iovec vector{&byte, 1};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ASSERT_EQ(::recvmsg(fd, &header, 0), 1);
  const cmsghdr* at = CMSG_FIRSTHDR(&header);
  ASSERT_NE(at, nullptr);
  int ttl = 0;
  std::memcpy(&ttl, CMSG_DATA(at), sizeof ttl);
  EXPECT_EQ(ttl, 2);
  ::close(fd);
}

TEST(UdpSocket, FullReceiverIsSeenInTheKernelsDropCounter) {
  Loop loop;
  Collector a, b;
  UdpSocket::Options small;
  small.receive_buffer = 4096;
  UdpSocket left = bind_to(loop, "127.0.0.1:0", a), right = bind_to(loop, "127.0.0.1:0", b, small);
  const std::string data = pattern(1200);
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(left.send(to(right.local_address(), data)).status, SendStatus::sent);
  EXPECT_GT(right.counters().dropped_by_kernel, 0u);
  ASSERT_TRUE(
      run_until(loop, [&] { return b.got.size() + right.counters().dropped_by_kernel == 100; }));
}

TEST(UdpSocket, SendErrorsAreCountedByReasonAndNeverFatal) {
  Loop loop;
  Collector a, b;
  UdpSocket left = bind_to(loop, "127.0.0.1:0", a), right = bind_to(loop, "127.0.0.1:0", b);
  const auto count = [&](UdpError error) {
    return left.counters().send_errors[static_cast<std::size_t>(error)];
  };
  const std::string huge(65507, 'x');  // with its headers larger than the interface's 65536, DF set
  const SendResult result = left.send(to(right.local_address(), huge + "y"));
  EXPECT_EQ(result.status, SendStatus::failed);
  EXPECT_EQ(result.taken, huge.size() + 1);
  EXPECT_EQ(count(UdpError::too_large), 1u);

  EXPECT_EQ(left.send(to(*base::Address::parse("[::1]:9"), "six")).status, SendStatus::failed);
  EXPECT_EQ(count(UdpError::invalid_argument), 1u);

  OutgoingDatagrams mixed = to(right.local_address(), "x");
  mixed.from = base::Address::parse("[::1]:0").value();
  EXPECT_EQ(left.send(mixed).status, SendStatus::failed);
  EXPECT_EQ(count(UdpError::invalid_argument), 2u);

  EXPECT_EQ(left.send(to(right.local_address(), "still alive")).status, SendStatus::sent);
  ASSERT_TRUE(run_until(loop, [&] { return b.got.size() == 1; }));
  EXPECT_FALSE(left.counters().gso_refused);
}

TEST(UdpSocket, MayBeDestroyedInsideItsCallback) {
  Loop loop;
  Collector a, b;
  UdpSocket left = bind_to(loop, "127.0.0.1:0", a);
  auto right = std::make_unique<UdpSocket>(bind_to(loop, "127.0.0.1:0", b));
  b.each = [&] { right.reset(); };
  EXPECT_EQ(left.send(to(right->local_address(), "aabbccdd", 2)).status, SendStatus::sent);
  ASSERT_TRUE(run_until(loop, [&] { return !right; }));
  loop.poll();
  EXPECT_EQ(b.got.size(), 1u);
  EXPECT_EQ(b.drained, 0);
}

TEST(UdpSocket, BusyPortIsAnErrorThatNamesTheAddress) {
  Loop loop;
  Collector a;
  UdpSocket left = bind_to(loop, "127.0.0.1:0", a);
  const auto second = UdpSocket::bind(loop, left.local_address(), {}, a);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, base::ErrorCode::already_exists);
  EXPECT_NE(second.error().message().find(left.local_address().to_string()), std::string::npos);
}

struct PeerCollector : UdpPeer::Handler {
  std::vector<std::string> got;
  int connected = 0, refused = 0, drained = 0;
  std::optional<ConnectFailure> failed;
  void on_connected(const base::Address&) override { ++connected; }
  void on_datagram(base::BytesView payload) override { got.emplace_back(base::as_text(payload)); }
  void on_drained() override { ++drained; }
  void on_failed(ConnectFailure failure) override { failed = failure; }
  void on_refused() override { ++refused; }
};

TEST(UdpPeer, EchoesPayloadsUpToTheLargest) {
  Loop loop;
  Collector server_side;
  UdpSocket server = bind_to(loop, "127.0.0.1:0", server_side);
  PeerCollector handler;
  UdpPeer peer = UdpPeer::open(loop, {"localhost", server.local_address().port()},
                               std::chrono::seconds(5), handler);
  EXPECT_EQ(peer.send(base::as_bytes("early")), SendStatus::blocked);
  ASSERT_TRUE(run_until(loop, [&] { return handler.connected == 1 || handler.failed; }));
  ASSERT_FALSE(handler.failed);
  for (const std::size_t size : {0u, 1u, 1200u, 1472u, 9000u, 65507u}) {
    const std::string data = pattern(size);
    server_side.got.clear();
    ASSERT_EQ(peer.send(base::as_bytes(data)), SendStatus::sent) << size;
    ASSERT_TRUE(run_until(loop, [&] { return server_side.got.size() == 1; })) << size;
    EXPECT_EQ(server_side.got[0].payload, data);
    handler.got.clear();
    if (size == 65507) continue;  // with its header above loopback's MTU, and this side sets DF
    ASSERT_EQ(server.send(to(server_side.got[0].from, data)).status, SendStatus::sent) << size;
    ASSERT_TRUE(run_until(loop, [&] { return handler.got.size() == 1; })) << size;
    EXPECT_EQ(handler.got[0], data);
  }
}

TEST(UdpPeer, RefusalIsReportedAndThePeerStaysUsable) {
  Loop loop;
  Collector server_side;
  auto server = std::make_unique<UdpSocket>(bind_to(loop, "127.0.0.1:0", server_side));
  const base::Address address = server->local_address();
  server.reset();
  PeerCollector handler;
  UdpPeer peer =
      UdpPeer::open(loop, {"127.0.0.1", address.port()}, std::chrono::seconds(5), handler);
  ASSERT_TRUE(run_until(loop, [&] { return handler.connected == 1; }));
  EXPECT_EQ(peer.send(base::as_bytes("anyone?")), SendStatus::sent);
  ASSERT_TRUE(run_until(loop, [&] { return handler.refused == 1; }));
  server = std::make_unique<UdpSocket>(bind_to(loop, address.to_string(), server_side));
  EXPECT_EQ(peer.send(base::as_bytes("now")), SendStatus::sent);
  ASSERT_TRUE(run_until(loop, [&] { return server_side.got.size() == 1; }));
}

TEST(UdpPeer, UnknownHostFailsWithItsReason) {
  Loop loop;
  PeerCollector handler;
  const UdpPeer peer =
      UdpPeer::open(loop, {"no-such-host.invalid", 9}, std::chrono::seconds(8), handler);
  ASSERT_TRUE(run_until(loop, [&] { return handler.failed.has_value(); }));
  EXPECT_EQ(handler.failed->error, ConnectError::no_such_host);
  EXPECT_EQ(handler.connected, 0);
}

}  // namespace
}  // namespace ztna::io
