#include "io/tcp.hpp"

#include <dirent.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "support.hpp"

namespace ztna::io {
namespace {

using testing::loopback;
using testing::run_until;
using namespace std::chrono_literals;

struct Side : TcpStream::Handler {
  TcpStream stream;
  std::string got;
  int connected = 0, eof = 0, writable = 0;
  std::size_t budget = std::numeric_limits<std::size_t>::max();
  std::size_t largest = 0;
  std::optional<ConnectFailure> failed;
  std::optional<TcpStream::CloseReason> closed;
  std::function<void()> on_each;

  void on_connected() override { ++connected; }
  void on_connect_failed(ConnectFailure failure) override { failed = failure; }
  std::size_t read_budget() override { return budget; }
  void on_data(base::BytesView data) override {
    got += base::as_text(data);
    largest = std::max(largest, data.size());
    if (on_each) on_each();
  }
  void on_eof() override { ++eof; }
  void on_writable() override { ++writable; }
  void on_closed(TcpStream::CloseReason reason) override { closed = reason; }
};

struct Pair {
  Loop loop;
  Side client, server;
  std::optional<TcpListener> listener;

  explicit Pair(const std::string& address = "127.0.0.1:0") {
    auto bound = TcpListener::bind(loop, *base::Address::parse(address), {},
                                   [this](TcpStream stream, const base::Address&) {
                                     server.stream = std::move(stream);
                                     server.stream.start(server);
                                   });
    if (!bound) throw std::runtime_error(bound.error().message());
    listener.emplace(std::move(*bound));
    const base::Address at = listener->local_address();
    client.stream = TcpStream::connect(loop, {at.ip(), at.port()}, 5s, client);
    if (!until([&] { return client.connected == 1 && server.stream.is_open(); }))
      throw std::runtime_error("not connected");
  }
  bool until(const std::function<bool()>& done) { return run_until(loop, done); }
};

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* directory = ::opendir("/proc/self/fd");
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

TEST(TcpStream, CarriesBytesOnBothFamilies) {
  for (const char* address : {"127.0.0.1:0", "[::1]:0"}) {
    Pair pair(address);
    EXPECT_EQ(pair.client.stream.write(base::as_bytes("ping")), 4u);
    ASSERT_TRUE(pair.until([&] { return pair.server.got == "ping"; }));
    EXPECT_EQ(pair.server.stream.write(base::as_bytes("pong")), 4u);
    ASSERT_TRUE(pair.until([&] { return pair.client.got == "pong"; }));
    EXPECT_EQ(pair.client.stream.remote_address(), pair.listener->local_address());
    EXPECT_EQ(pair.server.stream.remote_address(), pair.client.stream.local_address());
  }
}

TEST(TcpStream, HalfCloseKeepsTheOtherDirection) {
  for (const bool client_first : {true, false}) {
    Pair pair;
    Side& first = client_first ? pair.client : pair.server;
    Side& second = client_first ? pair.server : pair.client;
    EXPECT_EQ(first.stream.write(base::as_bytes("last words")), 10u);
    first.stream.shutdown_write();
    ASSERT_TRUE(pair.until([&] { return second.eof == 1; }));
    EXPECT_EQ(second.got, "last words");
    EXPECT_FALSE(second.closed);
    EXPECT_EQ(second.stream.write(base::as_bytes("answer")), 6u);
    ASSERT_TRUE(pair.until([&] { return first.got == "answer"; }));
    EXPECT_FALSE(first.closed);
    second.stream.shutdown_write();
    ASSERT_TRUE(pair.until([&] { return first.closed && second.closed; }));
    EXPECT_EQ(first.closed->why, TcpStream::Closed::finished);
    EXPECT_EQ(second.closed->why, TcpStream::Closed::finished);
    EXPECT_EQ(first.eof, 1);
    EXPECT_FALSE(first.stream.is_open());
  }
}

TEST(TcpStream, ResetIsNotEndOfFile) {
  Pair pair;
  pair.client.stream.abort();
  ASSERT_TRUE(pair.until([&] { return pair.server.closed.has_value(); }));
  EXPECT_EQ(pair.server.closed->why, TcpStream::Closed::reset);
  EXPECT_EQ(pair.server.eof, 0);
  EXPECT_FALSE(pair.client.closed) << "the owner's own abort() calls nothing";
}

TEST(TcpStream, DataBeforeAResetIsStillDelivered) {
  Pair pair;
  EXPECT_EQ(pair.client.stream.write(base::as_bytes("before")), 6u);
  pair.client.stream.abort();
  ASSERT_TRUE(pair.until([&] { return pair.server.closed.has_value(); }));
  EXPECT_EQ(pair.server.got, "before");
  EXPECT_EQ(pair.server.closed->why, TcpStream::Closed::reset);
}

TEST(TcpStream, ResetIsSeenWhileReadingIsPaused) {
  Pair pair;
  pair.server.budget = 0;
  EXPECT_EQ(pair.client.stream.write(base::as_bytes("unread")), 6u);
  for (int i = 0; i < 10; ++i) pair.loop.poll();
  pair.client.stream.abort();
  ASSERT_TRUE(pair.until([&] { return pair.server.closed.has_value(); }));
  EXPECT_EQ(pair.server.closed->why, TcpStream::Closed::reset);
  EXPECT_EQ(pair.server.got, "");
}

TEST(TcpStream, ResetIsSeenAfterEndOfFile) {
  Pair pair;
  pair.client.stream.shutdown_write();
  ASSERT_TRUE(pair.until([&] { return pair.server.eof == 1; }));
  pair.client.stream.abort();
  ASSERT_TRUE(pair.until([&] { return pair.server.closed.has_value(); }));
  EXPECT_EQ(pair.server.closed->why, TcpStream::Closed::reset);
}

TEST(TcpStream, WritingToAResetStreamEndsItOnceFromTheLoop) {
  Pair pair;
  pair.server.stream.pause_reading();
  pair.client.stream.abort();
  // Without a turn of the loop in between: write() itself meets the reset.
  EXPECT_EQ(pair.server.stream.write(base::as_bytes("x")), 0u);
  EXPECT_FALSE(pair.server.closed) << "calls never call back";
  ASSERT_TRUE(pair.until([&] { return pair.server.closed.has_value(); }));
  EXPECT_EQ(pair.server.closed->why, TcpStream::Closed::reset);
  EXPECT_EQ(pair.server.eof, 0);
}

TEST(TcpStream, SlowReaderHoldsTheWriterBack) {
  Pair pair;
  pair.server.budget = 0;
  const std::string block(256 * 1024, 'b');
  std::size_t written = 0, taken = 0;
  do {  // until the kernel's buffers are full: some MiB
    taken = pair.client.stream.write(base::as_bytes(block));
    written += taken;
    ASSERT_LT(written, 64u << 20);
    pair.loop.poll();
  } while (taken == block.size());
  EXPECT_EQ(pair.server.got.size(), 0u) << "paused, but went on reading";
  const int before = pair.client.writable;
  pair.server.budget = block.size();
  pair.server.stream.resume_reading();
  ASSERT_TRUE(pair.until([&] { return pair.server.got.size() == written; }));
  ASSERT_TRUE(pair.until([&] { return pair.client.writable > before; }));
}

TEST(TcpStream, ReadBudgetLimitsEveryRead) {
  Pair pair;
  pair.server.budget = 3;
  EXPECT_EQ(pair.client.stream.write(base::as_bytes("abcdefgh")), 8u);
  ASSERT_TRUE(pair.until([&] { return pair.server.got.size() == 8; }));
  EXPECT_EQ(pair.server.largest, 3u);
  pair.server.budget = 0;
  EXPECT_EQ(pair.client.stream.write(base::as_bytes("ij")), 2u);
  pair.client.stream.shutdown_write();
  for (int i = 0; i < 10; ++i) pair.loop.poll();
  EXPECT_EQ(pair.server.got.size(), 8u);
  EXPECT_EQ(pair.server.eof, 0);
  pair.server.budget = 100;
  pair.server.stream.resume_reading();
  ASSERT_TRUE(pair.until([&] { return pair.server.eof == 1; }));
  EXPECT_EQ(pair.server.got, "abcdefghij");
}

TEST(TcpStream, MayBeDestroyedInsideItsCallback) {
  Pair pair;
  pair.server.on_each = [&] { pair.server.stream = TcpStream(); };
  EXPECT_EQ(pair.client.stream.write(base::as_bytes("bye")), 3u);
  ASSERT_TRUE(pair.until([&] { return pair.client.eof == 1; }));
  EXPECT_EQ(pair.server.got, "bye");
  EXPECT_FALSE(pair.server.closed);
}

TEST(TcpStream, RefusedConnectionSaysSo) {
  Loop loop;
  Side side;
  std::uint16_t port = 0;
  {
    const auto listener = TcpListener::bind(loop, loopback(), {}, [](TcpStream, const auto&) {});
    port = listener->local_address().port();
  }
  side.stream = TcpStream::connect(loop, {"127.0.0.1", port}, 5s, side);
  EXPECT_FALSE(side.failed) << "never from inside connect()";
  ASSERT_TRUE(run_until(loop, [&] { return side.failed.has_value(); }));
  EXPECT_EQ(side.failed->error, ConnectError::refused);
  EXPECT_EQ(side.failed->os_error, ECONNREFUSED);
  EXPECT_FALSE(side.stream.is_open());
}

TEST(TcpStream, UnknownHostSaysSo) {
  Loop loop;
  Side side;
  side.stream = TcpStream::connect(loop, {"no-such-host.invalid", 80}, 8s, side);
  ASSERT_TRUE(run_until(loop, [&] { return side.failed.has_value(); }));
  EXPECT_EQ(side.failed->error, ConnectError::no_such_host);
}

TEST(TcpStream, NamesAreResolvedAndAddressesTriedInTurn) {
  Loop loop;
  Side client, server;
  // Only one of localhost's addresses has a listener.
  auto listener = TcpListener::bind(loop, loopback(), {}, [&](TcpStream stream, const auto&) {
    server.stream = std::move(stream);
  });
  client.stream =
      TcpStream::connect(loop, {"localhost", listener->local_address().port()}, 5s, client);
  ASSERT_TRUE(run_until(loop, [&] { return client.connected == 1; }));
}

// A listener whose backlog is full drops SYNs: the connection hangs as with a black hole.
TEST(TcpStream, SilentHostTimesOut) {
  const int full = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof in;
  ASSERT_EQ(::bind(full, reinterpret_cast<sockaddr*>(&in), size), 0);
  ASSERT_EQ(::listen(full, 0), 0);
  ASSERT_EQ(::getsockname(full, reinterpret_cast<sockaddr*>(&in), &size), 0);
  Loop loop;
  std::deque<Side> sides(4);
  for (Side& side : sides)
    side.stream = TcpStream::connect(loop, {"127.0.0.1", ntohs(in.sin_port)}, 50ms, side);
  ASSERT_TRUE(run_until(loop, [&] {
    return std::all_of(sides.begin(), sides.end(),
                       [](const Side& side) { return side.connected == 1 || side.failed; });
  }));
  const auto timed_out = std::count_if(sides.begin(), sides.end(), [](const Side& side) {
    return side.failed && side.failed->error == ConnectError::timed_out;
  });
  EXPECT_GE(timed_out, 1);
  ::close(full);
}

TEST(TcpStream, ConnectMayBeAbandoned) {
  Loop loop;
  Side side;
  side.stream = TcpStream::connect(loop, {"127.0.0.1", 9}, 5s, side);
  side.stream = TcpStream();
  Side named;
  named.stream = TcpStream::connect(loop, {"localhost", 9}, 5s, named);
  named.stream.close();
  for (int i = 0; i < 10; ++i) loop.poll();
  EXPECT_FALSE(side.failed);
  EXPECT_FALSE(named.failed);
}

TEST(TcpListener, OutOfDescriptorsPausesAndRecovers) {
#ifdef ZTNA_SANITIZED_UNDEFINED
  // UBSan's vptr check opens a pipe to see whether memory can be read, and takes the failure that
  // this test provokes for a broken object.
  GTEST_SKIP() << "the sanitizers need descriptors themselves; the dev preset runs this";
#endif
  Loop loop;
  std::vector<std::unique_ptr<Side>> servers;
  auto listener = TcpListener::bind(loop, loopback(), {}, [&](TcpStream stream, const auto&) {
    servers.push_back(std::make_unique<Side>());
    servers.back()->stream = std::move(stream);
  });
  ASSERT_TRUE(listener);
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  rlimit normal{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &normal), 0);
  rlimit tight = normal;
  tight.rlim_cur = static_cast<rlim_t>(client) + 1;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  in.sin_port = htons(listener->local_address().port());
  EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&in), sizeof in), 0);
  EXPECT_TRUE(run_until(loop, [&] { return listener->counters().paused == 1; }));
  EXPECT_TRUE(servers.empty());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &normal), 0);
  EXPECT_TRUE(run_until(loop, [&] { return servers.size() == 1; }));
  ::close(client);
}

