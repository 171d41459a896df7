// Client and server in memory on one core: what QUIC itself costs, both ends together, without
// sockets. Throughputs are goodput; argument 0 is the GnuTLS AEAD, 1 ipsec-mb.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "quic/aead.hpp"
#include "quic/connection.hpp"
#include "unit/identity/test_certificates.hpp"

namespace ztna::quic {
namespace {

using namespace std::chrono_literals;

base::Time clock_now() { return base::Time{std::chrono::steady_clock::now().time_since_epoch()}; }

class FastRandom : public base::Random {
 public:
  void fill(base::MutableBytes out) override {
    for (auto& octet : out) octet = static_cast<std::uint8_t>(engine_());
  }

 private:
  std::mt19937_64 engine_{1};
};

// Always has the same datagram to send.
class EndlessDatagrams : public DatagramSource {
 public:
  bool peek(Item& item) override {
    if (payload.empty()) return false;
    item = {base::BytesView(header), base::BytesView(payload), 0};
    return true;
  }
  void done(Fate) override {}
  base::Bytes header, payload;
};

class Sink : public Handler {
 public:
  void on_established(const identity::Principal&) override { established = true; }
  void on_stream_data(StreamId id, base::BytesView data, bool) override {
    received += data.size();
    connection->consume(id, data.size());
  }
  void on_datagram(base::BytesView payload) override { received += payload.size(); }
  Connection* connection = nullptr;
  bool established = false;
  std::uint64_t received = 0;
};

struct End {
  std::unique_ptr<Connection> connection;
  Sink handler;
  EndlessDatagrams datagrams;
};

identity::TestAuthority& authority() {
  static identity::TestAuthority made;
  return made;
}

Config make_config(base::Random& random, std::shared_ptr<const identity::Credentials> credentials,
                   identity::Role peer) {
  Config config;
  config.alpn = "ztna-session/1";
  config.credentials = std::move(credentials);
  config.expect = {.role = peer, .trust_domain = "example.org", .name = "", .web_pki_host = ""};
  config.random = &random;
  config.wall_now = identity::test_now;
  config.initial_rtt = 1ms;
  config.peer_streams = 16;
  return config;
}

struct Loop {
  Loop() {
    static const auto agent = authority().agent("alice");
    static const auto connector = authority().connector("home", {"web"});
    client_config = make_config(random, agent, identity::Role::connector);
    server_config = make_config(random, connector, identity::Role::agent);
  }

  bool establish() {
    auto made = Connection::connect(client_config, PathId{1}, client.handler, &client.datagrams,
                                    clock_now() + skipped);
    if (!made) return false;
    client.connection = std::move(*made);
    client.handler.connection = client.connection.get();
    for (int i = 0; i < 100 && !(client.handler.established && server.handler.established); ++i) {
      if (!turn()) wait();
    }
    return client.handler.established && server.handler.established;
  }

  // All that either end has to say now. False: nothing.
  bool turn() {
    const base::Time now = clock_now() + skipped;
    const bool from_client = pump(client, server, now, true);
    const bool from_server = pump(server, client, now, false);
    for (End* end : {&client, &server}) {
      if (end->connection && end->connection->next_deadline() <= now) end->connection->expire(now);
    }
    return from_client || from_server;
  }
  // Both wait: until one need not, at once.
  void wait() {
    base::Time next = base::never;
    for (End* end : {&client, &server}) {
      if (end->connection) next = std::min(next, end->connection->next_deadline());
    }
    const base::Time now = clock_now() + skipped;
    if (next != base::never && next > now) skipped += next - now;
  }

  bool pump(End& from, End& to, base::Time now, bool from_client) {
    for (int i = 0; from.connection && i < 4; ++i) {
      const Batch batch = from.connection->transmit(buffer, now);
      if (batch.size == 0) return i > 0;
      const base::BytesView packets = base::BytesView(buffer).first(batch.size);
      if (from_client && !server.connection) accept(packets.first(batch.segment), now);
      for (std::size_t at = 0; at < packets.size(); at += batch.segment) {
        const auto size = std::min(batch.segment, packets.size() - at);
        to.connection->receive(PathId{1}, batch.ecn, packets.subspan(at, size), now);
      }
    }
    return from.connection != nullptr;
  }

