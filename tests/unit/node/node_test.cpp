#include "node/node.hpp"

#include <gtest/gtest.h>

#include "nat/timeouts.hpp"
#include "unit/node/fake_intermediate.hpp"
#include "wire/stun.hpp"

namespace ztna::node {
namespace {

using namespace std::chrono_literals;
using session::Session;

class Recorder : public NodeOwner {
 public:
  void on_uplink_up(Uplink&) override {}
  void on_uplink_down(Uplink&, const std::string&) override {}
  void on_uplink_attempt_failed(Uplink&, const std::string&) override {}
  void on_uplink_message(Uplink&, const proto::Message& message) override {
    if (message.has_relay_state()) ++relay_changes;
  }
  void on_session_opened(std::uint64_t request, Session&) override { opened.push_back(request); }
  void on_session_refused(std::uint64_t request, proto::Reason, const std::string&) override {
    refused.push_back(request);
  }
  void on_session_relay(Session&, bool) override {}
  void on_session_ready(Session&) override {}
  void on_flow_data(Session&, session::StreamId, base::BytesView) override {}
  void on_flow_fin(Session&, session::StreamId) override {}
  void on_flow_writable(Session&, session::StreamId) override {}
  void on_flow_datagram(Session&, session::StreamId, base::BytesView) override {}
  void on_flow_reset(Session&, session::StreamId) override {}
  void on_flow_closed(Session&, session::StreamId) override {}
  void on_session_closed(Session&, const quic::CloseInfo&) override { ++closed; }
  std::vector<std::uint64_t> opened, refused;
  int closed = 0;
  int relay_changes = 0;
};

identity::TestAuthority& authority() {
  static identity::TestAuthority made("example.org", identity::KeyType::ed25519);
  return made;
}

// One node and the Intermediates it is told of, over a network of 1 ms.
class NodeTest : public ::testing::Test {
 protected:
  void start(Session::Role role, std::size_t intermediates = 1, bool both_families = false,
             bool direct_paths = true) {
    if (both_families) {
      internet_.also = {address_v6};
      internet_.elsewhere = [this](const base::Outgoing& out, base::BytesView packets) {
        if (out.to != address_v6) return;
        EXPECT_EQ(out.socket, 1u);
        questions.emplace_back(packets.begin(), packets.end());
      };
    }
    NodeConfig config;
    config.role = role;
    config.credentials = role == Session::Role::agent ? authority().agent("alice")
                                                      : authority().connector("home", {"web"});
    config.random = &random_;
    config.max_sessions_per_peer = 3;
    config.direct_paths = direct_paths;
    for (std::size_t i = 0; i < intermediates; ++i) {
      config.intermediates.push_back({"relay.example", 4433});
      relays.push_back(std::make_unique<FakeIntermediate>(authority().intermediate("relay")));
    }
    node = std::make_unique<Node>(config, owner, base::WallReference{identity::test_now, now});
    node->add_socket(0, base::Address::v4({192, 0, 2, 10}, 4434));
    if (both_families) node->add_socket(1, base::Address::v6(ip6, 4434));
    run(50ms);
    for (const auto& relay : relays) {
      ASSERT_TRUE(relay->registered());
      relay->welcome();
    }
    run(50ms);
    ASSERT_TRUE(node->uplinks().back()->up());
  }

  static base::Address address(std::size_t relay) { return FakeInternet::address(relay); }

  void run(base::Duration time) { internet_.run(*node, now, time); }

  // The last question asked of the Intermediate's IPv6 address is answered from `from`.
  void answer(const base::Address& seen, const base::Address& from = address_v6) {
    const auto request = wire::stun::Message::parse(questions.back());
    ASSERT_TRUE(request);
    base::Bytes out(200);
    wire::stun::Writer writer(out, wire::stun::Class::success, wire::stun::binding,
                              request->transaction());
    writer.add_address(wire::stun::Attribute::xor_mapped_address, seen);
    node->receive({1, from, base::Address::v6(ip6, 4434), 0, writer.message()}, now);
  }
  [[nodiscard]] std::vector<base::Address> reflexive() const {
    std::vector<base::Address> all;
    for (const nat::Candidate& candidate : node->candidates()) {
      if (candidate.kind == nat::CandidateKind::reflexive) all.push_back(candidate.address);
    }
    return all;
  }

  proto::Message ready(const std::string& peer, std::uint32_t channel, std::uint64_t request = 0) {
    proto::Message message;
    auto& body = *message.mutable_session_ready();
    const auto id = base::SessionId::make(random_);
    const auto incarnation = base::IncarnationId::make(random_);
    body.set_request(request);
    body.set_session_id(id.octets.data(), id.octets.size());
    body.set_channel(channel);
    body.set_peer(peer);
    body.set_peer_incarnation(incarnation.octets.data(), incarnation.octets.size());
    return message;
  }

