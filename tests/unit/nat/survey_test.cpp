#include "nat/survey.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <map>
#include <set>

#include "kinds.hpp"
#include "wire/stun_server.hpp"

namespace ztna::nat {
namespace {

using namespace std::chrono_literals;
using base::Address;
using testing::ElementsAre;
using testing::IsEmpty;
using wire::stun::StunServer;

class SeededRandom : public base::Random {
 public:
  void fill(base::MutableBytes out) override {
    for (auto& octet : out) octet = static_cast<std::uint8_t>((state_ = state_ * 69069 + 1) >> 24);
  }

 private:
  std::uint32_t state_ = 7;
};

// One host behind one NAT, and servers; nothing takes time but silence. Written from RFC 4787.
class Net {
 public:
  using Kind = Dependence;
  Kind mapping = Kind::endpoint_independent, filtering = Kind::endpoint_independent;
  bool nat = true, preserving = false, hairpin = false;
  std::size_t mtu = 1500;
  base::Duration lifetime = 30s;
  // Loses what it says true to: (the server's address, outward).
  std::function<bool(const Address&, bool)> loses = [](const Address&, bool) { return false; };
  std::vector<Address> sent_to;

  void serve(const std::vector<Address>& addresses) {
    servers_.push_back({addresses, StunServer(addresses)});
  }

  SurveyReport run(Survey::Config config) {
    Survey survey(std::move(config), random_, now_);
    for (int turn = 0; turn < 10000 && !survey.done(); ++turn) {
      while (const auto sent = survey.transmit()) outward(survey, *sent);
      if (survey.done()) break;
      if (survey.next_deadline() > now_) now_ = survey.next_deadline();
      survey.expire(now_);
    }
    EXPECT_TRUE(survey.done());
    EXPECT_EQ(survey.next_deadline(), base::never);
    return survey.report();
  }
  [[nodiscard]] base::Duration taken() const { return now_ - base::Time{}; }

 private:
  struct Server {
    std::vector<Address> addresses;
    StunServer stun;
  };
  struct Mapping {
    base::SocketId socket = 0;
    std::uint16_t port = 0;
    std::set<Address> sent;
    base::Time last{};
  };

  static Address local(base::SocketId socket) {
    return at("192.168.1.7:5000").with_port(static_cast<std::uint16_t>(5000 + socket));
  }
  static Address key(Kind kind, const Address& remote) {
    if (kind == Kind::endpoint_independent) return {};
    return kind == Kind::address_dependent ? remote.with_port(0) : remote;
  }
  [[nodiscard]] Address outside(const Mapping& m) const {
    return nat ? at("203.0.113.5:1").with_port(m.port) : local(m.socket);
  }

  Mapping& map(base::SocketId socket, const Address& to) {
    const auto id = std::pair(socket, key(mapping, to));
    auto found = mappings_.find(id);
    if (found != mappings_.end() && now_ - found->second.last >= lifetime) {
      mappings_.erase(found);
      found = mappings_.end();
    }
    if (found == mappings_.end()) {
      const bool keep = preserving && mapping == Kind::endpoint_independent;
      const auto port = keep ? local(socket).port() : next_port_++;
      found = mappings_.emplace(id, Mapping{socket, port, {}, now_}).first;
    }
    found->second.sent.insert(key(filtering, to));
    found->second.last = now_;
    return found->second;
  }

  void outward(Survey& survey, const Survey::Transmit& sent) {
    sent_to.push_back(sent.to);
    if (sent.payload.size() + 28 > mtu) return;
    const Address from = outside(map(sent.socket, sent.to));
    if (nat && sent.to.with_port(0) == from.with_port(0)) {
      if (hairpin) inward(survey, from, sent.to, sent.payload);
      return;
    }
    if (loses(sent.to, true)) return;
    for (const Server& server : servers_) {
      if (std::ranges::find(server.addresses, sent.to) == server.addresses.end()) continue;
      std::array<std::uint8_t, 2048> out{};
      const auto answer = server.stun.answer(sent.payload, from, sent.to, out);
      if (!answer || loses(answer->from, false) || answer->message.size() + 28 > mtu) return;
      return inward(survey, answer->from, answer->to, answer->message);
    }
  }

