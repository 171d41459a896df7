// Uplinks that misbehave, and those that must not suffer from them.
#include <gtest/gtest.h>

#include "unit/intermediate/bench.hpp"

namespace ztna::intermediate {
namespace {

using Kind = proto::Message;

class EngineTest : public Bench {
 protected:
  // A datagram that looks like a client's first and carries nothing that can be decrypted.
  base::Bytes garbage_initial() {
    base::Bytes packet(1200);
    random.fill(packet);
    const std::uint8_t head[] = {0xc3, 0, 0, 0, 1, 8};
    std::ranges::copy(head, packet.begin());
    packet[14] = 8;                        // SCID length
    packet[23] = 0;                        // no token
    packet[24] = 0x44, packet[25] = 0x96;  // 1174 octets follow
    return packet;
  }
  std::size_t refused_uplinks() const {
    return static_cast<std::size_t>(std::ranges::count_if(audit, [](const auto& r) {
      return r.event == policy::AuditEvent::uplink && r.allowed == false;
    }));
  }
};

TEST_F(EngineTest, SpoofedGarbageIsAskedToProveItselfAndLeavesNoRecord) {
  start();
  for (std::uint32_t i = 0; i < 2000; ++i) {  // each from another network
    inject(base::Address::v4(
               {10, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i), 1}, 1000),
           garbage_initial());
    if (i % 20 == 0) step();
  }
  run(6s);
  EXPECT_GT(engine->counters().retries_sent, 1000u);
  EXPECT_LT(engine->counters().handshakes_started, 1000u);
  EXPECT_EQ(refused_uplinks(), 0u) << "strangers write the audit log";
  EXPECT_EQ(engine->role_counts().handshakes, 0u);
}

// Who showed a certificate that is not trusted is on record.
TEST_F(EngineTest, ARefusedCertificateIsOnRecord) {
  identity::TestAuthority elsewhere("example.org", identity::KeyType::ed25519);
  auto pem = elsewhere.pem({.role = identity::Role::agent, .name = "alice"});
  pem.roots += authority().roots();  // it trusts us; we do not trust it
  Client& stranger =
      join(identity::value_or_throw(identity::Credentials::load(pem, identity::test_now)));
  ASSERT_TRUE(run_until([&] { return stranger.closed.has_value(); }));
  run(100ms);
  EXPECT_EQ(refused_uplinks(), 1u);
}

TEST_F(EngineTest, WhoNeverRegistersIsClosed) {
  Client& idle = join(agent(), false);
  ASSERT_TRUE(run_until([&] { return idle.established; }));
  run(4s);
  EXPECT_FALSE(idle.closed);
  EXPECT_TRUE(run_until([&] { return idle.closed.has_value(); }, 2s));
}

TEST_F(EngineTest, ARevokedNodeIsRefusedOnceAndSaidWhy) {
  start(std::string(open_policy) + "[[revoke]]\nspki = \"" + base::to_hex(agent()->self().spki) +
        "\"\n");
  Client& alice = join(agent());
  ASSERT_TRUE(run_until([&] { return alice.closed.has_value(); }));
  run(100ms);
  EXPECT_EQ(refused_uplinks(), 1u);
  ASSERT_EQ(alice.count(Kind::kRefused), 1u);
  EXPECT_EQ(alice.of(Kind::kRefused).at(0).refused().reason(), proto::REASON_REVOKED);
}

// Trust is asked about again for everyone whose handshake is over, registered or not.
TEST_F(EngineTest, ARemovedRootEndsAlsoWhoHasNotRegistered) {
  Client& idle = join(agent(), false);
  ASSERT_TRUE(run_until([&] { return idle.established; }));
  run(5ms);
  identity::TestAuthority other("example.org", identity::KeyType::ed25519);
  engine->reload(other.intermediate("relay"), config.policy, now);
  EXPECT_TRUE(run_until([&] { return idle.closed.has_value(); }, 100ms));
}

TEST_F(EngineTest, AHandshakeFromBeforeARemovedRootDoesNotRegister) {
  Client& late = join(agent(), false);
  ASSERT_TRUE(run_until([&] { return late.established; }));  // its last flight is under way
  identity::TestAuthority other("example.org", identity::KeyType::ed25519);
  engine->reload(other.intermediate("relay"), config.policy, now);
  late.enrol();
  run(200ms);
  EXPECT_FALSE(late.up());
}

TEST_F(EngineTest, UplinksOfOneIdentityAreBounded) {
  config.max_uplinks_per_identity = 3;
  for (int i = 0; i < 3; ++i) joined(agent());
  Client& fourth = join(agent());
  ASSERT_TRUE(run_until([&] { return fourth.closed.has_value(); }));
  ASSERT_EQ(fourth.count(Kind::kRefused), 1u);
  EXPECT_EQ(fourth.of(Kind::kRefused).at(0).refused().reason(), proto::REASON_QUOTA);
  joined(agent("bob"));
  EXPECT_TRUE(clients[0]->up());
  // One that leaves makes room.
  clients[0]->connection->close(1, "bye", now);
  run(50ms);
  joined(agent());
}

TEST_F(EngineTest, ConnectionsOfOneIdentityThatNeverRegisterAreBounded) {
  config.max_uplinks_per_identity = 3;
  start();
  for (int i = 0; i < 12; ++i) join(agent(), false);
  run(300ms);
  EXPECT_LE(std::ranges::count_if(clients, [](const auto& c) { return !c->closed; }), 6);
}

TEST_F(EngineTest, ANodeThatRedialsGetsInAtOnce) {
  Client& first = joined(connector());
  first.mute = true;
  Client& second = join(connector());
  second.incarnation = first.incarnation;
  EXPECT_TRUE(run_until([&] { return second.up(); }, 200ms));
  EXPECT_EQ(engine->role_counts().connectors, 1u);
}

// Two names for one server: the second uplink of the same run stays out while the first lives, and
// gets in when it does not.
TEST_F(EngineTest, ASecondUplinkOfTheSameRunIsRefusedWhileTheFirstLives) {
  Client& first = joined(connector());
  Client& second = join(connector());
  second.incarnation = first.incarnation;
  second.uplink = 1;
  ASSERT_TRUE(run_until([&] { return second.closed.has_value(); }));
  ASSERT_EQ(second.count(Kind::kRefused), 1u);
  EXPECT_EQ(second.of(Kind::kRefused).at(0).refused().reason(), proto::REASON_DUPLICATE);
  EXPECT_TRUE(first.up());
  first.mute = true;
  run(4s);
  Client& third = join(connector());
  third.incarnation = first.incarnation;
  third.uplink = 1;
  EXPECT_TRUE(run_until([&] { return third.up(); }, 200ms));
}

TEST_F(EngineTest, AFloodOfMessagesEndsItsUplink) {
  Client& alice = joined(agent());
  Client& bob = joined(agent("bob"));
  for (int i = 0; i < 200 && !alice.closed; ++i) {
    for (int j = 0; j < 200 && !alice.closed; ++j) alice.open("nothing");
    run(5ms);
  }
  EXPECT_TRUE(alice.closed);
  EXPECT_TRUE(bob.up());
}

// A node moves while somebody sends packets with its connection id from everywhere.
TEST_F(EngineTest, ANodeMovesThoughStrangersUseItsConnectionId) {
  Client& home = joined(connector());
  run(200ms);
  base::Bytes noise(60);
  random.fill(noise);
  noise[0] = 0x40;
  ASSERT_FALSE(home.last_sent.empty());
  std::copy_n(home.last_sent.begin() + 1, quic::cid_length, noise.begin() + 1);
  const base::Address moved = base::Address::v4({198, 51, 100, 7}, 50000);
  home.move(moved);
  between = [&] {
    for (std::uint8_t i = 1; i <= 10; ++i) inject(base::Address::v4({10, 0, 0, i}, 1000), noise);
  };
  home.offer({"web"});
  run(2s);
  ASSERT_EQ(home.count(Kind::kObservedAddress), 2u);
  EXPECT_EQ(home.of(Kind::kObservedAddress).back().observed_address().address(), moved.to_string());
  EXPECT_FALSE(home.closed);
}

}  // namespace
}  // namespace ztna::intermediate
