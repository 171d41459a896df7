// Two connections and the network between them, in virtual time: packets have a delay, may be lost,
// reordered or marked, and each path can be cut or limited in packet size.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "quic/connection.hpp"
#include "unit/identity/test_certificates.hpp"

namespace ztna::quic {

using namespace std::chrono_literals;

class SeededRandom : public base::Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
  void fill(base::MutableBytes out) override {
    for (auto& octet : out) octet = static_cast<std::uint8_t>(engine_());
  }
  std::mt19937_64& engine() { return engine_; }

 private:
  std::mt19937_64 engine_;
};

// Datagrams to send, and what became of them.
class DatagramQueue : public DatagramSource {
 public:
  struct Entry {
    base::Bytes header, payload;
    std::uint64_t tag = 0;
  };
  void push(base::Bytes payload, std::uint64_t tag = 0, base::Bytes header = {}) {
    queue_.push_back({std::move(header), std::move(payload), tag});
  }
  bool peek(Item& item) override {
    if (queue_.empty()) return false;
    item = {queue_.front().header, queue_.front().payload, queue_.front().tag};
    return true;
  }
  void done(Fate fate) override {
    ++(fate == Fate::sent ? sent : too_large);
    queue_.pop_front();
  }
  std::size_t sent = 0, too_large = 0;

 private:
  std::deque<Entry> queue_;
};

// Remembers what it hears. By default it consumes everything at once.
class Recorder : public Handler {
 public:
  void on_established(const identity::Principal& peer) override {
    ++established;
    principal = peer;
    if (on_ready) on_ready();
  }
  void on_stream_opened(StreamId id) override { opened.push_back(id); }
  void on_stream_data(StreamId id, base::BytesView data, bool fin) override {
    received[id].insert(received[id].end(), data.begin(), data.end());
    if (fin) finished.insert(id);
    if (consume) connection->consume(id, data.size());
  }
  void on_stream_writable(StreamId id) override {
    ++writable;
    if (on_room) on_room(id);
  }
  void on_stream_reset(StreamId id, std::uint64_t code) override { resets[id] = code; }
  void on_stop_sending(StreamId id, std::uint64_t code) override { stops[id] = code; }
  void on_stream_closed(StreamId id) override { streams_closed.push_back(id); }
  void on_datagram(base::BytesView payload) override {
    datagrams.emplace_back(payload.begin(), payload.end());
  }
  void on_datagram_acked(std::uint64_t tag) override { acked.insert(tag); }
  void on_datagram_lost(std::uint64_t tag) override { lost.insert(tag); }
  void on_path_validated(PathId path, bool ok) override { validated.emplace_back(path.value, ok); }
  void on_path_changed(PathId path) override { paths.push_back(path.value); }
  void on_connection_id_added(const ConnectionId& id) override { ids.insert(id); }
  void on_connection_id_removed(const ConnectionId& id) override { ids.erase(id); }
  void on_closed(const CloseInfo& info) override {
    EXPECT_FALSE(closed.has_value()) << "on_closed() twice";
    closed = info;
  }

  Connection* connection = nullptr;
  bool consume = true;
  std::function<void()> on_ready;
  std::function<void(StreamId)> on_room;
  int established = 0, writable = 0;
  std::optional<identity::Principal> principal;
  std::vector<StreamId> opened, streams_closed;
  std::map<StreamId, base::Bytes> received;
  std::set<StreamId> finished;
  std::map<StreamId, std::uint64_t> resets, stops;
  std::vector<base::Bytes> datagrams;
  std::set<std::uint64_t> acked, lost;
  std::vector<std::pair<std::uint32_t, bool>> validated;
  std::vector<std::uint32_t> paths;
  std::set<ConnectionId> ids;
  std::optional<CloseInfo> closed;
};

struct Network {
  base::Duration delay = 10ms;
  base::Duration jitter{};                         // up to this much more: reorders
  std::map<std::uint32_t, base::Duration> detour;  // more delay, by path
  double loss = 0;
  double ce_marks = 0;             // share of ECN-capable packets that get CE
  std::size_t max_packet = 65535;  // larger ones vanish
  std::set<std::uint32_t> cut;     // paths that deliver nothing
};

class Pair {
 public:
  struct Side {
    std::unique_ptr<Connection> connection;
    Recorder handler;
    DatagramQueue datagrams;
    Config config;
  };

  explicit Pair(std::uint64_t seed = 1) : random(seed) {
    client.config = config(authority().agent("alice"), identity::Role::connector);
    server.config = config(authority().connector("home", {"web"}), identity::Role::agent);
    server.config.peer_streams = 16;
    server.config.reset_key.expose()[0] = 1;
  }

  static identity::TestAuthority& authority() {
    static identity::TestAuthority made;
    return made;
  }

  Config config(std::shared_ptr<const identity::Credentials> credentials, identity::Role peer) {
    Config config;
    config.alpn = "ztna-session/1";
    config.credentials = std::move(credentials);
    config.expect = {.role = peer, .trust_domain = "example.org", .name = "", .web_pki_host = ""};
    config.random = &random;
    config.wall_now = identity::test_now;
    config.initial_rtt = 20ms;
    return config;
  }

  void connect() {
    auto made =
        Connection::connect(client.config, PathId{1}, client.handler, &client.datagrams, now);
    ASSERT_TRUE(made) << made.error().message();
    client.connection = std::move(*made);
    client.handler.connection = client.connection.get();
  }