  void inward(Survey& survey, const Address& from, const Address& to, base::BytesView payload) {
    for (auto& [id, m] : mappings_) {
      if (outside(m) != to || now_ - m.last >= lifetime || !m.sent.contains(key(filtering, from))) {
        continue;
      }
      const base::Bytes copy(payload.begin(), payload.end());
      survey.receive({m.socket, from, local(m.socket), 0, copy}, now_);
      return;
    }
  }

  std::vector<Server> servers_;
  SeededRandom random_;
  base::Time now_{};
  std::map<std::pair<base::SocketId, Address>, Mapping> mappings_;
  std::uint16_t next_port_ = 20000;
};

struct NatCase {
  Dependence mapping, filtering;
};
class EveryKind : public testing::TestWithParam<NatCase> {};
constexpr std::array kinds = {Dependence::endpoint_independent, Dependence::address_dependent,
                              Dependence::address_and_port_dependent};
std::vector<NatCase> all_kinds() {
  std::vector<NatCase> all;
  for (const Dependence mapping : kinds) {
    for (const Dependence filtering : kinds) all.push_back({mapping, filtering});
  }
  return all;
}

TEST_P(EveryKind, IsToldByAServerWithTwoAddressesAndPorts) {
  Net net;
  net.mapping = GetParam().mapping;
  net.filtering = GetParam().filtering;
  net.serve({a1, a2, b1, b2});
  const SurveyReport report = net.run({{a1}});
  const Behaviour behaviour = classify(report.seen);
  EXPECT_EQ(behaviour.mapping, GetParam().mapping);
  EXPECT_EQ(behaviour.filtering, GetParam().filtering);
  EXPECT_THAT(behaviour.open_questions, IsEmpty());
  EXPECT_EQ(report.asked.size(), 4);
}

TEST_P(EveryKind, IsToldWithoutNatFromItsFirewallAlone) {
  Net net;
  net.nat = false;
  net.filtering = GetParam().filtering;
  net.serve({a1, a2, b1, b2});
  const SurveyReport report = net.run({{a1}});
  EXPECT_EQ(classify(report.seen).mapping, Dependence::none);
  EXPECT_EQ(classify(report.seen).filtering, GetParam().filtering);
  EXPECT_EQ(report.seen.hairpin, std::nullopt);
}

// One address with two ports: all but what takes another address.
TEST_P(EveryKind, IsNeverToldWrongByOneAddress) {
  Net net;
  net.mapping = GetParam().mapping;
  net.filtering = GetParam().filtering;
  net.serve({a1, a2});
  const Behaviour behaviour = classify(net.run({{a1}}).seen);
  const auto expected = [](Dependence real) {
    return real == Dependence::address_and_port_dependent
               ? real
               : Dependence::independent_or_address_dependent;
  };
  EXPECT_EQ(behaviour.mapping, expected(GetParam().mapping));
  EXPECT_EQ(behaviour.filtering, expected(GetParam().filtering));
}

INSTANTIATE_TEST_SUITE_P(All, EveryKind, testing::ValuesIn(all_kinds()));

TEST(Survey, ASecondIntermediateTellsAddressFromPortDependentMappings) {
  Net net;
  net.mapping = Dependence::address_dependent;
  net.serve({a1, a2});
  net.serve({b1});
  EXPECT_EQ(classify(net.run({{a1, b1}}).seen).mapping, Dependence::address_dependent);
}

TEST(Survey, ABareServerTellsThePublicAddressAndNoMore) {
  Net net;
  net.serve({a1});
  const SurveyReport report = net.run({{a1}});
  EXPECT_EQ(report.primary, a1);
  EXPECT_EQ(classify(report.seen).mapping, Dependence::unknown);
  EXPECT_EQ(classify(report.seen).filtering, Dependence::unknown);
  ASSERT_EQ(report.asked.size(), 1);
  EXPECT_EQ(report.asked[0].mapped, at("203.0.113.5:20000"));
}

TEST(Survey, NoAnswerIsNoUdpAndTakesThreeSecondsAServer) {
  Net net;
  const SurveyReport report = net.run({{a1, b1}});
  EXPECT_FALSE(report.udp());
  EXPECT_EQ(report.asked.size(), 2);
  EXPECT_EQ(net.taken(), 6s);
  EXPECT_EQ(net.sent_to.size(), 8);
}

TEST(Survey, TheSecondServerIsFoundWhenTheFirstIsSilent) {
  Net net;
  net.serve({b1, b2, a1, a2});
  net.loses = [](const Address& server, bool) { return server == a1; };
  const SurveyReport report = net.run({{a1, b1}});
  EXPECT_EQ(report.primary, b1);
  EXPECT_EQ(classify(report.seen).mapping, Dependence::endpoint_independent);
}

TEST(Survey, SilenceFromAnAddressThatIsOutOfReachSaysNothingAboutFilters) {
  Net net;
  net.serve({a1, a2, b1, b2});
  net.loses = [](const Address& server, bool) { return server != a1; };
  const SurveyReport report = net.run({{a1}});
  EXPECT_THAT(report.seen.filters, IsEmpty());
  EXPECT_EQ(classify(report.seen).filtering, Dependence::unknown);
}

TEST(Survey, LostPacketsAreSentAgain) {
  Net net;
  net.filtering = Dependence::address_dependent;
  net.serve({a1, a2, b1, b2});
  unsigned count = 0;
  net.loses = [&](const Address&, bool) { return ++count % 3 == 0; };
  const Behaviour behaviour = classify(net.run({{a1}}).seen);
  EXPECT_EQ(behaviour.mapping, Dependence::endpoint_independent);
  EXPECT_EQ(behaviour.filtering, Dependence::address_dependent);
}

// Some gateways let in whom any socket of the host has sent to.
TEST(Survey, NothingElseIsAskedBeforeTheFilterTestsAreOver) {
  Net net;
  net.filtering = Dependence::address_and_port_dependent;
  net.serve({a1, a2, b1, b2});
  static_cast<void>(net.run({{a1, b1, a2}}));
  const auto other = std::ranges::find_if(net.sent_to, [](const Address& to) { return to != a1; });
  // The first request, the filter's own, and four of each of two silent tests.
  EXPECT_EQ(other - net.sent_to.begin(), 10);
}

TEST(Survey, HairpinningIsTriedOnlyWhereItCanBeTold) {
  Net net;
  net.serve({a1, a2, b1, b2});
  EXPECT_EQ(net.run({{a1}}).seen.hairpin, false);
  Net hairpinning;
  hairpinning.hairpin = true;
  hairpinning.filtering = Dependence::address_and_port_dependent;
  hairpinning.serve({a1, a2, b1, b2});
  EXPECT_EQ(hairpinning.run({{a1}}).seen.hairpin, true);
  Net symmetric;
  symmetric.mapping = symmetric.filtering = Dependence::address_and_port_dependent;
  symmetric.serve({a1, a2, b1, b2});
  EXPECT_EQ(symmetric.run({{a1}}).seen.hairpin, std::nullopt);
}

TEST(Survey, FindsTheLargestPacketThatComesBackWhole) {
  Net net;
  net.serve({a1, a2});
  const SurveyReport whole = net.run({{a1}});
  EXPECT_EQ(whole.mtu, 1500);
  EXPECT_EQ(whole.too_large, std::nullopt);
  Net tunnel;
  tunnel.mtu = 1420;
  tunnel.serve({a1, a2, b1, b2});
  const SurveyReport narrow = tunnel.run({{a1}});
  EXPECT_EQ(narrow.mtu, 1420);
  EXPECT_EQ(narrow.too_large, 1440);
  tunnel.mtu = 1419;
  EXPECT_EQ(tunnel.run({{a1}}).mtu, 1400);
}

TEST(Survey, BracketsTheLifetimeOfAMapping) {
  for (const Dependence kind : kinds) {
    Net net;
    net.mapping = net.filtering = kind;
    net.serve({a1, a2, b1, b2});
    const SurveyReport report = net.run({{a1}, 60s});
    ASSERT_TRUE(report.lifetime.has_value());
    EXPECT_EQ(report.lifetime->at_least, 29s);
    EXPECT_EQ(report.lifetime->less_than, 35s);
    EXPECT_LT(net.taken(), 50s);  // no waiting for what cannot be
  }
  Net patient;
  patient.lifetime = 600s;
  patient.serve({a1});
  const SurveyReport report = patient.run({{a1}, 60s});
  ASSERT_TRUE(report.lifetime.has_value());
  EXPECT_EQ(report.lifetime->at_least, 60s);
  EXPECT_EQ(report.lifetime->less_than, 0s);
}

TEST(Survey, AServerCannotSendItAnywhereOrEverywhere) {
  SeededRandom random;
  Survey survey({{a1}}, random, base::Time{});
  const auto answer = [&](const Survey::Transmit& sent, const Address& other) {
    const auto request = wire::stun::Message::parse(sent.payload);
    std::array<std::uint8_t, 256> out{};
    wire::stun::Writer writer(out, wire::stun::Class::success, wire::stun::binding,
                              request->transaction());
    writer.add_address(wire::stun::Attribute::xor_mapped_address, at("203.0.113.5:9"));
    writer.add_address(wire::stun::Attribute::other_address, other);
    survey.receive({sent.socket, sent.to, at("192.168.1.7:9"), 0, writer.message()}, base::Time{});
  };
  base::Time now{};
  std::set<Address> asked;
  std::uint8_t next = 1;
  for (int turn = 0; turn < 200 && !survey.done(); ++turn) {
    while (const auto sent = survey.transmit()) {
      asked.insert(sent->to);
      answer(*sent, next == 1 ? at("0.0.0.0:99") : Address::v4({198, 51, 100, next}, 99));
      ++next;
    }
    now = survey.next_deadline();
    if (now != base::never) survey.expire(now);
  }
  EXPECT_TRUE(survey.done());
  EXPECT_FALSE(asked.contains(at("0.0.0.0:99")));
  EXPECT_LE(asked.size(), 16 + 1);  // the other socket's mapped address
}

TEST(Survey, WhatAnswersNoRequestIsIgnored) {
  SeededRandom random;
  Survey survey({{a1}}, random, base::Time{});
  const auto sent = survey.transmit();
  ASSERT_TRUE(sent.has_value());
  const StunServer server({a1, b1});
  std::array<std::uint8_t, 256> out{};
  const auto answer = server.answer(sent->payload, at("203.0.113.5:9"), a1, out);
  const Address local = at("192.168.1.7:9");
  survey.receive({0, b1, local, 0, answer->message}, base::Time{});  // not who was asked
  survey.receive({1, a1, local, 0, answer->message}, base::Time{});  // not at who asked
  survey.receive({0, a1, local, 0, sent->payload}, base::Time{});    // a request
  survey.receive({0, a1, local, 0, base::as_bytes("nonsense")}, base::Time{});
  EXPECT_FALSE(survey.report().udp());
  survey.receive({0, a1, local, 0, answer->message}, base::Time{});
  EXPECT_TRUE(survey.report().udp());
}

}  // namespace
}  // namespace ztna::nat
