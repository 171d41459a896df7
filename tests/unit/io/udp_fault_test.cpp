// What a healthy loopback never does: a kernel that refuses GSO or has no room. sendmsg(2) and
// sendmmsg(2) are replaced for this whole program; they pass through unless told otherwise.
#include <errno.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>

#include "io/udp_peer.hpp"
#include "io/udp_socket.hpp"
#include "support.hpp"

namespace {

int refuse_gso_with = 0;     // errno for sends that carry UDP_SEGMENT
int block_after = -1;        // ≥ 0: so many system calls succeed, the next says EAGAIN, once
int refuse_larger_than = 0;  // > 0: EMSGSIZE for datagrams (or segments) larger than this
std::atomic<std::size_t> allocations{0};

std::size_t segment_of(const msghdr* message) {
  for (const cmsghdr* at = CMSG_FIRSTHDR(message); at != nullptr;
       at = CMSG_NXTHDR(const_cast<msghdr*>(message), const_cast<cmsghdr*>(at)))
    if (at->cmsg_level == SOL_UDP && at->cmsg_type == UDP_SEGMENT)
      return *reinterpret_cast<const std::uint16_t*>(CMSG_DATA(at));
  return 0;
}

// 0, or the errno that this send shall fail with.
int fault(const msghdr* message) {
  const std::size_t segment = segment_of(message);
  if (segment != 0 && refuse_gso_with != 0) return refuse_gso_with;
  const std::size_t size = segment != 0 ? segment : message->msg_iov->iov_len;
  if (refuse_larger_than > 0 && size > static_cast<std::size_t>(refuse_larger_than))
    return EMSGSIZE;
  if (block_after >= 0 && block_after-- == 0) return EAGAIN;
  return 0;
}

}  // namespace

extern "C" ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  if (const int error = fault(message); error != 0) {
    errno = error;
    return -1;
  }
  return ::syscall(SYS_sendmsg, fd, message, flags);
}

// As the kernel: stops at the first that fails, whose error is told only when it is the first.
extern "C" int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  unsigned sent = 0;
  for (; sent < count; ++sent) {
    if (const int error = fault(&messages[sent].msg_hdr); error != 0) {
      if (error == EAGAIN && sent > 0) block_after = 0;
      errno = error;
      break;
    }
    if (::syscall(SYS_sendmsg, fd, &messages[sent].msg_hdr, flags) < 0) break;
  }
  return sent > 0 ? static_cast<int>(sent) : -1;
}

// Sanitizers bring their own. Not inlined: GCC would take malloc() under a delete for a mistake.
#ifndef ZTNA_SANITIZED
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}
#endif

namespace ztna::io {
namespace {

using testing::loopback;
using testing::run_until;

struct Counting : UdpSocket::Handler {
  std::size_t packets = 0, bytes = 0;
  int writable = 0;
  void on_datagram(const Datagram& datagram) override {
    ++packets;
    bytes += datagram.payload.size();
  }
  void on_writable() override { ++writable; }
};

class UdpFaults : public ::testing::Test {
 protected:
  void TearDown() override {
    refuse_gso_with = refuse_larger_than = 0;
    block_after = -1;
  }
  UdpSocket bind_one(Counting& handler, const UdpSocket::Options& options = {}) {
    return std::move(UdpSocket::bind(loop, loopback(), options, handler).value());
  }
  OutgoingDatagrams batch(std::size_t size) const {
    OutgoingDatagrams out;
    out.to = right.local_address();
    out.segment = 1000;
    out.bytes = base::as_bytes(std::string_view(data)).first(size);
    return out;
  }

