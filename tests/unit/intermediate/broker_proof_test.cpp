// Statements and suspensions at the Intermediate: only an end of a session gets any.
#include <gtest/gtest.h>

#include "proof/statement.hpp"
#include "unit/intermediate/bench.hpp"

namespace ztna::intermediate {
namespace {

using Kind = proto::Message;

constexpr const char* proving = R"(
[[serve]]
connectors = ["*"]
services = ["*"]
[[allow]]
agents = ["*"]
services = ["*"]
[[prove]]
agents = ["alice"]
services = ["web"]
)";

class BrokerProofTest : public Bench {
 protected:
  void SetUp() override {
    start(proving);
    home_ = &joined(connector());
    alice_ = &joined(agent());
    home_->offer({"web", "game"});
    run(300ms);
    alice_->open("web");
    EXPECT_TRUE(run_until([&] { return alice_->count(Kind::kSessionReady) == 1; }));
    id_ = alice_->of(Kind::kSessionReady).at(0).session_ready().session_id();
  }

  proof::v1::StatementReply ask(Client& who, const std::string& id, const std::string& nonce) {
    proto::Message message;
    message.mutable_statement_request()->set_session_id(id);
    message.mutable_statement_request()->set_nonce(nonce);
    const std::size_t before = who.count(Kind::kStatementReply);
    who.send(message);
    if (!run_until([&] { return who.count(Kind::kStatementReply) > before; })) return {};
    return who.of(Kind::kStatementReply).back().statement_reply();
  }
  proof::v1::SuspendReply suspend(Client& who, const std::string& service, std::uint32_t ms,
                                  const std::string& id) {
    proto::Message message;
    message.mutable_suspend_relay()->set_session_id(id);
    message.mutable_suspend_relay()->set_service(service);
    message.mutable_suspend_relay()->set_ms(ms);
    const std::size_t before = who.count(Kind::kSuspendReply);
    who.send(message);
    if (!run_until([&] { return who.count(Kind::kSuspendReply) > before; }, 1s)) return {};
    return who.of(Kind::kSuspendReply).back().suspend_reply();
  }
  proof::RelayView view() {
    const auto reply = ask(*alice_, id_, "n");
    const auto statement = proof::open({reply.text(),
                                        {reply.signature().begin(), reply.signature().end()},
                                        {reply.certificate().begin(), reply.certificate().end()}});
    EXPECT_TRUE(statement) << reply.refusal();
    return statement ? *statement->relay : proof::RelayView{};
  }
  Client* home_ = nullptr;
  Client* alice_ = nullptr;
  std::string id_;
};

TEST_F(BrokerProofTest, BothEndsAreToldWhatWasRelayed) {
  for (Client* const end : {alice_, home_}) {
    const auto reply = ask(*end, id_, "nonce-1");
    EXPECT_EQ(reply.session_id(), id_);
    EXPECT_EQ(reply.nonce(), "nonce-1");
    const auto statement = proof::open({reply.text(),
                                        {reply.signature().begin(), reply.signature().end()},
                                        {reply.certificate().begin(), reply.certificate().end()}});
    ASSERT_TRUE(statement) << reply.refusal();
    EXPECT_EQ(statement->node, "spiffe://example.org/intermediate/relay");
    EXPECT_EQ(statement->agent, "spiffe://example.org/agent/alice");
    EXPECT_EQ(statement->connector, "spiffe://example.org/connector/home");
    EXPECT_EQ(statement->relay->packets, 0u);
    EXPECT_FALSE(statement->relay->suspended);
  }
}

TEST_F(BrokerProofTest, NobodyElseIs) {
  Client& bob = joined(agent("bob"));
  EXPECT_EQ(ask(bob, id_, "n").text(), "");
  EXPECT_NE(ask(bob, id_, "n").refusal(), "");
  EXPECT_EQ(suspend(bob, "web", 1000, id_).ms(), 0u);
  EXPECT_FALSE(view().suspended);
  EXPECT_EQ(engine->broker().counters().not_owner, 3u);
  const auto claims =
      std::ranges::count(audit, policy::AuditEvent::not_owner, &policy::AuditRecord::event);
  EXPECT_EQ(claims, 3);
  EXPECT_NE(ask(*alice_, std::string(16, 'x'), "n").refusal(), "") << "there is no such session";
  EXPECT_NE(ask(*alice_, "short", "n").refusal(), "");
  EXPECT_NE(ask(*alice_, id_, "not a nonce").refusal(), "");
}

TEST_F(BrokerProofTest, ThePolicyDecidesWhoMaySuspend) {
  EXPECT_EQ(suspend(*alice_, "game", 1000, id_).ms(), 0u);
  EXPECT_FALSE(view().suspended);
  EXPECT_EQ(suspend(*alice_, "web", 1000, id_).ms(), 1000u);
  EXPECT_TRUE(view().suspended);
  std::vector<std::string> verdicts;
  for (const policy::AuditRecord& record : audit) {
    if (record.event != policy::AuditEvent::suspend) continue;
    verdicts.push_back(record.service + (*record.allowed ? " allowed " : " denied ") + record.rule);
  }
  EXPECT_EQ(verdicts, (std::vector<std::string>{"game denied default deny",
                                                "web allowed prove[1] at policy.toml:8"}));
  run(1100ms);
  EXPECT_FALSE(view().suspended) << "it ends by itself";
}

TEST_F(BrokerProofTest, SuspensionsAreShortAndSeldom) {
  EXPECT_EQ(suspend(*alice_, "web", 3'600'000, id_).ms(), 10'000u);
  EXPECT_EQ(suspend(*alice_, "web", 0, id_).ms(), 0u);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(suspend(*alice_, "web", 100, id_).ms(), 100u);
  const std::size_t records = audit.size();
  const auto fifth = suspend(*alice_, "web", 100, id_);
  EXPECT_EQ(fifth.ms(), 0u);
  EXPECT_NE(fifth.refusal(), "");
  EXPECT_EQ(audit.size(), records) << "the log is not for him to fill";
}

// The rule is for a service; a session that does not carry it is another matter.
TEST_F(BrokerProofTest, ARuleForOneServiceSuspendsNoOthersSession) {
  Client& other = joined(connector("work"));
  other.offer({"payroll"});
  run(300ms);
  alice_->open("payroll", 2);
  ASSERT_TRUE(run_until([&] { return alice_->count(Kind::kSessionReady) == 2; }));
  const std::string id = alice_->of(Kind::kSessionReady).at(1).session_ready().session_id();
  ASSERT_NE(id, id_);
  EXPECT_EQ(suspend(*alice_, "web", 1000, id).ms(), 0u);
  EXPECT_EQ(suspend(*alice_, "payroll", 1000, id).ms(), 0u);
}

// Only Agents ask for that: a Connector's users would not know what happens to them.
TEST_F(BrokerProofTest, AConnectorSuspendsNothing) {
  EXPECT_EQ(suspend(*home_, "web", 1000, id_).ms(), 0u);
  EXPECT_FALSE(view().suspended);
}

}  // namespace
}  // namespace ztna::intermediate
