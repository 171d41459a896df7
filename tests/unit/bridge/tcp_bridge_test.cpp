// A bridge between a fake flow and a real socket, whose other end is `program`.
#include "bridge/tcp_bridge.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "unit/io/support.hpp"

namespace ztna::bridge {
namespace {

using session::FlowEnd;
using session::FlowId;
using namespace std::chrono_literals;

constexpr FlowId flow_id{};
constexpr std::size_t plenty = 1 << 20;

struct FakeFlow final : FlowPort {
  std::size_t room = plenty;
  std::string written;
  std::size_t consumed = 0, pumps = 0;
  int finishes = 0, resets = 0;

  std::size_t flow_writable(FlowId) override { return room; }
  std::size_t flow_write(FlowId, base::BytesView data) override {
    const std::size_t taken = std::min(room, data.size());
    written += base::as_text(data.first(taken));
    room -= taken;
    return taken;
  }
  void flow_finish(FlowId) override { ++finishes; }
  void flow_reset(FlowId) override { ++resets; }
  void flow_consume(FlowId, std::size_t size) override { consumed += size; }
  void flow_datagram(FlowId, base::BytesView) override {}
  void pump() override { ++pumps; }
};

struct Owner final : TcpBridge::Owner {
  int connected = 0, over = 0;
  std::optional<io::ConnectFailure> failed;
  void on_bridge_connected(FlowId) override { ++connected; }
  void on_bridge_connect_failed(FlowId, io::ConnectFailure failure) override { failed = failure; }
  void on_bridge_over(FlowId) override { ++over; }
};

struct Program final : io::TcpStream::Handler {
  io::TcpStream stream;
  std::string got;
  std::size_t budget = plenty;
  bool eof = false;
  std::optional<io::TcpStream::CloseReason> closed;

  std::size_t read_budget() override { return budget; }
  void on_data(base::BytesView data) override { got += base::as_text(data); }
  void on_eof() override { eof = true; }
  void on_closed(io::TcpStream::CloseReason reason) override { closed = reason; }
};

class TcpBridgeTest : public testing::Test {
 protected:
  TcpBridgeTest() {
    auto bound = io::TcpListener::bind(loop, io::testing::loopback(), {},
                                       [this](io::TcpStream stream, const base::Address&) {
                                         program.stream = std::move(stream);
                                         program.stream.start(program);
                                       });
    if (bound) listener.emplace(std::move(*bound));
  }

  // The bridge dials, as a Connector does; what the tests say of it holds for both.
  void connect() {
    ASSERT_TRUE(listener);
    const base::Address at = listener->local_address();
    bridge = std::make_unique<TcpBridge>(flow, owner, flow_id);
    bridge->connect(loop, {at.ip(), at.port()}, 5s);
  }
  void establish() {
    connect();
    ASSERT_TRUE(until([&] { return owner.connected == 1 && program.stream.is_open(); }));
  }
  void from_flow(const std::string& text) {
    bridge->flow_data(base::as_bytes(text));
    flow.write_gathered();
  }
  bool until(const std::function<bool()>& done) { return io::testing::run_until(loop, done); }

