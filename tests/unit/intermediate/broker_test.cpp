// Sessions, claims, offers and directories, over real uplinks of hand-driven nodes.
#include <gtest/gtest.h>

#include <set>

#include "unit/intermediate/bench.hpp"

namespace ztna::intermediate {
namespace {

using Kind = proto::Message;

std::string session_id(std::uint8_t n) { return std::string(15, 'x') + static_cast<char>(n); }

class BrokerTest : public Bench {
 protected:
  // The id of the session that the Agent has asked for and got, its first one.
  std::string opened(Client& agent, const std::string& service) {
    agent.open(service);
    EXPECT_TRUE(run_until([&] { return agent.count(Kind::kSessionReady) == 1; }));
    const auto ready = agent.of(Kind::kSessionReady);
    return ready.empty() ? std::string() : ready.at(0).session_ready().session_id();
  }
  // The one offers web by TCP, and then the other by UDP.
  void contradict(Client& one, Client& other) {
    one.offer({"web"});
    run(300ms);
    other.offer({"web"}, true);
    run(300ms);
  }
  [[nodiscard]] std::size_t instances_of(const std::string& service) const {
    return engine->broker().directory().instances(service).size();
  }
};

TEST_F(BrokerTest, IntroducesAnAgentToAConnector) {
  Client& home = joined(connector());
  Client& alice = joined(agent());
  home.offer({"web"});
  run(300ms);
  alice.open("web", 7);
  ASSERT_TRUE(run_until([&] { return alice.count(Kind::kSessionReady) == 1; }));
  const auto there = home.of(Kind::kSessionReady).at(0).session_ready();
  const auto here = alice.of(Kind::kSessionReady).at(0).session_ready();
  EXPECT_EQ(here.session_id(), there.session_id());
  EXPECT_EQ(here.request(), 7u);
  EXPECT_EQ(here.peer(), "spiffe://example.org/connector/home");
  EXPECT_EQ(there.peer(), "spiffe://example.org/agent/alice");
  // The same pair again: the same session.
  alice.open("web", 8);
  ASSERT_TRUE(run_until([&] { return alice.count(Kind::kSessionReady) == 2; }));
  EXPECT_EQ(alice.of(Kind::kSessionReady).at(1).session_ready().session_id(), there.session_id());
  EXPECT_EQ(engine->broker().session_count(), 1u);
}

TEST_F(BrokerTest, RefusesWhatMayNotBeOpened) {
  start(R"(
[[serve]]
connectors = ["*"]
services = ["*"]
[[allow]]
agents = ["*"]
services = ["web", "nobody"]
)");
  Client& home = joined(connector());
  Client& alice = joined(agent());
  home.offer({"web", "secret"});
  run(300ms);
  const std::pair<const char*, proto::Reason> table[] = {
      {"secret", proto::REASON_DENIED},
      {"nobody", proto::REASON_UNKNOWN_SERVICE},
      {"No Name", proto::REASON_MALFORMED},
  };
  std::size_t answers = 0;
  for (const auto& [service, reason] : table) {
    alice.open(service);
    ++answers;
    ASSERT_TRUE(run_until([&] { return alice.count(Kind::kSessionRefused) == answers; }));
    EXPECT_EQ(alice.session_refused(), reason) << service;
  }
  home.open("web");
  run(50ms);
  EXPECT_EQ(engine->broker().session_count(), 0u) << "a Connector opened a session";
}

// At its quota an Agent may still ask for what it has.
TEST_F(BrokerTest, SessionsOfAnAgentAreBounded) {
  config.broker.max_sessions_per_agent = 1;
  Client& home = joined(connector("home"));
  Client& away = joined(connector("away"));
  Client& alice = joined(agent());
  home.offer({"web"});
  away.offer({"mail"});
  run(300ms);
  ASSERT_FALSE(opened(alice, "web").empty());
  alice.open("mail");
  ASSERT_TRUE(run_until([&] { return alice.session_refused().has_value(); }));
  EXPECT_EQ(alice.session_refused(), proto::REASON_QUOTA);
  alice.open("web", 9);
  EXPECT_TRUE(run_until([&] { return alice.count(Kind::kSessionReady) == 2; }))
      << "the session it has is refused";
}

TEST_F(BrokerTest, ClaimsOfTwoEndsMeet) {
  Client& home = joined(connector());
  Client& alice = joined(agent());
  home.offer({"web"});
  alice.claim(session_id(1), home);
  run(20ms);
  EXPECT_EQ(engine->broker().session_count(), 0u);
  home.claim(session_id(1), alice);
  ASSERT_TRUE(run_until([&] { return alice.count(Kind::kSessionReady) == 1; }));
  EXPECT_EQ(engine->broker().session_count(), 1u);
}

TEST_F(BrokerTest, ClaimedSessionsCountAgainstTheQuota) {
  config.broker.max_sessions_per_agent = 2;
  Client& home = joined(connector());
  Client& alice = joined(agent());
  home.offer({"web"});
  for (std::uint8_t i = 1; i <= 3; ++i) {
    alice.claim(session_id(i), home);
    home.claim(session_id(i), alice);
    run(10ms);
  }
  EXPECT_EQ(engine->broker().session_count(), 2u);
  EXPECT_EQ(alice.session_refused(), proto::REASON_QUOTA);
  EXPECT_EQ(home.session_refused(), proto::REASON_QUOTA);
}

// One node's claims that nobody meets leave room for others'.
TEST_F(BrokerTest, PendingClaimsOfOneNodeAreBounded) {
  config.broker.max_sessions_per_agent = 3;
  config.broker.max_pending_claims = 10;
  Client& home = joined(connector());
  Client& mallory = joined(agent("mallory"));
  Client& alice = joined(agent());
  home.offer({"web"});
  for (std::uint8_t i = 1; i <= 20; ++i) mallory.claim(session_id(i), home);
  run(20ms);
  EXPECT_EQ(mallory.count(Kind::kSessionRefused), 17u);
  alice.claim(session_id(100), home);
  home.claim(session_id(100), alice);
  EXPECT_TRUE(run_until([&] { return alice.count(Kind::kSessionReady) == 1; }));
}

TEST_F(BrokerTest, ASessionIdOfAnotherLengthDoesNotComeBack) {
  Client& home = joined(connector());
  Client& alice = joined(agent());
  alice.claim(std::string(10000, 'x'), home);
  ASSERT_TRUE(run_until([&] { return alice.session_refused().has_value(); }));
  const auto answer = alice.of(Kind::kSessionRefused).at(0).session_refused();
  EXPECT_EQ(answer.reason(), proto::REASON_MALFORMED);
  EXPECT_TRUE(answer.session_id().empty());
}

// The claimer has lost its leg: it hears why, and does not wait for a relay that never comes.
TEST_F(BrokerTest, AClaimThatPolicyDeniesIsAnswered) {
  start();
  Client& home = joined(connector());
  Client& alice = joined(agent());
  home.offer({"web"});
  run(300ms);
  const std::string id = opened(alice, "web");
  ASSERT_FALSE(id.empty());
  alice.connection->close(0, "lost", now);
  run(50ms);
  engine->reload(relay(), std::make_shared<const policy::Policy>(), now);
  Client& again = joined_again(agent(), alice);
  ASSERT_TRUE(again.up());
  again.claim(id, home);
  EXPECT_TRUE(run_until([&] { return again.session_refused().has_value(); }, 200ms));
  EXPECT_EQ(again.session_refused(), proto::REASON_DENIED);
  EXPECT_EQ(engine->broker().session_count(), 0u);
}

TEST_F(BrokerTest, ForeignSessionsCanNeitherBeClaimedNorClosed) {
  Client& home = joined(connector());
  Client& alice = joined(agent());
  Client& mallory = joined(agent("mallory"));
  home.offer({"web"});
  run(300ms);
  const std::string id = opened(alice, "web");
  ASSERT_FALSE(id.empty());
  mallory.claim(id, home);
  ASSERT_TRUE(run_until([&] { return mallory.session_refused().has_value(); }));
  EXPECT_EQ(mallory.session_refused(), proto::REASON_NOT_OWNER);
  mallory.close_session(id);
  run(20ms);
  EXPECT_EQ(engine->broker().session_count(), 1u);
  EXPECT_EQ(engine->broker().counters().not_owner, 2u);
}

// --- the audit log

// Of the sessions' records alone: "EVENT VERDICT RULE; REASON".
std::vector<std::string> sessions_of(const std::vector<policy::AuditRecord>& audit) {
  std::vector<std::string> lines;
  for (const policy::AuditRecord& record : audit) {
    const bool wanted = record.event == policy::AuditEvent::session ||
                        record.event == policy::AuditEvent::session_closed;
    if (!wanted) continue;
    const char* const verdict = !record.allowed ? "-" : *record.allowed ? "allow" : "deny";
    lines.push_back(std::string(to_string(record.event)) + " " + verdict + " " + record.rule +
                    "; " + record.reason);
  }
  return lines;
}

TEST_F(BrokerTest, OpeningClaimingRefusingAndEndingASessionAreOnRecord) {
  config.broker.max_sessions_per_agent = 1;
  start();
  Client& home = joined(connector("home"));
  Client& away = joined(connector("away"));
  Client& alice = joined(agent());
  home.offer({"web"});
  away.offer({"mail"});
  run(300ms);
  const std::string id = opened(alice, "web");
  ASSERT_FALSE(id.empty());
  alice.open("mail");
  ASSERT_TRUE(run_until([&] { return alice.session_refused().has_value(); }));
  alice.connection->close(0, "lost", now);
  run(50ms);
  Client& again = joined_again(agent(), alice);
  ASSERT_TRUE(again.up());
  again.claim(id, home);
  ASSERT_TRUE(run_until([&] { return again.count(Kind::kSessionReady) == 1; }));
  again.relay(base::Bytes(500, 0x40));
  run(50ms);
  again.close_session(id);
  ASSERT_TRUE(run_until([&] { return engine->broker().session_count() == 0; }));
  EXPECT_EQ(sessions_of(audit), (std::vector<std::string>{
                                    "session allow allow[1] at policy.toml:5; ",
                                    "session deny too many sessions; ",
                                    "session allow allow[1] at policy.toml:5; claimed",
                                    "session_closed - ; closed by the other end",
                                }));
  const policy::AuditRecord& over = audit.back();
  EXPECT_EQ(over.agent, "alice");
  EXPECT_EQ(over.connector, "home");
  EXPECT_EQ(over.session, base::to_hex(base::as_bytes(id)));
  EXPECT_EQ(over.bytes_relayed, 500u);
  ASSERT_TRUE(over.duration);
  EXPECT_GE(*over.duration, 100ms);
  EXPECT_LE(*over.duration, 10s);
}

TEST_F(BrokerTest, ARefusedClaimIsOnRecord) {
  config.broker.max_sessions_per_agent = 1;
  Client& home = joined(connector());
  Client& alice = joined(agent());
  alice.claim(session_id(1), home);
  alice.claim(session_id(2), home);
  ASSERT_TRUE(run_until([&] { return alice.session_refused().has_value(); }));
  EXPECT_EQ(sessions_of(audit),
            (std::vector<std::string>{"session deny too many claims; claimed"}));
  EXPECT_EQ(audit.back().agent, "alice");
}

// --- offers and directories

std::set<std::string> names(const std::vector<proto::Message>& parts) {
  std::set<std::string> all;
  for (const proto::Message& part : parts) {
    for (const auto& service : part.directory().services()) all.insert(service.name());
  }
  return all;
}

// More than one message may hold (64 KiB).
TEST_F(BrokerTest, ALargeDirectoryComesInParts) {
  Client& alice = joined(agent());
  std::set<std::string> expected;
  for (int c = 0; c < 8; ++c) {
    std::vector<std::string> services;
    for (int i = 0; i < 250; ++i) {
      services.push_back("service-with-a-rather-long-name-" + std::to_string(1000 * c + i));
    }
    expected.insert(services.begin(), services.end());
    joined(connector("home-" + std::to_string(c))).offer(services);
  }
  run(500ms);
  alice.heard.clear();
  joined(connector("last")).offer({"web"});
  expected.insert("web");
  run(500ms);
  ASSERT_FALSE(alice.closed) << alice.closed->reason;
  const auto parts = alice.of(Kind::kDirectory);
  ASSERT_GT(parts.size(), 1u);
  EXPECT_EQ(names(parts), expected);
  for (const auto& part : parts) {
    EXPECT_LE(part.ByteSizeLong(), 40u * 1024);
    EXPECT_EQ(part.directory().more(), &part != &parts.back());
  }
}

TEST_F(BrokerTest, ADirectoryIsSentOnlyWhenItDiffers) {
  Client& home = joined(connector());
  Client& alice = joined(agent());
  home.offer({"web"});
  run(300ms);
  const std::size_t before = alice.count(Kind::kDirectory);
  for (int i = 0; i < 10; ++i) {
    home.offer({"web"});
    run(30ms);
  }
  run(300ms);
  EXPECT_EQ(alice.count(Kind::kDirectory), before);
  home.offer({"web", "mail"});
  run(300ms);
  EXPECT_EQ(alice.count(Kind::kDirectory), before + 1);
}

// What an offer says wrongly is answered once, however often it says it.
TEST_F(BrokerTest, AGiantOfferIsCutAndAnsweredOnce) {
  Client& home = joined(connector());
  proto::Message message;
  for (int i = 0; i < 3000; ++i) {
    auto& service = *message.mutable_offer()->add_services();
    service.set_name("s" + std::to_string(i));
    service.set_protocol(proto::PROTOCOL_TCP);
  }
  home.send(message);
  run(200ms);
  EXPECT_FALSE(home.closed);
  EXPECT_EQ(engine->broker().directory().all().size(), BrokerLimits{}.max_services_per_connector);
  EXPECT_EQ(home.count(Kind::kRefused), 1u);
}

TEST_F(BrokerTest, AnOfferThatContradictsTheStandingOneIsRefused) {
  Client& home = joined(connector("home"));
  Client& away = joined(connector("away"));
  Client& alice = joined(agent());
  home.offer({"web"});
  run(300ms);
  away.offer({"web", "quake"}, true);
  run(300ms);
  EXPECT_EQ(away.refused_services(), std::vector<std::string>{"web"});
  const auto latest = alice.of(Kind::kDirectory).back().directory();
  ASSERT_EQ(latest.services_size(), 2);
  EXPECT_EQ(latest.services(1).name(), "web");
  EXPECT_EQ(latest.services(1).protocol(), proto::PROTOCOL_TCP);
  EXPECT_EQ(latest.services(1).instances_size(), 1);
  // It may change its own mind.
  home.offer({"web"}, true);
  run(300ms);
  EXPECT_EQ(alice.of(Kind::kDirectory).back().directory().services(1).protocol(),
            proto::PROTOCOL_UDP);
}

TEST_F(BrokerTest, ANewPolicyDecidesStandingOffersAnew) {
  Client& home = joined(connector());
  Client& alice = joined(agent());
  const auto seen = [&] { return alice.of(Kind::kDirectory).back().directory().services_size(); };
  home.offer({"web"});
  run(300ms);
  EXPECT_EQ(home.count(Kind::kOfferState), 0u) << "all is passed on";
  EXPECT_EQ(seen(), 1);
  const auto before = config.policy;
  engine->reload(relay(), std::make_shared<const policy::Policy>(), now);
  run(300ms);
  EXPECT_EQ(home.refused_services(), std::vector<std::string>{"web"});
  EXPECT_EQ(seen(), 0);
  home.offer({"web"});
  run(300ms);
  EXPECT_EQ(home.count(Kind::kOfferState), 1u) << "no news";
  engine->reload(relay(), before, now);
  run(300ms);
  EXPECT_EQ(home.refused_services(), std::vector<std::string>{});
  EXPECT_EQ(seen(), 1);
}

// What was refused for its protocol stays so when policies change.
TEST_F(BrokerTest, ANewPolicyDoesNotLetAContradictionIn) {
  Client& home = joined(connector("home"));
  Client& away = joined(connector("away"));
  contradict(home, away);
  engine->reload(relay(), config.policy, now);
  run(300ms);
  const auto& instances = engine->broker().directory().instances("web");
  ASSERT_EQ(instances.size(), 1u);
  EXPECT_FALSE(instances[0].service.udp);
  // When what it contradicts is gone, it is passed on.
  home.offer({});
  run(300ms);
  EXPECT_EQ(away.refused_services(), std::vector<std::string>{});
  ASSERT_EQ(instances_of("web"), 1u);
  EXPECT_TRUE(engine->broker().directory().instances("web")[0].service.udp);
}

TEST_F(BrokerTest, WhatWasContradictedIsPassedOnWhenTheOtherIsLost) {
  Client& home = joined(connector("home"));
  Client& away = joined(connector("away"));
  contradict(home, away);
  EXPECT_EQ(away.refused_services(), std::vector<std::string>{"web"});
  home.connection->close(0, "gone", now);
  run(300ms);
  EXPECT_EQ(away.refused_services(), std::vector<std::string>{});
  EXPECT_EQ(instances_of("web"), 1u);
}

// The policy moves a service to another Connector, which has it by another protocol: in whichever
// order the two came.
TEST_F(BrokerTest, ANewPolicyMayMoveAServiceToAnotherProtocol) {
  const auto only = [](const std::string& name) {
    return policy_of("[[serve]]\nconnectors = [\"" + name + "\"]\nservices = [\"web\"]\n");
  };
  Client& first = joined(connector("first"));
  Client& second = joined(connector("second"));
  contradict(first, second);
  for (int i = 0; i < 2; ++i) {
    engine->reload(relay(), only("second"), now);
    run(300ms);
    EXPECT_EQ(second.refused_services(), std::vector<std::string>{});
    EXPECT_EQ(first.refused_services(), std::vector<std::string>{"web"});
    engine->reload(relay(), only("first"), now);
    run(300ms);
    EXPECT_EQ(first.refused_services(), std::vector<std::string>{});
    EXPECT_EQ(second.refused_services(), std::vector<std::string>{"web"});
  }
}

// Offers that differ each time are news each time; the log is not the Connector's to fill.
TEST_F(BrokerTest, RecordsOfOffersAreBounded) {
  start("");
  Client& home = joined(connector());
  for (int i = 0; i < 3000; ++i) {
    home.offer({i % 2 == 0 ? "web" : "mail"});
    run(2ms);
  }
  EXPECT_FALSE(home.closed);
  const auto records =
      std::ranges::count(audit, policy::AuditEvent::offer, &policy::AuditRecord::event);
  EXPECT_GT(records, 1000);
  EXPECT_LT(records, 1100);
}

TEST_F(BrokerTest, NodesAreToldWhetherTheRelayCarriesFlows) {
  config.relay = false;
  Client& home = joined(connector());
  ASSERT_TRUE(run_until([&] { return home.count(Kind::kRelayState) == 1; }));
  EXPECT_FALSE(home.of(Kind::kRelayState).at(0).relay_state().carries_flows());
  // Before any session can be there.
  ASSERT_EQ(home.heard.at(1).body_case(), Kind::kRelayState);
  engine->set_relay(true, now);
  ASSERT_TRUE(run_until([&] { return home.count(Kind::kRelayState) == 2; }));
  EXPECT_TRUE(home.of(Kind::kRelayState).at(1).relay_state().carries_flows());
}

class RelayOffTest : public BrokerTest {
 protected:
  static constexpr std::uint8_t long_header = 0xc0, short_header = 0x40, stun = 0;