  Loop loop;
  Counting a, b;
  UdpSocket left = bind_one(a), right = bind_one(b);
  std::string data = std::string(50'000, 'd');
};

TEST_F(UdpFaults, RefusedGsoFallsBackOnceAndForAll) {
  for (const int error : {EIO, EINVAL, EMSGSIZE}) {
    UdpSocket sender = bind_one(a);
    b.packets = 0;
    refuse_gso_with = error;
    const SendResult first = sender.send(batch(10'500));
    EXPECT_EQ(first.status, SendStatus::sent) << error;
    EXPECT_EQ(first.taken, 10'500u);
    refuse_gso_with = 0;
    EXPECT_TRUE(sender.counters().gso_refused);
    EXPECT_EQ(sender.send(batch(3000)).status, SendStatus::sent);
    ASSERT_TRUE(run_until(loop, [&] { return b.packets == 14; }));
    EXPECT_EQ(sender.counters().gso_batches, 0u);
    EXPECT_EQ(sender.counters().split_batches, 2u);
    EXPECT_EQ(sender.counters().sent_packets, 14u);
  }
}

// The datagrams are at fault, not GSO: it must not be given up for them.
TEST_F(UdpFaults, TooLargeSegmentsDoNotDisableGso) {
  refuse_larger_than = 900;
  const SendResult result = left.send(batch(2500));  // two of 1000, and 500 that pass
  EXPECT_EQ(result.status, SendStatus::failed);
  EXPECT_EQ(result.taken, 2500u);
  EXPECT_EQ(left.counters().send_errors[static_cast<std::size_t>(UdpError::too_large)], 2u);
  EXPECT_FALSE(left.counters().gso_refused);
  ASSERT_TRUE(run_until(loop, [&] { return b.bytes == 500; }));
  refuse_larger_than = 0;
  EXPECT_EQ(left.send(batch(3000)).status, SendStatus::sent);
  EXPECT_EQ(left.counters().gso_batches, 1u);
}

TEST_F(UdpFaults, BlockedSendKeepsTheRestAndCallsBackWhenWritable) {
  block_after = 0;
  const SendResult whole = left.send(batch(5000));
  EXPECT_EQ(whole.status, SendStatus::blocked);
  EXPECT_EQ(whole.taken, 0u);
  EXPECT_EQ(a.writable, 0) << "never from inside send()";
  ASSERT_TRUE(run_until(loop, [&] { return a.writable == 1; }));
  EXPECT_EQ(left.counters().blocked, 1u);
  EXPECT_EQ(left.send(batch(5000)).status, SendStatus::sent);
  ASSERT_TRUE(run_until(loop, [&] { return b.packets == 5; }));
}

TEST_F(UdpFaults, BlockedHalfWaySaysHowMuchIsGone) {
  UdpSocket::Options plain;
  plain.gso = false;
  UdpSocket sender = bind_one(a, plain);
  block_after = 3;
  const SendResult result = sender.send(batch(5000));
  EXPECT_EQ(result.status, SendStatus::blocked);
  EXPECT_EQ(result.taken, 3000u);
  OutgoingDatagrams rest = batch(5000);
  rest.bytes = rest.bytes.subspan(result.taken);
  EXPECT_EQ(sender.send(rest).status, SendStatus::sent);
  ASSERT_TRUE(run_until(loop, [&] { return b.packets == 5; }));
  ASSERT_TRUE(run_until(loop, [&] { return a.writable == 1; }));
}

// The data plane's promise: after the first packets, none of them costs an allocation.
TEST_F(UdpFaults, SteadyStateAllocatesNothing) {
#ifdef ZTNA_SANITIZED
  GTEST_SKIP() << "sanitizers bring their own allocator; the dev preset runs this";
#endif
  UdpSocket::Options plain;
  plain.gso = plain.gro = false;
  Counting c;
  UdpSocket split_left = bind_one(c, plain), split_right = bind_one(c, plain);
  const auto exchange = [&] {
    EXPECT_EQ(left.send(batch(50'000)).status, SendStatus::sent);
    OutgoingDatagrams split = batch(20'000);
    split.to = split_right.local_address();
    EXPECT_EQ(split_left.send(split).status, SendStatus::sent);
    const std::size_t want_b = b.packets + 50, want_c = c.packets + 20;
    while (b.packets < want_b || c.packets < want_c) loop.run_one();
  };
  for (int i = 0; i < 4; ++i) exchange();
  const std::size_t before = allocations.load();
  ASSERT_GT(before, 0u);
  for (int i = 0; i < 200; ++i) exchange();
  EXPECT_EQ(allocations.load(), before);
  EXPECT_EQ(b.packets, 204u * 50);
}

}  // namespace
}  // namespace ztna::io