  sim::SeededRandom random_{1};
  base::Time now{1000s};
  static constexpr std::array<std::uint8_t, 16> ip6 = {0x20, 1, 0xd, 0xb8, 0, 1};
  inline static const base::Address address_v6 = base::Address::v6({0x20, 1, 0xd, 0xb8}, 4433);
  std::vector<base::Bytes> questions;  // what was sent there
  Recorder owner;
  std::unique_ptr<Node> node;
  FakeInternet internet_;
  std::vector<std::unique_ptr<FakeIntermediate>>& relays = internet_.relays;
};

// What must be at the other end follows from what this end is, whatever the Intermediate says.
TEST_F(NodeTest, RefusesSessionsWithTheWrongKindOfPeer) {
  start(Session::Role::connector);
  std::uint32_t channel = 0;
  for (const char* peer :
       {"spiffe://example.org/connector/home", "spiffe://evil.org/agent/alice",
        "spiffe://example.org/intermediate/relay", "spiffe://example.org/agent/", "alice", ""}) {
    relays[0]->send(ready(peer, ++channel));
    run(10ms);
    EXPECT_TRUE(node->sessions().empty()) << peer;
    EXPECT_EQ(relays[0]->heard_of(proto::Message::kCloseSession).size(), channel) << peer;
  }
  EXPECT_EQ(node->counters().sessions_refused, 6u);
  relays[0]->send(ready("spiffe://example.org/agent/alice", ++channel));
  run(10ms);
  EXPECT_EQ(node->sessions().size(), 1u);
}

// An Agent waits for an answer: it hears that there is none.
TEST_F(NodeTest, AgentLearnsThatAnOfferedSessionIsNone) {
  start(Session::Role::agent);
  ASSERT_TRUE(node->open_session(*node->uplinks()[0], 5, "web", {}));
  relays[0]->send(ready("spiffe://example.org/agent/bob", 1, 5));
  run(10ms);
  EXPECT_TRUE(node->sessions().empty());
  EXPECT_EQ(owner.refused, std::vector<std::uint64_t>{5});
}

TEST_F(NodeTest, OnePeerHasABoundedNumberOfSessions) {
  start(Session::Role::connector);
  for (std::uint32_t channel = 1; channel <= 5; ++channel) {
    relays[0]->send(ready("spiffe://example.org/agent/alice", channel));
  }
  run(10ms);
  EXPECT_EQ(node->sessions().size(), 3u);
  EXPECT_EQ(node->counters().sessions_refused, 2u);
  EXPECT_EQ(relays[0]->heard_of(proto::Message::kCloseSession).size(), 2u);
  relays[0]->send(ready("spiffe://example.org/agent/bob", 6));
  run(10ms);
  EXPECT_EQ(node->sessions().size(), 4u);
}

// One Intermediate must not answer what another was asked.
TEST_F(NodeTest, AnswersCountFromWhomWasAsked) {
  start(Session::Role::agent, 2);
  ASSERT_TRUE(node->open_session(*node->uplinks()[0], 5, "web", {}));
  relays[1]->send(ready("spiffe://example.org/connector/home", 1, 5));
  run(10ms);
  EXPECT_TRUE(node->sessions().empty());
  relays[0]->send(ready("spiffe://example.org/connector/home", 1, 5));
  run(10ms);
  EXPECT_EQ(node->sessions().size(), 1u);
  EXPECT_EQ(owner.opened, std::vector<std::uint64_t>{5});
}

// The uplink is an IPv4 one; the IPv6 socket's address is asked for by STUN.
TEST_F(NodeTest, LearnsItsAddressInTheFamilyThatItDoesNotDialBy) {
  start(Session::Role::connector, 1, true);
  ASSERT_EQ(node->uplinks()[0]->remote(), address(0));
  ASSERT_EQ(questions.size(), 1u);
  EXPECT_TRUE(reflexive().empty());
  const auto first = base::Address::v6({0x20, 1, 0xd, 0xb8, 9}, 1);
  const auto strangers = node->counters().packets_stun;
  answer(first, base::Address::v6({0x20, 1, 0xd, 0xb8, 6}, 4433));
  EXPECT_TRUE(reflexive().empty()) << "from an address that was not asked";
  EXPECT_EQ(node->counters().packets_stun, strangers + 1);
  answer(first);
  EXPECT_EQ(reflexive(), std::vector{first});
  EXPECT_EQ(node->counters().packets_stun, strangers + 1);
  run(40s);
  EXPECT_EQ(questions.size(), 1u) << "no session needs it";
  // A session wants to know it, and so does everyone after a change of addresses.
  relays[0]->send(ready("spiffe://example.org/agent/alice", 1));
  run(10ms);
  ASSERT_EQ(questions.size(), 2u);
  answer(first.with_port(2));
  EXPECT_EQ(reflexive(), std::vector{first.with_port(2)});
  node->set_interfaces({}, now);
  run(10ms);
  ASSERT_EQ(questions.size(), 3u);
  EXPECT_EQ(reflexive(), std::vector{first.with_port(2)}) << "until there is another answer";
  run(5s);
  EXPECT_EQ(questions.size(), 2 + nat::timeouts::address_request.size());
  EXPECT_TRUE(reflexive().empty()) << "and none came";
}

TEST_F(NodeTest, WithoutDirectPathsNoAddressIsAskedFor) {
  start(Session::Role::connector, 1, true, false);
  EXPECT_TRUE(questions.empty());
}

// An Intermediate that says nothing of its relay has one that carries flows.
TEST_F(NodeTest, TakesTheIntermediatesWordForItsRelay) {
  const auto say = [&](bool carries_flows) {
    proto::Message message;
    message.mutable_relay_state()->set_carries_flows(carries_flows);
    relays[0]->send(message);
    run(10ms);
  };
  start(Session::Role::connector, 2);
  relays[0]->send(ready("spiffe://example.org/agent/alice", 1));
  relays[1]->send(ready("spiffe://example.org/agent/alice", 1));
  run(10ms);
  ASSERT_EQ(node->sessions().size(), 2u);
  const auto off = [&] {
    return std::ranges::count_if(node->sessions(), [](Session* s) { return s->relay_off(); });
  };
  EXPECT_EQ(off(), 0);
  say(true);
  EXPECT_EQ(owner.relay_changes, 0) << "no news";
  say(false);
  EXPECT_EQ(off(), 1) << "the other one's relay is another's";
  EXPECT_FALSE(node->uplinks()[0]->carries_flows());
  say(true);
  EXPECT_EQ(off(), 0);
  EXPECT_EQ(owner.relay_changes, 2);
}

}  // namespace
}  // namespace ztna::node
