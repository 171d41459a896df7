// Flows on a network without faults: octets, directions, backpressure, refusals, round trips.
#include <gtest/gtest.h>

#include "sim/scene.hpp"

namespace ztna::sim {
namespace {

std::string why(const Client& client) {
  return client.over() ? std::string(to_string(*client.ended())) + ": " + client.text()
                       : "not over, " + std::to_string(client.received()) + " octets";
}

TEST(Flows, OctetsComeBackExactly) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  for (const std::uint64_t size : {0, 1, 1000, 3'000'000}) {
    Client& client = scene.open({.size = size});
    ASSERT_TRUE(scene.finish(client)) << size;
    EXPECT_TRUE(client.complete()) << why(client);
  }
  EXPECT_EQ(scene.world.violations(), none);
}

TEST(Flows, EachDirectionEndsByItself) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  for (const bool half_close : {true, false}) {
    Client& download = scene.open({.service = "source", .size = 200'000, .half_close = half_close});
    ASSERT_TRUE(scene.finish(download));
    EXPECT_TRUE(download.complete()) << why(download);
  }
  Client& upload = scene.open({.service = "sink", .size = 200'000});
  ASSERT_TRUE(scene.finish(upload));
  EXPECT_TRUE(upload.complete()) << why(upload);
  EXPECT_EQ(scene.world.violations(), none);
}

// DESIGN: "first byte on a cold Agent ≤ 4 relay round trips including both handshakes". A relay
// round trip is Agent → Intermediate → Connector and back.
TEST(Flows, ColdAgentHasItsFirstOctetWithinFourRelayRoundTrips) {
  struct Delays {
    Duration agent, connector;
  };
  for (const Delays delays : {Delays{20ms, 20ms}, {40ms, 2ms}, {2ms, 40ms}}) {
    Scene scene;
    scene.agents[0]->kill();
    scene.agents[0]->link.delay = delays.agent;
    scene.connectors[0]->link.delay = delays.connector;
    scene.world.idle(2s);
    scene.agents[0]->start();
    const Time start = scene.world.now();
    Client& client = scene.open({.size = 100});
    ASSERT_TRUE(scene.finish(client));
    ASSERT_TRUE(client.first_octet()) << why(client);
    const Duration round_trip = 2 * (delays.agent + delays.connector);
    EXPECT_LE(base::to_ms(*client.first_octet() - start), base::to_ms(4 * round_trip) + 1)
        << base::to_ms(delays.agent) << " ms and " << base::to_ms(delays.connector) << " ms";
  }
}

// The Connector itself answers: by policy, after one round trip, and without its backend.
TEST(Flows, APingIsAnsweredByTheConnector) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  ASSERT_TRUE(scene.finish(scene.open({.size = 10})));
  const auto requests = [&] { return scene.connector().engine().counters().flows_accepted; };
  const auto before = requests();
  const Time start = scene.world.now();
  for (const char* const service : {"echo", "udp-echo"}) {
    Client& ping = scene.open({.service = service, .protocol = Protocol::ping, .size = 0});
    ASSERT_TRUE(scene.finish(ping)) << service;
    EXPECT_TRUE(ping.accepted()) << why(ping);
    EXPECT_EQ(ping.ended(), FlowEnd::finished) << why(ping);
  }
  EXPECT_LE(base::to_ms(scene.world.now() - start), 2 * 45);
  EXPECT_EQ(requests(), before);
  Client& denied = scene.open({.service = "forbidden", .protocol = Protocol::ping, .size = 0});
  ASSERT_TRUE(scene.finish(denied));
  EXPECT_FALSE(denied.accepted());
  EXPECT_EQ(scene.world.violations(), none);
}

// A flow on a live session costs no round trip of its own.
TEST(Flows, WarmFlowHasItsFirstOctetAfterOneRelayRoundTrip) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  ASSERT_TRUE(scene.finish(scene.open({.size = 10})));
  scene.world.idle(1s);
  const Time start = scene.world.now();
  Client& client = scene.open({.size = 10});
  ASSERT_TRUE(scene.finish(client));
  ASSERT_TRUE(client.first_octet());
  EXPECT_LE(base::to_ms(*client.first_octet() - start), 41);
}

// A program that does not read stops the backend; nothing piles up in between.
TEST(Flows, SlowReaderHoldsTheSourceBack) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  Client& client =
      scene.open({.service = "source", .size = 20'000'000, .read_pause = 1s, .read_chunk = 1024});
  scene.world.idle(10s);
  // What the program has not consumed is bounded by the stream's window.
  EXPECT_LE(client.held(), std::size_t{8} << 20);
  const std::uint64_t sent = scene.connector().engine().counters().bytes_from_backend;
  EXPECT_LE(sent, client.received() + (std::uint64_t{2} << 20));
  scene.world.idle(5s);
  EXPECT_LE(scene.connector().engine().counters().bytes_from_backend, sent + 100'000);
  client.reset();
  scene.world.idle(1s);
  EXPECT_EQ(client.ended(), FlowEnd::reset);
  scene.check_nothing_left();
  EXPECT_EQ(scene.world.violations(), none);
}

TEST(Flows, ResetOfTheProgramReachesTheBackend) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open({.service = "source", .size = 5'000'000, .reset_after = 100'000});
  ASSERT_TRUE(scene.finish(client));
  EXPECT_EQ(client.ended(), FlowEnd::reset);
  scene.world.idle(500ms);
  scene.check_nothing_left();
  EXPECT_EQ(scene.world.violations(), none);
}

TEST(Flows, RefusalsNameTheirReason) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  const std::vector<std::pair<std::string, FlowEnd>> cases = {
      {"secret", FlowEnd::denied},            // offered, but not to this Agent
      {"missing", FlowEnd::unknown_service},  // allowed, but nobody has it
      {"refused", FlowEnd::backend_refused}};
  for (const auto& [service, end] : cases) {
    const Time start = scene.world.now();
    Client& client = scene.open({.service = service});
    ASSERT_TRUE(scene.finish(client)) << service;
    EXPECT_EQ(client.ended(), end) << service << " " << why(client);
    EXPECT_LE(scene.world.now() - start, 500ms) << "a refusal is not a time-out";
  }
  EXPECT_EQ(scene.world.violations(), none);
}

// The relay's halves: QUIC packets of 1200 octets inside QUIC packets of at most 1200.
TEST(Flows, PassOverOuterLinksOf1200Octets) {
  Scene scene;
  Link narrow;
  narrow.max_packet = 1200;
  scene.set_links(narrow);
  ASSERT_TRUE(scene.settle());
  Client& tcp = scene.open({.size = 300'000});
  Client& udp = scene.open(
      {.service = "udp-echo", .protocol = Protocol::udp, .payloads = {1, 1200, 1472, 9000}});
  ASSERT_TRUE(scene.finish(tcp));
  ASSERT_TRUE(scene.finish(udp));
  EXPECT_TRUE(tcp.complete()) << why(tcp);
  EXPECT_TRUE(udp.complete()) << why(udp);
  EXPECT_GT(scene.intermediate().broker().counters().relayed_packets, 300u);
  EXPECT_EQ(scene.world.violations(), none);
}

TEST(Flows, UdpPayloadsOfEverySizeComeBackAtOnce) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  // At most 32: what a flow keeps until its stream is open.
  FlowPlan plan{.service = "udp-echo", .protocol = Protocol::udp};
  for (std::size_t size = 1; size <= 9000; size += 320) plan.payloads.push_back(size);
  plan.payloads.insert(plan.payloads.end(), {1400, 1472, 9000});
  plan.udp_tries = 1;  // nothing is lost on this network: no payload may need a second try
  Client& client = scene.open(plan);
  ASSERT_TRUE(scene.finish(client, 5s)) << client.answered() << " of " << plan.payloads.size();
  EXPECT_TRUE(client.complete());
}

// A flow may be silent for as long as its programs like.
TEST(Flows, SilentFlowLives) {
  Scene scene;
  ASSERT_TRUE(scene.settle());
  Client& client = scene.open({.service = "source", .size = 3'000'000, .read_pause = 600s});
  scene.world.idle(300s);
  EXPECT_FALSE(client.over()) << why(client);
  EXPECT_GT(client.received(), 0u);
}

// A network that reorders loses nothing: the first payload waits for its flow.
TEST(Flows, TheFirstPayloadMayOvertakeTheOpeningOfItsFlow) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Scene scene({.seed = seed});
    ASSERT_TRUE(scene.settle());
    ASSERT_TRUE(scene.finish(scene.open({.size = 1})));
    scene.set_links({.jitter = 20ms});
    FlowPlan plan{.service = "udp-echo", .protocol = Protocol::udp, .payloads = {1472}};
    plan.udp_tries = 1;
    Client& udp = scene.open(plan);
    ASSERT_TRUE(scene.finish(udp));
    EXPECT_TRUE(udp.complete()) << why(udp);
  }
}

// The relay's queues must not take the growth of a window for congestion: on lines without loss a
// download over an Intermediate that is 40 ms away from both ends uses what its windows allow.
TEST(Flows, ADownloadOverAFarRelayIsNotSlowedByItsQueues) {
  Scene scene;
  scene.set_links({.delay = 10ms});
  ASSERT_TRUE(scene.settle());
  const Time began = scene.world.now();
  Client& client = scene.open({.service = "source", .size = 20'000'000});
  ASSERT_TRUE(scene.finish(client, 120s));
  EXPECT_TRUE(client.complete()) << client.text();
  const double seconds = base::to_ms(scene.world.now() - began) / 1000;
  EXPECT_LT(seconds, 1) << 160 / seconds << " Mbit/s";
}

}  // namespace
}  // namespace ztna::sim
