// What a Connector makes of its Intermediates' words about its offer. Flows and sessions are the
// simulator's matter.
#include "connector/engine.hpp"

#include <gtest/gtest.h>

#include "unit/node/fake_intermediate.hpp"

namespace ztna::connector {
namespace {

using namespace std::chrono_literals;
namespace proto = node::proto;
using Refusals = std::map<std::string, std::string>;

class NoFlows : public Handler {
  void on_flow_request(FlowId, const ServiceConfig&) override {}
  void on_flow_data(FlowId, base::BytesView) override {}
  void on_flow_fin(FlowId) override {}
  void on_flow_writable(FlowId) override {}
  void on_flow_datagram(FlowId, base::BytesView) override {}
  void on_flow_ended(FlowId, FlowEnd, const std::string&) override {}
};

// One Connector with the services web and mail, and two Intermediates.
class OfferTest : public ::testing::Test {
 protected:
  void SetUp() override {
    static identity::TestAuthority authority("example.org", identity::KeyType::ed25519);
    EngineConfig config;
    config.node.credentials = authority.connector("home", {"*"});
    config.node.random = &random_;
    config.node.intermediates = {{"one.example", 4433}, {"two.example", 4433}};
    config.policy = std::make_shared<const policy::Policy>();
    config.services = {{"web", Protocol::tcp, {"127.0.0.1", 80}},
                       {"mail", Protocol::tcp, {"127.0.0.1", 25}}};
    for (int i = 0; i < 2; ++i) {
      internet.relays.push_back(
          std::make_unique<node::FakeIntermediate>(authority.intermediate("relay")));
    }
    engine =
        std::make_unique<Engine>(config, handler_, base::WallReference{identity::test_now, now});
    engine->node().add_socket(0, base::Address::v4({192, 0, 2, 10}, 4434));
    run(50ms);
    for (const auto& relay : internet.relays) {
      ASSERT_TRUE(relay->registered());
      relay->welcome();
    }
    run(50ms);
    std::ignore = engine->take_notices();
  }
  void run(base::Duration time) {
    engine->set_now(now);
    internet.run(engine->node(), now, time);
  }
  // Intermediate `relay` refuses these.
  void refuse(std::size_t relay, const Refusals& refused) {
    proto::Message message;
    message.mutable_offer_state();
    for (const auto& [name, reason] : refused) {
      auto& entry = *message.mutable_offer_state()->add_refused();
      entry.set_name(name);
      entry.set_reason(reason);
    }
    internet.relays[relay]->send(message);
    run(20ms);
  }
  [[nodiscard]] Refusals refusals(const std::string& service) const {
    for (const auto& view : engine->services()) {
      if (view.config.name == service) return view.refused;
    }
    return {{"no such", "service"}};
  }
  std::size_t notices() { return engine->take_notices().size(); }

  base::Time now{1h};
  node::FakeInternet internet;
  std::unique_ptr<Engine> engine;

 private:
  sim::SeededRandom random_{3};
  NoFlows handler_;
};

TEST_F(OfferTest, IsToldToEachIntermediate) {
  for (const auto& relay : internet.relays) {
    const auto offers = relay->heard_of(proto::Message::kOffer);
    ASSERT_EQ(offers.size(), 1u);
    EXPECT_EQ(offers[0].offer().services_size(), 2);
  }
  EXPECT_EQ(refusals("web"), Refusals{});
}

TEST_F(OfferTest, EachIntermediateRefusesForItself) {
  refuse(0, {{"web", "default deny"}});
  EXPECT_EQ(refusals("web"), (Refusals{{"one.example:4433", "default deny"}}));
  EXPECT_EQ(refusals("mail"), Refusals{});
  refuse(1, {{"web", "other"}, {"mail", "other"}});
  EXPECT_EQ(refusals("web"),
            (Refusals{{"one.example:4433", "default deny"}, {"two.example:4433", "other"}}));
  refuse(0, {});
  EXPECT_EQ(refusals("web"), (Refusals{{"two.example:4433", "other"}}));
}

TEST_F(OfferTest, OnlyNewsIsSaid) {
  refuse(0, {{"web", "default deny"}});
  EXPECT_EQ(notices(), 1u);
  refuse(0, {{"web", "default deny"}});
  EXPECT_EQ(notices(), 0u);
  refuse(0, {{"web", "another reason"}});
  EXPECT_EQ(notices(), 1u);
  refuse(0, {});
  EXPECT_EQ(notices(), 1u);
  refuse(0, {});
  EXPECT_EQ(notices(), 0u);
}

TEST_F(OfferTest, WhatIsRefusedGoesWithTheUplink) {
  refuse(0, {{"web", "default deny"}});
  refuse(1, {{"web", "default deny"}});
  internet.cut = {0};
  run(60s);
  EXPECT_EQ(refusals("web"), (Refusals{{"two.example:4433", "default deny"}}));
}

TEST_F(OfferTest, StrangeWordsChangeNothing) {
  refuse(0, {{"unknown", "x"}, {"", ""}, {std::string(5000, 'n'), std::string(5000, 'r')}});
  EXPECT_EQ(engine->services().size(), 2u);
  EXPECT_EQ(refusals("web"), Refusals{});
  refuse(0, {{"web", std::string(5000, 'r')}});
  EXPECT_EQ(refusals("web").begin()->second.size(), 200u);
}

}  // namespace
}  // namespace ztna::connector
