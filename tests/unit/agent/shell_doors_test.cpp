// Forwards and the SOCKS server on loopback, with services that echo or fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/shell_auto_forward.hpp"
#include "agent/shell_forward.hpp"
#include "agent/shell_socks.hpp"
#include "unit/agent/shell_fake_flows.hpp"
#include "unit/agent/shell_program.hpp"

namespace ztna::agent {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using testing::ElementsAre;

const base::Address any_port = base::Address::v4({127, 0, 0, 1}, 0);

class Doors : public testing::Test {
 protected:
  std::unique_ptr<Forward> forward(Protocol protocol, const std::string& service) {
    auto made = Forward::create(context, 1, protocol, any_port, service);
    EXPECT_TRUE(made) << made.error().message();
    return std::move(*made);
  }
  std::unique_ptr<SocksServer> socks() {
    auto made = SocksServer::create(context, 2, any_port);
    EXPECT_TRUE(made) << made.error().message();
    return std::move(*made);
  }

  io::Loop loop;
  FakeFlows flows{loop};
  TcpFlows tcp{loop, flows};
  DoorContext context{loop, flows, tcp, 60s};
};

const std::string hello = "\x05\x01\x00"s;

std::string request(char command, const std::string& host, std::uint16_t port = 80) {
  return "\x05"s + command + "\x00\x03"s + static_cast<char>(host.size()) + host +
         static_cast<char>(port >> 8) + static_cast<char>(port & 0xff);
}

// The reply code to a CONNECT, -1 when there was none.
int connect_code(const SocksServer& server, io::Loop& loop, const std::string& wanted) {
  int code = -1;
  run_program(loop, [&] {
    Socket client(SOCK_STREAM, server.local_address());
    client.send(hello + wanted);
    const std::string answer = client.receive(12);
    if (answer.size() == 12) code = static_cast<unsigned char>(answer[3]);
  });
  return code;
}

TEST_F(Doors, TcpForwardCarriesBothWaysAndHalfCloses) {
  const auto door = forward(Protocol::tcp, "web");
  const std::string text(300000, 'x');
  std::string answer;
  int error = -1;
  run_program(loop, [&] {
    Socket client(SOCK_STREAM, door->local_address());
    std::thread sender([&] {
      client.send(text);
      client.finish();
    });
    answer = client.receive(text.size() + 1);
    error = client.error();
    sender.join();
  });
  EXPECT_EQ(answer, text);
  EXPECT_EQ(error, 0) << "an orderly end";
  EXPECT_THAT(flows.opened, ElementsAre("tcp web"));
}

TEST_F(Doors, FailedFlowResetsTheProgramAtOnce) {
  flows.failing["web"] = FlowEnd::denied;
  const auto door = forward(Protocol::tcp, "web");
  int error = 0;
  run_program(loop, [&] {
    Socket client(SOCK_STREAM, door->local_address());
    static_cast<void>(client.receive(1));
    error = client.error();
  });
  EXPECT_EQ(error, ECONNRESET);
}

TEST_F(Doors, ConnectionsOutliveTheirListener) {
  auto door = forward(Protocol::tcp, "web");
  std::string answer;
  run_program(loop, [&] {
    Socket client(SOCK_STREAM, door->local_address());
    client.send("a");
    answer = client.receive(1);
    loop.post([&] { door.reset(); });
    client.send("b");
    answer += client.receive(1);
  });
  EXPECT_EQ(answer, "ab");
  EXPECT_EQ(door, nullptr);
}

TEST_F(Doors, UdpForwardKeepsProgramsApart) {
  const auto door = forward(Protocol::udp, "quake");
  std::string first, second;
  run_program(loop, [&] {
    Socket a(SOCK_DGRAM, door->local_address()), b(SOCK_DGRAM, door->local_address());
    a.send("from a");
    b.send(std::string(9000, 'b'));
    first = a.receive(65536);
    second = b.receive(65536);
  });
  EXPECT_EQ(first, "from a");
  EXPECT_EQ(second, std::string(9000, 'b'));
  EXPECT_THAT(flows.opened, ElementsAre("udp quake", "udp quake"));
  EXPECT_EQ(door->connections(), 2U);
}

TEST_F(Doors, UdpFlowsEndBySilence) {
  context.udp_idle = 20ms;
  const auto door = forward(Protocol::udp, "quake");
  run_program(loop, [&] {
    Socket client(SOCK_DGRAM, door->local_address());
    client.send("x");
    static_cast<void>(client.receive(10));
  });
  while (flows.finished == 0) loop.run_one();
  EXPECT_EQ(door->connections(), 0U);
}

// The one that was silent longest makes room.
TEST_F(Doors, UdpAssociationsAreBounded) {
  std::vector<int> replies;
  UdpFlows<int> associations(loop, flows, {.idle = 60s, .max_associations = 2},
                             [&](const int& key, base::BytesView) { replies.push_back(key); });
  const base::Bytes payload{1};
  base::Time now{};
  for (const int key : {1, 2, 1, 3}) associations.send(key, "quake", payload, now += 1s);
  EXPECT_EQ(associations.size(), 2U);
  EXPECT_EQ(flows.finished, 1U);
  while (loop.poll() > 0) {
  }
  EXPECT_THAT(replies, ElementsAre(1, 1, 3)) << "2 is gone";
}

TEST_F(Doors, RefusedUdpFlowsAreNotAskedForWithEachDatagram) {
  flows.failing["quake"] = FlowEnd::denied;
  UdpFlows<int> associations(loop, flows, {.idle = 60s}, [](const int&, base::BytesView) {});
  const base::Bytes payload{1};
  const base::Time now = io::Loop::now();
  associations.send(1, "quake", payload, now);
  while (loop.poll() > 0) {
  }
  associations.send(1, "quake", payload, now + 10ms);
  EXPECT_EQ(flows.opened.size(), 1U);
  associations.send(1, "quake", payload, io::Loop::now() + 2s);
  EXPECT_EQ(flows.opened.size(), 2U);
}

// One that worked is replaced by the next datagram, without a pause.
TEST_F(Doors, LostUdpFlowsAreReplacedAtOnce) {
  UdpFlows<int> associations(loop, flows, {.idle = 60s}, [](const int&, base::BytesView) {});
  const base::Bytes payload{1};
  associations.send(1, "quake", payload, io::Loop::now());
  while (loop.poll() > 0) {
  }
  flows.end_all(FlowEnd::session_lost);
  associations.send(1, "quake", payload, io::Loop::now());
  EXPECT_EQ(flows.opened.size(), 2U);
}

TEST_F(Doors, SocksConnectCarriesWhatFollowsTheRequestAtOnce) {
  const auto server = socks();
  std::string answer;
  run_program(loop, [&] {
    Socket client(SOCK_STREAM, server->local_address());
    client.send(hello + request(1, "Web.ztna") + "GET /");
    answer = client.receive(2 + 10 + 5);
  });
  EXPECT_EQ(answer, "\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00GET /"s);
  EXPECT_THAT(flows.opened, ElementsAre("tcp web"));
}

TEST_F(Doors, SocksSaysWhyNot) {
  flows.failing["secret"] = FlowEnd::denied;
  flows.failing["dead"] = FlowEnd::backend_refused;
  const auto server = socks();
  EXPECT_EQ(connect_code(*server, loop, request(1, "secret")), 2);
  EXPECT_EQ(connect_code(*server, loop, request(1, "dead.ztna")), 5);
  EXPECT_EQ(flows.opened.size(), 2U);
  EXPECT_EQ(connect_code(*server, loop, request(1, "example.org")), 2);
  EXPECT_EQ(connect_code(*server, loop, "\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50"s), 2);
  EXPECT_EQ(connect_code(*server, loop, request(2, "web")), 7) << "BIND";
  EXPECT_EQ(connect_code(*server, loop, "\x05\x01\x00\x09web\x00\x50"s), 8);
  EXPECT_EQ(flows.opened.size(), 2U) << "none of these reaches the engine";
}

TEST_F(Doors, SocksClosesOnWhatIsNotSocks) {
  const auto server = socks();
  std::string answer = "?";
  int error = -1;
  run_program(loop, [&] {
    Socket client(SOCK_STREAM, server->local_address());
    client.send("GET / HTTP/1.1\r\nHost: web.ztna\r\n\r\n");
    answer = client.receive(100);
    error = client.error();
  });
  EXPECT_EQ(answer, "");
  EXPECT_EQ(error, 0);
}

TEST_F(Doors, SocksWantsNoAuthentication) {
  const auto server = socks();
  std::string answer;
  run_program(loop, [&] {
    Socket client(SOCK_STREAM, server->local_address());
    client.send("\x05\x01\x02"s);  // user name and password only
    answer = client.receive(100);
  });
  EXPECT_EQ(answer, "\x05\xff"s);
}

TEST_F(Doors, SocksUdpServesItsClientOnly) {
  const auto server = socks();
  const std::string header = "\x00\x00\x00\x03\x0aquake.ztna\x6d\x38"s;
  std::string answer, stranger_answer;
  int after_close = -1;
  run_program(loop, [&] {
    Socket control(SOCK_STREAM, server->local_address());
    control.send(hello + "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"s);
    const std::string reply = control.receive(12);
    if (reply.size() != 12 || reply[3] != 0) return;
    const auto high = static_cast<unsigned char>(reply[10]);
    const auto low = static_cast<unsigned char>(reply[11]);
    const auto relay =
        base::Address::v4({127, 0, 0, 1}, static_cast<std::uint16_t>(high * 256 + low));
    Socket client(SOCK_DGRAM, relay);
    client.send("\x00\x00\x01\x03\x05quake\x6d\x38"s + "a fragment");
    client.send(header + "ping");
    answer = client.receive(65536);
    Socket stranger(SOCK_DGRAM, relay);
    stranger.send(header + "mine?");
    client.send(header + "again");
    stranger_answer = client.receive(65536);
    control.finish();
    static_cast<void>(control.receive(1));  // until the server has closed, too
    // The relay socket goes with the control connection, a moment before or after.
    for (int i = 0; i < 3 && after_close != ECONNREFUSED; ++i) {
      client.send(header + "gone");
      static_cast<void>(client.receive(65536));
      after_close = client.error();
    }
  });
  EXPECT_EQ(answer, header + "ping");
  EXPECT_EQ(stranger_answer, header + "again");
  EXPECT_THAT(flows.opened, ElementsAre("udp quake"));
  EXPECT_EQ(after_close, ECONNREFUSED);
}

TEST_F(Doors, AutoForwardFollowsTheServices) {
  DoorId last_door = 10;
  AutoForward door(context, last_door);
  // Any free port: of a socket that was bound and closed again.
  const std::uint16_t port = forward(Protocol::tcp, "probe")->local_address().port();
  Service web{"web", Protocol::tcp, port, {}};
  door.update({{"web", web}}, io::Loop::now());
  const auto address = base::Address::parse(door.address_of("web"));
  ASSERT_TRUE(address);
  EXPECT_EQ(address->ip(), "127.96.226.240");
  std::string answer;
  run_program(loop, [&] {
    Socket client(SOCK_STREAM, *address);
    client.send("x");
    answer = client.receive(1);
  });
  EXPECT_EQ(answer, "x");
  EXPECT_EQ(door.address_of("other"), "");
  door.update({}, io::Loop::now());
  EXPECT_NE(door.address_of("web"), "") << "a restart of its Connector costs no address";
}

}  // namespace
}  // namespace ztna::agent
