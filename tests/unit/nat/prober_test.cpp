#include "nat/prober.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "nat/timeouts.hpp"
#include "sim/seeded_random.hpp"

namespace ztna::nat {
namespace {

using namespace std::chrono_literals;

// Two Probers with a network between them that has no NAT, and a relay.
class ProberTest : public testing::Test {
 protected:
  static Prober::Config config(bool controlling, base::Random& random) {
    Prober::Config config;
    config.controlling = controlling;
    sim::SeededRandom keys{3};
    config.session = base::SessionId::make(keys);
    config.our_key = secret(controlling ? 1 : 2);
    config.their_key = secret(controlling ? 2 : 1);
    config.tag = controlling ? 100 : 200;
    config.random = &random;
    config.socket_v4 = 0;
    return config;
  }
  static base::Secret<32> secret(std::uint8_t octet) {
    base::Secret<32> key;
    std::ranges::fill(key.expose(), octet);
    return key;
  }

  void SetUp() override {
    agent.set_relay(true, now);
    connector.set_relay(true, now);
    agent.set_remote({{CandidateKind::host, connector_address}}, now);
    connector.set_remote({{CandidateKind::host, agent_address}}, now);
  }

  // What one has to say reaches the other at once; `direct`: may it pass directly?
  void exchange() {
    for (bool more = true; more;) {
      more = pass(agent, connector, agent_address, connector_address);
      more = pass(connector, agent, connector_address, agent_address) || more;
    }
  }
  bool pass(Prober& from, Prober& to, const base::Address& source, const base::Address& target) {
    Probe probe;
    bool any = false;
    while (from.next(probe)) {
      any = true;
      sent.push_back(probe);
      const auto message = wire::stun::Message::parse(probe.packet);
      if (!message) {
        ADD_FAILURE() << "not STUN";
        continue;
      }
      if (probe.relay) {
        EXPECT_TRUE(to.receive_relayed(*message, now));
      } else if (direct_works && probe.ttl == 0 && probe.to == target) {
        EXPECT_TRUE(to.receive({0, source, target, 0, probe.packet}, *message, now));
      }
    }
    return any;
  }
  void round() { ASSERT_TRUE(round_if_due()); }
  bool round_if_due() {
    if (!agent.take_round_request(now)) return false;
    std::ignore = agent.start_round(now);
    if (connector.start_round(now) && confirmed) agent.confirm_round(agent.rounds(), now);
    return true;
  }
  // The Agent checks from this address, and answers the Connector's check there. False: none came.
  bool prove_to_connector(const base::Address& from, std::uint32_t sequence) {
    const auto deliver = [&](base::BytesView packet) {
      return connector.receive({0, from, connector_address, 0, packet},
                               *wire::stun::Message::parse(packet), now);
    };
    base::Bytes buffer(max_check);
    const bool heard =
        deliver(write_request(buffer, make_transaction(100, random), config(true, random).session,
                              {sequence, true, false}, 0, secret(1).expose()));
    bool proven = false;
    Probe probe;
    while (heard && connector.next(probe)) {
      const auto check = read_check(*wire::stun::Message::parse(probe.packet), secret(2).expose());
      if (!check || !check->request || probe.to != from) continue;
      proven = deliver(write_answer(buffer, check->transaction, {sequence + 1, true, false},
                                    connector_address, secret(1).expose()));
    }
    return proven;
  }
  void advance(base::Duration time) {
    for (const base::Time end = now + time; now < end;) {
      now = std::min(end, std::min(agent.next_deadline(), connector.next_deadline()));
      agent.expire(now);
      connector.expire(now);
      exchange();
    }
  }