TEST(TcpListener, FiveThousandConnectionsLeakNothing) {
  Loop loop;
  std::size_t accepted = 0;
  auto listener = TcpListener::bind(loop, loopback(), {},
                                    [&](TcpStream /*closes at once*/, const auto&) { ++accepted; });
  ASSERT_TRUE(listener);
  const base::HostPort at{"127.0.0.1", listener->local_address().port()};
  loop.poll();
  const std::size_t before = open_descriptors();
  for (int round = 0; round < 50; ++round) {
    std::deque<Side> clients(100);
    for (Side& client : clients) client.stream = TcpStream::connect(loop, at, 5s, client);
    ASSERT_TRUE(run_until(loop, [&] {
      return std::all_of(clients.begin(), clients.end(),
                         [](const Side& client) { return client.eof == 1; });
    }));
    for (Side& client : clients) client.stream.abort();  // leaves no TIME_WAIT behind
  }
  EXPECT_EQ(accepted, 5000u);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(TcpListener, BusyPortIsAnError) {
  Loop loop;
  const auto first = TcpListener::bind(loop, loopback(), {}, [](TcpStream, const auto&) {});
  ASSERT_TRUE(first);
  const auto second =
      TcpListener::bind(loop, first->local_address(), {}, [](TcpStream, const auto&) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, base::ErrorCode::already_exists);
}

}  // namespace
}  // namespace ztna::io