  // Runs until `done` or until `limit` of virtual time has passed; says whether `done`.
  bool run(const std::function<bool()>& done, base::Duration limit = 10s) {
    const base::Time end = now + limit;
    for (;;) {
      flush(client, true);
      flush(server, false);
      if (done()) return true;
      base::Time next = flights_.empty() ? base::never : flights_.top().at;
      for (const Side* side : {&client, &server}) {
        if (side->connection) next = std::min(next, side->connection->next_deadline());
      }
      if (next > end) {
        now = end;
        return done();
      }
      now = std::max(now, next);
      ++steps;
      while (!flights_.empty() && flights_.top().at <= now) {
        const Flight flight = flights_.top();
        flights_.pop();
        deliver(flight);
      }
      for (Side* side : {&client, &server}) {
        if (side->connection && side->connection->next_deadline() <= now) {
          side->connection->expire(now);
        }
      }
    }
  }
  void idle(base::Duration time) {
    run([] { return false; }, time);
  }
  bool establish() {
    connect();
    return run([&] { return client.handler.established == 1 && server.handler.established == 1; });
  }

  SeededRandom random;
  base::Time now{1s};
  Network network;
  Side client, server;
  std::uint64_t steps = 0;
  std::map<std::uint32_t, std::size_t> packets_by_path;
  std::size_t largest_packet = 0;
  // Sees each packet before the network does; false drops it.
  std::function<bool(bool from_client, const Batch&, base::BytesView)> filter;

 private:
  struct Flight {
    base::Time at;
    std::uint64_t order;
    bool from_client;
    PathId path;
    Ecn ecn;
    base::Bytes packet;
    bool operator<(const Flight& other) const {
      return std::tie(at, order) > std::tie(other.at, other.order);
    }
  };

  void flush(Side& side, bool from_client) {
    if (!side.connection) return;
    for (;;) {
      const Batch batch = side.connection->transmit(buffer_, now);
      if (batch.size == 0) return;
      ASSERT_GT(batch.segment, 0u);
      for (std::size_t at = 0; at < batch.size; at += batch.segment) {
        const std::size_t size = std::min(batch.segment, batch.size - at);
        send(from_client, batch, base::BytesView(buffer_).subspan(at, size));
      }
    }
  }

  void send(bool from_client, const Batch& batch, base::BytesView packet) {
    ++packets_by_path[batch.path.value];
    largest_packet = std::max(largest_packet, packet.size());
    if (filter && !filter(from_client, batch, packet)) return;
    const auto chance = [this](double p) {
      return p > 0 && std::uniform_real_distribution<>(0, 1)(random.engine()) < p;
    };
    if (network.cut.contains(batch.path.value) || packet.size() > network.max_packet ||
        chance(network.loss)) {
      return;
    }
    const Ecn ecn = batch.ecn != 0 && chance(network.ce_marks) ? Ecn{3} : batch.ecn;
    base::Duration delay = network.delay;
    const auto detour = network.detour.find(batch.path.value);
    if (detour != network.detour.end()) delay += detour->second;
    if (network.jitter.count() > 0) {
      delay += base::Duration(random.u64() % static_cast<std::uint64_t>(network.jitter.count()));
    }
    flights_.push({now + delay, order_++, from_client, batch.path, ecn,
                   base::Bytes(packet.begin(), packet.end())});
  }

  void deliver(const Flight& flight) {
    if (flight.from_client && !server.connection) accept(flight);
    Side& to = flight.from_client ? server : client;
    if (to.connection) to.connection->receive(flight.path, flight.ecn, flight.packet, now);
  }

  // Reads just enough of a client's Initial (RFC 9000 §17.2.2).
  void accept(const Flight& flight) {
    const auto& p = flight.packet;
    if (p.size() < 1200 || (p[0] & 0xf0) != 0xc0) return;
    Initial initial;
    initial.version = base::load_be32(p.data() + 1);
    initial.dcid = ConnectionId::from(base::BytesView(p).subspan(6, p[5]));
    const std::size_t scid = 6 + p[5];
    initial.scid = ConnectionId::from(base::BytesView(p).subspan(scid + 1, p[scid]));
    auto made = Connection::accept(server.config, initial, flight.path, server.handler,
                                   &server.datagrams, now);
    ASSERT_TRUE(made) << made.error().message();
    server.connection = std::move(*made);
    server.handler.connection = server.connection.get();
  }

  base::Bytes buffer_ = base::Bytes(64 * 1024);
  std::priority_queue<Flight> flights_;
  std::uint64_t order_ = 0;
};

// Octets that depend on their position, so that any shift, loss or swap shows.
inline base::Bytes pattern(std::size_t size, std::uint64_t seed = 7) {
  base::Bytes out(size);
  SeededRandom(seed).fill(out);
  return out;
}

// Keeps a stream full until `data` is written, then finishes it.
class Writer {
 public:
  Writer(Pair::Side& side, StreamId id, const base::Bytes& data)
      : side_(side), id_(id), data_(data) {
    side.handler.on_room = [this](StreamId room) {
      if (room == id_) go();
    };
    go();
  }
  std::size_t written = 0;

 private:
  void go() {
    written += side_.connection->write(id_, base::BytesView(data_).subspan(written));
    if (written == data_.size()) side_.connection->finish(id_);
  }
  Pair::Side& side_;
  StreamId id_;
  const base::Bytes& data_;
};

}  // namespace ztna::quic