  void SetUp() override {
    config.relay = false;
    home_ = &joined(connector());
    alice_ = &joined(agent());
    home_->offer({"web"});
    run(300ms);
    alice_->open("web");
    ASSERT_TRUE(run_until([&] { return alice_->count(Kind::kSessionReady) == 1; }));
  }
  static base::Bytes packet(std::uint8_t first, std::size_t size) {
    base::Bytes made(size);
    made[0] = first;
    if (first == stun) {  // RFC 8489 §5: length, magic cookie
      made[2] = static_cast<std::uint8_t>((size - 20) >> 8);
      made[3] = static_cast<std::uint8_t>(size - 20);
      made[4] = 0x21, made[5] = 0x12, made[6] = 0xa4, made[7] = 0x42;
    }
    return made;
  }
  // How many of `count` such packets, from either end, come through.
  std::size_t pass(std::uint8_t first, std::size_t size, std::size_t count) {
    const std::size_t before = home_->relayed + alice_->relayed;
    for (std::size_t i = 0; i < count; ++i) {
      (i % 2 == 0 ? alice_ : home_)->relay(packet(first, size));
      run(2ms);
    }
    run(20ms);
    return home_->relayed + alice_->relayed - before;
  }
  Client* home_ = nullptr;
  Client* alice_ = nullptr;
};

TEST_F(RelayOffTest, AHandshakePassesAndNoSecondOne) {
  EXPECT_EQ(pass(long_header, 1100, 20), 14u);
  run(60s);
  EXPECT_EQ(pass(long_header, 1100, 20), 0u);
}

TEST_F(RelayOffTest, PacketsFullOfDataDoNot) {
  EXPECT_EQ(pass(short_header, 1200, 5), 0u);
  EXPECT_EQ(engine->broker().counters().dropped_relay_off, 5u);
}

// An exchange of a few messages, and then another in a minute.
TEST_F(RelayOffTest, ControlPassesInSmallAmounts) {
  EXPECT_EQ(pass(short_header, 500, 20), 4u);
  EXPECT_EQ(pass(short_header, 60, 20), 20u) << "acknowledgements are kept back too";
  run(60s);
  EXPECT_EQ(pass(short_header, 500, 20), 3u);
}

TEST_F(RelayOffTest, ChecksPass) {
  EXPECT_EQ(pass(short_header, 500, 20), 4u);
  for (int second = 0; second < 5; ++second) {
    EXPECT_EQ(pass(stun, 100, 20), 20u);
    run(1s);
  }
}

TEST_F(RelayOffTest, SwitchedOnItTakesEverything) {
  engine->set_relay(true, now);
  EXPECT_EQ(pass(short_header, 1100, 50), 50u);
}

}  // namespace
}  // namespace ztna::intermediate
