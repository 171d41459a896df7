// In steady state a packet costs no allocation. This program counts malloc itself, so ngtcp2's and
// GnuTLS's calls count as well as ours; sanitizers bring their own malloc and skip this.
#include <cstdlib>

#include "quic/aead.hpp"
#include "unit/quic/pair.hpp"

#if defined(ZTNA_SANITIZED) || !defined(__GLIBC__)
#define ZTNA_COUNT_MALLOC 0
#else
#define ZTNA_COUNT_MALLOC 1
#endif

#if ZTNA_COUNT_MALLOC
namespace {
std::uint64_t allocations = 0;
}
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* malloc(std::size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) {
  ++allocations;
  return __libc_realloc(old, size);
}
}

namespace ztna::quic {
namespace {

// Counts octets and keeps none.
class Counter : public Handler {
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

class SameDatagram : public DatagramSource {
 public:
  bool peek(Item& item) override {
    if (payload.empty()) return false;
    item = {header, payload, 0};
    return true;
  }
  void done(Fate) override {}
  base::Bytes header, payload;
};

// Two ends that exchange their batches at once, half a millisecond a turn.
class Exchange : public testing::Test {
 protected:
  void SetUp() override {
    Pair pair;  // for its configurations
    random.emplace(1);
    pair.client.config.random = pair.server.config.random = &*random;
    client = std::move(
        *Connection::connect(pair.client.config, PathId{1}, client_handler, &datagrams, now));
    client_handler.connection = client.get();
    const Batch first = client->transmit(buffer, now);
    const base::BytesView packet = base::BytesView(buffer).first(first.segment);
    Initial initial;
    initial.version = 1;
    initial.dcid = ConnectionId::from(packet.subspan(6, packet[5]));
    initial.scid = ConnectionId::from(packet.subspan(7 + packet[5], packet[6 + packet[5]]));
    server = std::move(
        *Connection::accept(pair.server.config, initial, PathId{1}, server_handler, nullptr, now));
    server_handler.connection = server.get();
    deliver(*server, first);
    for (int i = 0; i < 2000; ++i) turn();
    ASSERT_TRUE(client_handler.established && server_handler.established);
  }
  void deliver(Connection& to, const Batch& batch) {
    for (std::size_t at = 0; at < batch.size; at += batch.segment) {
      const auto size = std::min(batch.segment, batch.size - at);
      to.receive(batch.path, batch.ecn, base::BytesView(buffer).subspan(at, size), now);
    }
  }
  void pump(Connection& from, Connection& to) {
    for (int i = 0; i < 8; ++i) {
      const Batch batch = from.transmit(buffer, now);
      if (batch.size == 0) return;
      deliver(to, batch);
    }
  }
  void turn() {
    now += 500us;
    pump(*client, *server);
    pump(*server, *client);
    for (Connection* end : {client.get(), server.get()}) {
      if (end->next_deadline() <= now) end->expire(now);
    }
  }

  base::Time now{1s};
  std::optional<SeededRandom> random;
  Counter client_handler, server_handler;
  SameDatagram datagrams;
  std::unique_ptr<Connection> client, server;
  base::Bytes buffer = base::Bytes(64 * 1024);
};

struct Cost {
  std::uint64_t packets, allocations;
};

TEST_F(Exchange, AStreamCostsNoAllocationPerPacket) {
  const StreamId id = *client->open_stream();
  const base::Bytes data(256 * 1024, 1);
  const auto run = [&](std::uint64_t octets) {
    const std::uint64_t target = server_handler.received + octets;
    const Cost before{client->stats().packets_sent, allocations};
    while (server_handler.received < target) {
      (void)client->write(id, data);
      turn();
    }
    return Cost{client->stats().packets_sent - before.packets, allocations - before.allocations};
  };
  (void)run(200'000'000);  // windows and pools reach their size
  const Cost cost = run(100'000'000);
  ASSERT_GT(cost.packets, 60'000u);
  const double each = static_cast<double>(cost.allocations) / static_cast<double>(cost.packets);
  RecordProperty("allocations_per_packet", std::to_string(each));
  // One in twelve: a packet whose octets lie in two chunks makes ngtcp2 allocate its frame.
  EXPECT_LT(each, 0.1) << cost.allocations << " in " << cost.packets;
}

TEST_F(Exchange, ADatagramCostsNoAllocation) {
  datagrams.header = base::Bytes(4, 1);
  datagrams.payload = base::Bytes(1200, 1);
  const auto run = [&](std::uint64_t octets) {
    const std::uint64_t target = server_handler.received + octets;
    const Cost before{client->stats().packets_sent, allocations};
    while (server_handler.received < target) turn();
    return Cost{client->stats().packets_sent - before.packets, allocations - before.allocations};
  };
  (void)run(200'000'000);
  const Cost cost = run(100'000'000);
  ASSERT_GT(cost.packets, 60'000u);
  const double each = static_cast<double>(cost.allocations) / static_cast<double>(cost.packets);
  RecordProperty("allocations_per_packet", std::to_string(each));
  EXPECT_LT(each, 0.001) << cost.allocations << " in " << cost.packets;
}

}  // namespace
}  // namespace ztna::quic
#endif