  void accept(base::BytesView packet, base::Time now) {
    Initial initial;
    initial.version = 1;
    initial.dcid = ConnectionId::from(packet.subspan(6, packet[5]));
    initial.scid = ConnectionId::from(packet.subspan(7 + packet[5], packet[6 + packet[5]]));
    auto made = Connection::accept(server_config, initial, PathId{1}, server.handler,
                                   &server.datagrams, now);
    server.connection = std::move(*made);
    server.handler.connection = server.connection.get();
  }

  FastRandom random;
  base::Duration skipped{};  // where there was nothing to do but wait
  Config client_config, server_config;
  End client, server;
  base::Bytes buffer = base::Bytes(64 * 1024);
};

bool choose(benchmark::State& state) {
  const auto chosen = select_aead(state.range(0) == 0 ? "gnutls" : "ipsec-mb");
  if (!chosen) state.SkipWithError(chosen.error().message().c_str());
  if (chosen) state.SetLabel(std::string(aead_backend()));
  return chosen.has_value();
}

void report(benchmark::State& state, std::uint64_t octets) {
  state.counters["Gbit/s"] =
      benchmark::Counter(static_cast<double>(octets) * 8e-9, benchmark::Counter::kIsRate);
}

void handshake(benchmark::State& state) {
  if (!choose(state)) return;
  for (auto _ : state) {
    Loop loop;
    if (!loop.establish()) state.SkipWithError("no handshake");
  }
}
BENCHMARK(handshake)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

void stream(benchmark::State& state) {
  if (!choose(state)) return;
  Loop loop;
  if (!loop.establish()) return state.SkipWithError("no handshake");
  const auto id = loop.client.connection->open_stream();
  if (!id) return state.SkipWithError("no stream");
  const base::Bytes data(256 * 1024, 7);
  const std::uint64_t before = loop.server.handler.received;
  for (auto _ : state) {
    const std::uint64_t target = loop.server.handler.received + (4 << 20);
    while (loop.server.handler.received < target) {
      (void)loop.client.connection->write(*id, data);
      loop.turn();
    }
  }
  report(state, loop.server.handler.received - before);
  state.counters["packets lost"] =
      static_cast<double>(loop.client.connection->stats().packets_lost);
}
BENCHMARK(stream)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->MinTime(2);

void datagrams(benchmark::State& state) {
  if (!choose(state)) return;
  Loop loop;
  if (!loop.establish()) return state.SkipWithError("no handshake");
  for (int i = 0; i < 100 && loop.skipped < 1s; ++i) {  // let the path's packet size be found
    if (!loop.turn()) loop.wait();
  }
  loop.client.datagrams.header = base::Bytes(4, 1);
  loop.client.datagrams.payload = base::Bytes(1200, 7);
  const std::uint64_t before = loop.server.handler.received;
  for (auto _ : state) {
    const std::uint64_t target = loop.server.handler.received + (4 << 20);
    while (loop.server.handler.received < target) loop.turn();
  }
  report(state, loop.server.handler.received - before);
}
BENCHMARK(datagrams)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->MinTime(2);

// What an established, idle connection keeps on the heap at each end.
void idle_memory(benchmark::State& state) {
  if (!choose(state)) return;
  constexpr int count = 500;
  double octets = 0;
  for (auto _ : state) {
    std::vector<std::unique_ptr<Loop>> loops;
    for (int i = 0; i < 10; ++i) {  // warm caches outside of connections
      Loop warm;
      if (!warm.establish()) return state.SkipWithError("no handshake");
    }
    const std::size_t before = mallinfo2().uordblks;
    for (int i = 0; i < count; ++i) {
      loops.push_back(std::make_unique<Loop>());
      if (!loops.back()->establish()) return state.SkipWithError("no handshake");
      for (int turn = 0; turn < 20; ++turn) loops.back()->turn();
      base::Bytes().swap(loops.back()->buffer);
    }
    octets = static_cast<double>(mallinfo2().uordblks - before) / (2 * count);
  }
  state.counters["KiB/connection"] = octets / 1024;
}
BENCHMARK(idle_memory)->Arg(0)->Arg(1)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace ztna::quic

BENCHMARK_MAIN();