  base::Time now{base::Duration(1000s)};
  sim::SeededRandom random{5};
  const base::Address agent_address = *base::Address::parse("192.0.2.1:40000");
  const base::Address connector_address = *base::Address::parse("198.51.100.1:4434");
  Prober agent{config(true, random)}, connector{config(false, random)};
  bool direct_works = true, confirmed = true;
  std::vector<Probe> sent;
};

TEST_F(ProberTest, ARoundProvesAPathAtBothEnds) {
  EXPECT_EQ(agent.better(now), 0u);
  round();
  advance(300ms);
  const PairId pair = agent.better(now);
  ASSERT_NE(pair, 0u);
  EXPECT_EQ(agent.pair(pair)->remote, connector_address);
  EXPECT_EQ(agent.trusted(0, connector_address, now), pair);
  EXPECT_NE(connector.trusted(0, agent_address, now), 0u);
}

// RFC 8445 leaves it open; here an opener must never reach a far peer's NAT before its own mapping
// is there, so the first ones to leave die on the way.
TEST_F(ProberTest, OpenersLeaveBeforeChecks) {
  round();
  advance(300ms);
  std::size_t first_check = sent.size(), last_opener = 0;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    if (sent[i].relay) continue;
    if (sent[i].ttl != 0) last_opener = i;
    if (sent[i].ttl == 0) first_check = std::min(first_check, i);
  }
  EXPECT_GT(last_opener, 0u);
  EXPECT_LT(last_opener, first_check);
}

// Who shares a public address, or a prefix of one, has two NATs in between all the same; who shares
// a LAN has none.
TEST_F(ProberTest, OpenersLeaveToNeighboursInOneCarrierButNotInOneLan) {
  const auto openers_with_own = [&](const Candidate& own) {
    Prober prober(config(true, random));
    prober.set_relay(true, now);
    prober.set_own({own}, now);
    prober.set_remote({{CandidateKind::reflexive, connector_address}}, now);
    std::ignore = prober.start_round(now);
    std::size_t openers = 0;
    for (const base::Time end = now + 100ms; now < end; now += 5ms) prober.expire(now);
    Probe probe;
    while (prober.next(probe)) openers += probe.ttl != 0 ? 1U : 0U;
    return openers;
  };
  const base::Address neighbour = connector_address.with_port(9);
  EXPECT_EQ(openers_with_own({CandidateKind::reflexive, neighbour}), 4u);
  EXPECT_EQ(openers_with_own({CandidateKind::host, neighbour}), 0u);
}

// Where the ends are near each other, a TTL that the one side needs to get out reaches the NAT of
// the other: by then the smaller ones have made the mapping there.
TEST_F(ProberTest, OpenersClimbOneTtlAfterTheOther) {
  direct_works = false;
  round();
  std::vector<std::uint8_t> climbed;
  for (int step = 0; step < 100; ++step) {
    const std::size_t before = sent.size();
    advance(1ms);
    std::set<std::uint8_t> together;
    for (std::size_t i = before; i < sent.size(); ++i) {
      if (!sent[i].relay && sent[i].ttl != 0) together.insert(sent[i].ttl);
    }
    ASSERT_LE(together.size(), 1u);
    if (!together.empty()) climbed.push_back(*together.begin());
  }
  EXPECT_EQ(climbed.front(), 2);
  EXPECT_TRUE(std::ranges::is_sorted(climbed));
}

TEST_F(ProberTest, NothingIsTrustedThatDidNotAnswer) {
  direct_works = false;
  round();
  advance(3s);
  EXPECT_EQ(agent.better(now), 0u);
  EXPECT_EQ(agent.trusted(0, connector_address, now), 0u);
  EXPECT_EQ(connector.trusted(0, agent_address, now), 0u);
}

// An authentic request, captured and sent again from elsewhere, makes no address trusted.
TEST_F(ProberTest, AReplayedRequestProvesNothing) {
  round();
  advance(300ms);
  const base::Address thief = *base::Address::parse("203.0.113.66:666");
  const std::vector<Probe> seen = sent;
  for (const Probe& probe : seen) {
    if (probe.relay || probe.to != connector_address) continue;
    const auto message = wire::stun::Message::parse(probe.packet);
    std::ignore = connector.receive({0, thief, connector_address, 0, probe.packet}, *message, now);
    EXPECT_EQ(connector.trusted(0, thief, now), 0u);
  }
  // Also not when the thief lets the honest Agent answer what was sent to the thief: the answer
  // comes from the Agent's address.
  advance(1s);
  EXPECT_EQ(connector.trusted(0, thief, now), 0u);
}

// A NAT gave the peer another address, or somebody replays a captured packet: asking tells which.
TEST_F(ProberTest, WhereAPacketCameFromUnexpectedlyIsAskedAndNotTrusted) {
  const base::Address elsewhere = *base::Address::parse("192.0.2.77:5555");
  connector.note_stranger({0, elsewhere, connector_address, 0, {}}, now);
  EXPECT_EQ(connector.trusted(0, elsewhere, now), 0u);
  Probe probe;
  ASSERT_TRUE(connector.next(probe));
  EXPECT_EQ(probe.to, elsewhere);
  EXPECT_EQ(probe.from, connector_address);
  const auto check = read_check(*wire::stun::Message::parse(probe.packet), secret(2).expose());
  ASSERT_TRUE(check && check->request);
  EXPECT_FALSE(connector.next(probe)) << "one packet causes one";
  base::Bytes buffer(max_check);
  const auto answer = write_answer(buffer, check->transaction, {1, true, false}, connector_address,
                                   secret(1).expose());
  EXPECT_TRUE(connector.receive({0, elsewhere, connector_address, 0, answer},
                                *wire::stun::Message::parse(answer), now));
  EXPECT_NE(connector.trusted(0, elsewhere, now), 0u);
}

TEST_F(ProberTest, StrangersCauseFewChecksAndTakeNoRoomFromHonestOnes) {
  const auto asked = [&](int from, int until) {
    std::set<base::Address> addresses;
    for (int i = from; i < until; ++i) {
      for (const char* host : {"192.0.2.77:", "127.0.0.1:"}) {
        const base::Address stranger = *base::Address::parse(host + std::to_string(5000 + i));
        connector.note_stranger({0, stranger, connector_address, 0, {}}, now);
      }
    }
    Probe probe;
    std::size_t packets = 0;
    for (; connector.next(probe); ++packets) addresses.insert(probe.to);
    EXPECT_EQ(addresses.size(), packets);
    return packets;
  };
  EXPECT_EQ(asked(0, 100), 2u);
  EXPECT_TRUE(prove_to_connector(*base::Address::parse("203.0.113.5:4000"), 7));
  ASSERT_TRUE(connector.start_round(now));
  EXPECT_EQ(asked(100, 200), 2u);
}

TEST_F(ProberTest, TrustEndsWithSilence) {
  round();
  advance(300ms);
  ASSERT_NE(connector.trusted(0, agent_address, now), 0u);
  EXPECT_EQ(connector.trusted(0, agent_address, now + timeouts::trust + 1s), 0u);
}

TEST_F(ProberTest, ADeadPathInUseIsDoubtedWithinTwoHeartbeats) {
  round();
  advance(300ms);
  const PairId pair = agent.better(now);
  ASSERT_NE(pair, 0u);
  agent.use(pair, now);
  agent.note_active(now);
  advance(200ms);
  EXPECT_FALSE(agent.doubtful());
  direct_works = false;
  const base::Time dead = now;
  while (!agent.doubtful() && now < dead + 5s) {
    agent.note_active(now);
    advance(10ms);
  }
  EXPECT_LE(now - dead, 2 * timeouts::heartbeat_active + timeouts::answer_slack + 20ms);
  // And it is left alone for a while, even when it answers again.
  direct_works = true;
  agent.use(0, now);
  EXPECT_EQ(agent.better(now), 0u);
}

// The Connector cannot move the session; it says so over the relay.
TEST_F(ProberTest, TheConnectorsDoubtReachesTheAgent) {
  round();
  advance(300ms);
  const PairId pair = agent.better(now);
  ASSERT_NE(pair, 0u);
  agent.use(pair, now);
  connector.use(connector.trusted(0, agent_address, now), now);
  connector.suspect(now);
  exchange();
  EXPECT_TRUE(agent.doubtful());
}

TEST_F(ProberTest, RoundsThatFindNothingComeAgainAfter5And15And35Seconds) {
  direct_works = false;
  std::vector<base::Time> rounds;
  const base::Time start = now;
  while (now < start + 180s) {
    if (agent.take_round_request(now)) rounds.push_back(now);
    advance(100ms);
  }
  ASSERT_GE(rounds.size(), 5u);
  EXPECT_NEAR(base::to_ms(rounds[1] - rounds[0]), 5000, 200);
  EXPECT_NEAR(base::to_ms(rounds[2] - rounds[1]), 15000, 200);
  EXPECT_NEAR(base::to_ms(rounds[3] - rounds[2]), 35000, 200);
  EXPECT_NEAR(base::to_ms(rounds[4] - rounds[3]), 60000, 200);
}

// A hostile Agent that asks for rounds without end makes the Connector send no more than two a
// second.
TEST_F(ProberTest, RoundsThatThePeerAsksForAreLimited) {
  for (const base::Time start = now; now < start + 10s; now += 10ms) connector.start_round(now);
  EXPECT_LE(connector.rounds(), 21u);
  EXPECT_GE(connector.rounds(), 10u);
}

// Between two NATs that give every new remote endpoint a new mapping and let everything in, each
// answer comes from yet another address: that ends within a round, and the next one may learn
// again.
TEST_F(ProberTest, ARoundLearnsAFewAddressesOnly) {
  sim::SeededRandom others{9};
  std::uint16_t port = 1;
  std::uint32_t sequence = 0;
  const auto hear_from_100 = [&] {
    std::size_t answers = 0;
    for (int i = 0; i < 100; ++i) {
      base::Bytes packet(max_check);
      const auto message =
          write_request(packet, make_transaction(1, others), config(true, random).session,
                        {++sequence, false, false}, 0, secret(1).expose());
      const base::Address from = agent_address.with_port(++port);
      EXPECT_TRUE(connector.receive({0, from, connector_address, 0, message},
                                    *wire::stun::Message::parse(message), now));
      Probe probe;
      while (connector.next(probe)) ++answers;
    }
    return answers;
  };
  connector.start_round(now);
  const std::size_t first = hear_from_100();
  EXPECT_GE(first, 4u) << "one peer may have some addresses";
  EXPECT_LE(first, 20u);
  EXPECT_EQ(hear_from_100(), 0u);
  now += 5s;
  connector.start_round(now);
  EXPECT_GE(hear_from_100(), 4u);
}

// An idle path is kept open by whatever passes on it.
TEST_F(ProberTest, PacketsOfTheSessionAreAsGoodAsIdleHeartbeats) {
  round();
  advance(1s);
  const PairId used = agent.better(now);
  agent.use(used, now);
  const auto heartbeats_in_a_minute = [&](bool packets) {
    const std::uint64_t before = agent.counters().sent;
    for (const base::Time end = now + 60s; now < end;) {
      advance(1s);
      if (packets) agent.note_packet(used, now);
    }
    return agent.counters().sent - before;
  };
  EXPECT_GE(heartbeats_in_a_minute(false), 8u);
  EXPECT_LE(heartbeats_in_a_minute(true), 1u);
}

// A hostile peer that sends from thousands of addresses costs no more memory.
TEST_F(ProberTest, PairsAreBounded) {
  base::Bytes packet(max_check);
  sim::SeededRandom hostile{9};
  for (std::uint16_t port = 1; port < 3000; ++port) {
    const auto message =
        write_request(packet, make_transaction(1, hostile), config(true, random).session,
                      {port, false, false}, 0, secret(1).expose());
    const base::Address from = agent_address.with_port(port);
    std::ignore = connector.receive({0, from, connector_address, 0, message},
                                    *wire::stun::Message::parse(message), now);
    Probe probe;
    while (connector.next(probe)) {
    }
  }
  EXPECT_LE(connector.pairs().size(), 32u);
}

// An Agent whose NAT gives it a new address again and again: each one proves itself, and the old
// ones are forgotten, so that there is always room for the next.
TEST_F(ProberTest, ThereIsRoomForTheHundredthAddressOfAPeer) {
  for (std::uint16_t port = 1; port <= 100; ++port) {
    const base::Address from = agent_address.with_port(port);
    ASSERT_TRUE(prove_to_connector(from, 1000U * port)) << port;
    ASSERT_NE(connector.trusted(0, from, now), 0u) << port;
    connector.use(connector.trusted(0, from, now), now);
    now += 40s;  // and the last address falls silent
    connector.expire(now);
    std::ignore = connector.start_round(now);
  }
  EXPECT_LE(connector.pairs().size(), 32u);
}

// Strangers may have the addresses by now.
TEST_F(ProberTest, ARoundDoesNotAskWhereThePeerWasLongAgo) {
  direct_works = false;
  const base::Address old = agent_address.with_port(7);
  ASSERT_TRUE(prove_to_connector(old, 1));
  ASSERT_NE(connector.trusted(0, old, now), 0u);
  now += timeouts::trust + 1s;
  connector.expire(now);
  round();
  sent.clear();
  advance(3s);
  EXPECT_FALSE(std::ranges::any_of(sent, [&](const Probe& each) { return each.to == old; }));
  EXPECT_TRUE(
      std::ranges::any_of(sent, [&](const Probe& each) { return each.to == agent_address; }));
}

// A check of ours must not reach the peer's NAT before the peer's openers have left.
TEST_F(ProberTest, ChecksWaitForThePeersRound) {
  direct_works = confirmed = false;
  round();
  const auto checks = [&] {
    return std::ranges::count_if(
        sent, [&](const Probe& each) { return each.to == connector_address && each.ttl == 0; });
  };
  advance(700ms);
  EXPECT_EQ(checks(), 0);
  agent.confirm_round(agent.rounds() - 1, now);  // of another round
  advance(10ms);
  EXPECT_EQ(checks(), 0);
  agent.confirm_round(agent.rounds(), now);
  advance(10ms);
  EXPECT_EQ(checks(), 1);
  // A peer that says nothing is asked in the end.
  now += 60s;
  agent.expire(now);
  round();
  sent.clear();
  advance(timeouts::confirm_patience + 200ms);
  EXPECT_GE(checks(), 1);
}

TEST_F(ProberTest, ARoundOfManyAddressesCostsNoMoreThanTwoHundredPackets) {
  direct_works = false;
  std::vector<Candidate> many;
  for (std::uint16_t port = 1; port <= max_candidates; ++port) {
    many.push_back({CandidateKind::host, connector_address.with_port(port)});
  }
  agent.set_remote(many, now);
  for (Candidate& each : many) each.address = agent_address.with_port(each.address.port());
  connector.set_remote(many, now);
  round();
  sent.clear();
  advance(4s);
  const auto direct = std::ranges::count_if(sent, [](const Probe& each) { return !each.relay; });
  EXPECT_LE(direct, 200);
  // Each address got some all the same, spread over the time of the burst.
  for (const Candidate& each : many) {
    EXPECT_GE(
        std::ranges::count_if(
            sent, [&](const Probe& probe) { return probe.to == each.address && probe.ttl == 0; }),
        2)
        << each.address.to_string();
  }
}

// One check in five is lost on the direct path, none on the relay.
TEST_F(ProberTest, ADirectPathThatLosesFarMoreThanTheRelayIsOutdone) {
  round();
  advance(300ms);
  const PairId pair = agent.better(now);
  ASSERT_NE(pair, 0u);
  agent.use(pair, now);
  std::size_t lost = 0;
  for (int i = 0; i < 200 && !agent.outdone(); ++i) {
    direct_works = i % 5 != 0;
    lost += direct_works ? 0 : 1;
    for (int part = 0; part < 3; ++part) {
      agent.note_active(now);
      agent.note_packet(pair, now);  // those of the session: four in five come
      advance(timeouts::heartbeat_active / 3);
    }
    EXPECT_FALSE(agent.doubtful()) << i;
  }
  EXPECT_TRUE(agent.outdone()) << lost << " lost";
  agent.rest(pair, now, timeouts::hold_lossy);
  agent.use(0, now);
  EXPECT_EQ(agent.obstacle(now), Obstacle::resting);
  direct_works = true;
  round();
  advance(500ms);
  EXPECT_EQ(agent.better(now), 0u) << "it rests";
}

TEST_F(ProberTest, APathThatHasRestedIsAskedAtOnce) {
  round();
  advance(300ms);
  const PairId pair = agent.better(now);
  ASSERT_NE(pair, 0u);
  agent.use(pair, now);
  agent.rest(pair, now, timeouts::hold_lossy);
  agent.use(0, now);
  const base::Time rested = now + timeouts::hold_lossy;
  while (agent.better(now) == 0 && now < rested + 60s) {
    round_if_due();
    advance(100ms);
  }
  EXPECT_GE(now, rested);
  EXPECT_LT(now, rested + 1s);
  EXPECT_LE(agent.rounds(), 6u) << "the first, those of a retry, and the one for it";
}

// A round has proven it, and the move came to nothing.
TEST_F(ProberTest, ARestThatBeginsOnTheRelayGetsItsRoundToo) {
  for (int i = 0; i < 2; ++i) {  // the next one that finds nothing would come after 35 s
    round_if_due();
    advance(i == 0 ? 5s : 15s);
  }
  round();
  advance(300ms);
  const PairId pair = agent.better(now);
  ASSERT_NE(pair, 0u);
  agent.rest(pair, now, 4s);
  const base::Time rested = now + 4s;
  while (agent.better(now) == 0 && now < rested + 60s) {
    round_if_due();
    advance(100ms);
  }
  EXPECT_GE(now, rested);
  EXPECT_LT(now, rested + 1s);
}

TEST_F(ProberTest, TheEndOfAShortRestIsADeadline) {
  round();
  advance(300ms);
  const PairId pair = agent.better(now);
  ASSERT_NE(pair, 0u);
  agent.rest(pair, now);
  EXPECT_LE(agent.next_deadline(), now + timeouts::hold_first);
}

TEST_F(ProberTest, TheObstacleIsNamed) {
  Prober alone(config(true, random));
  alone.set_relay(true, now);
  EXPECT_EQ(alone.obstacle(now), Obstacle::no_candidates);
  EXPECT_EQ(agent.obstacle(now), Obstacle::no_answer);
  round();
  advance(300ms);
  EXPECT_EQ(agent.obstacle(now), Obstacle::none);
}

}  // namespace
}  // namespace ztna::nat