  io::Loop loop;
  FakeFlow flow;
  Owner owner;
  Program program;
  std::optional<io::TcpListener> listener;
  std::unique_ptr<TcpBridge> bridge;
};

TEST_F(TcpBridgeTest, CarriesOctetsBothWays) {
  establish();
  from_flow("question");
  ASSERT_TRUE(until([&] { return program.got == "question"; }));
  EXPECT_EQ(flow.consumed, 8u);
  EXPECT_EQ(program.stream.write(base::as_bytes("answer")), 6u);
  const std::size_t pumps = flow.pumps;
  ASSERT_TRUE(until([&] { return flow.written == "answer"; }));
  EXPECT_GT(flow.pumps, pumps) << "nobody told the engine to send";
  EXPECT_EQ(owner.over, 0);
}

TEST_F(TcpBridgeTest, GathersWhatABatchBrings) {
  establish();
  bridge->flow_data(base::as_bytes("one "));
  bridge->flow_data(base::as_bytes("two"));
  EXPECT_EQ(flow.consumed, 0u);
  flow.write_gathered();
  EXPECT_EQ(flow.consumed, 7u);
  ASSERT_TRUE(until([&] { return program.got == "one two"; }));
}

TEST_F(TcpBridgeTest, IsForgottenWhenItGoesInTheMiddleOfABatch) {
  establish();
  bridge->flow_data(base::as_bytes("never written"));
  bridge.reset();
  flow.write_gathered();
  EXPECT_EQ(flow.consumed, 0u);
}

TEST_F(TcpBridgeTest, ReadsNoMoreThanTheFlowTakes) {
  establish();
  flow.room = 4;
  EXPECT_EQ(program.stream.write(base::as_bytes("four and more")), 13u);
  program.stream.shutdown_write();
  ASSERT_TRUE(until([&] { return flow.written == "four"; }));
  EXPECT_EQ(flow.finishes, 0) << "the end overtook what was before it";
  flow.room = plenty;
  bridge->flow_writable();
  ASSERT_TRUE(until([&] { return flow.finishes == 1; }));
  EXPECT_EQ(flow.written, "four and more");
  EXPECT_EQ(flow.resets, 0);
}

// The peer's window opens by what the socket took, so that a program that does not read holds up
// the one that sends.
TEST_F(TcpBridgeTest, OwesTheWindowUntilTheSocketTakesIt) {
  establish();
  program.budget = 0;
  const std::string block(plenty, 'x');
  std::size_t given = 0;
  for (; given < 64 * plenty && flow.consumed == given; given += plenty) from_flow(block);
  ASSERT_LT(flow.consumed, given) << "this kernel buffers everything";
  program.budget = plenty;
  program.stream.resume_reading();
  ASSERT_TRUE(until([&] { return program.got.size() == given; }));
  EXPECT_EQ(flow.consumed, given);
}

TEST_F(TcpBridgeTest, HalfClosesPassOneByOne) {
  establish();
  bridge->flow_fin();
  ASSERT_TRUE(until([&] { return program.eof; }));
  EXPECT_EQ(program.stream.write(base::as_bytes("still talking")), 13u);
  ASSERT_TRUE(until([&] { return flow.written == "still talking"; }));
  program.stream.shutdown_write();
  ASSERT_TRUE(until([&] { return flow.finishes == 1; }));
  EXPECT_EQ(flow.resets, 0);
  EXPECT_EQ(owner.over, 0) << "the flow may still be acknowledging";
  bridge->flow_ended(FlowEnd::finished);
  EXPECT_EQ(owner.over, 1);
}

TEST_F(TcpBridgeTest, AnOrderlyEndDeliversWhatWaits) {
  establish();
  program.budget = 0;
  const std::string block(plenty, 'x');
  std::size_t given = 0;
  for (; given < 64 * plenty && flow.consumed == given; given += plenty) from_flow(block);
  bridge->flow_ended(FlowEnd::finished);
  EXPECT_EQ(owner.over, 0);
  program.budget = plenty;
  program.stream.resume_reading();
  ASSERT_TRUE(until([&] { return program.eof; }));
  EXPECT_EQ(program.got.size(), given);
  ASSERT_TRUE(until([&] { return owner.over == 1; }));
}

TEST_F(TcpBridgeTest, AResetPassesToTheFlow) {
  establish();
  program.stream.abort();
  ASSERT_TRUE(until([&] { return owner.over == 1; }));
  EXPECT_EQ(flow.resets, 1);
  EXPECT_EQ(flow.finishes, 0) << "a reset is not an end of file";
}

TEST_F(TcpBridgeTest, ABrokenFlowResetsTheSocket) {
  establish();
  bridge->flow_ended(FlowEnd::session_lost);
  EXPECT_EQ(owner.over, 1);
  ASSERT_TRUE(until([&] { return program.closed.has_value(); }));
  EXPECT_EQ(program.closed->why, io::TcpStream::Closed::reset);
  EXPECT_FALSE(program.eof);
  EXPECT_EQ(flow.resets, 0) << "the flow is dead already";
}

TEST_F(TcpBridgeTest, WhatCameBeforeTheConnectionFollowsIt) {
  connect();
  from_flow("early");
  bridge->flow_fin();
  EXPECT_EQ(flow.consumed, 0u);
  ASSERT_TRUE(until([&] { return program.eof; }));
  EXPECT_EQ(program.got, "early");
}

TEST_F(TcpBridgeTest, SaysWhyItCouldNotConnect) {
  const base::Address nobody = listener->local_address();
  listener.reset();
  bridge = std::make_unique<TcpBridge>(flow, owner, flow_id);
  bridge->connect(loop, {nobody.ip(), nobody.port()}, 5s);
  ASSERT_TRUE(until([&] { return owner.over == 1; }));
  ASSERT_TRUE(owner.failed);
  EXPECT_EQ(owner.failed->error, io::ConnectError::refused);
  EXPECT_EQ(owner.connected, 0);
}

}  // namespace
}  // namespace ztna::bridge
