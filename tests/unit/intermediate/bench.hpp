// An Intermediate's engine and hand-driven nodes around it: they speak QUIC and the control
// channel, and do nothing that a test does not tell them to. Virtual time in steps of 1 ms; the
// network takes as long.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "intermediate/engine.hpp"
#include "quic/connection.hpp"
#include "sim/seeded_random.hpp"
#include "unit/identity/test_certificates.hpp"
#include "wire/relay.hpp"

namespace ztna::intermediate {

using base::Duration;
using base::Time;
using namespace std::chrono_literals;
using CredentialsPtr = std::shared_ptr<const identity::Credentials>;

inline const base::Address server_address = base::Address::v4({203, 0, 113, 1}, 4433);

inline constexpr const char* open_policy = R"(
[[serve]]
connectors = ["*"]
services = ["*"]
[[allow]]
agents = ["*"]
services = ["*"]
)";

inline std::shared_ptr<const policy::Policy> policy_of(const std::string& text) {
  return std::make_shared<const policy::Policy>(
      identity::value_or_throw(policy::Policy::parse(text, "policy.toml")));
}

// DATAGRAM frames that a test has asked for.
class Frames final : public quic::DatagramSource {
 public:
  bool peek(Item& item) override {
    if (waiting.empty()) return false;
    item = {{}, waiting.front(), 0};
    return true;
  }
  void done(Fate) override { waiting.pop_front(); }
  std::deque<base::Bytes> waiting;
};

class Client final : public quic::Handler {
 public:
  Client(CredentialsPtr credentials, const base::Address& address, base::Random& random, Time now)
      : credentials_(std::move(credentials)), address_(address) {
    quic::Config config;
    config.alpn = "ztna-uplink/1";
    config.credentials = credentials_;
    config.expect = {.role = identity::Role::intermediate,
                     .trust_domain = "example.org",
                     .name = "",
                     .web_pki_host = ""};
    config.random = &random;
    config.wall_now = identity::test_now;
    config.initial_rtt = 20ms;
    config.keep_alive = 1s;
    connection = identity::value_or_throw(
        quic::Connection::connect(std::move(config), quic::PathId{1}, *this, &frames_, now));
    incarnation = base::IncarnationId::make(random);
  }

  void send(const proto::Message& message) {
    base::Bytes octets;
    wire::append_message(octets, message);
    ASSERT_EQ(connection->write(control, octets), octets.size());
  }
  void enrol() {
    proto::Message message;
    message.mutable_register_()->set_incarnation(incarnation.octets.data(), 16);
    message.mutable_register_()->set_uplink(uplink);
    send(message);
  }
  void offer(const std::vector<std::string>& names, bool udp = false) {
    proto::Message message;
    message.mutable_offer();
    for (const std::string& name : names) {
      auto& service = *message.mutable_offer()->add_services();
      service.set_name(name);
      service.set_protocol(udp ? proto::PROTOCOL_UDP : proto::PROTOCOL_TCP);
      service.set_port(80);
      service.set_healthy(true);
    }
    send(message);
  }
  void open(const std::string& service, std::uint64_t request = 1) {
    proto::Message message;
    message.mutable_open_session()->set_request(request);
    message.mutable_open_session()->set_service(service);
    send(message);
  }
  void claim(const std::string& id, const Client& peer) {
    proto::Message message;
    auto& body = *message.mutable_claim_session();
    body.set_session_id(id);
    body.set_peer(peer.credentials_->self().uri());
    body.set_peer_incarnation(peer.incarnation.octets.data(), 16);
    send(message);
  }

  void close_session(const std::string& id) {
    proto::Message message;
    message.mutable_close_session()->set_session_id(id);
    send(message);
  }

  // Sends a packet by the relay, over the session it was told of last.
  void relay(const base::Bytes& packet) {
    wire::RelayHeader header;
    header.channel = of(proto::Message::kSessionReady).back().session_ready().channel();
    std::array<std::uint8_t, wire::RelayHeader::max_size> head{};
    base::Bytes frame(head.begin(), head.begin() + header.encode(head));
    frame.insert(frame.end(), packet.begin(), packet.end());
    frames_.waiting.push_back(std::move(frame));
  }

  // Messages of one kind, in order.
  [[nodiscard]] std::vector<proto::Message> of(proto::Message::BodyCase kind) const {
    std::vector<proto::Message> found;
    std::ranges::copy_if(heard, std::back_inserter(found),
                         [&](const proto::Message& m) { return m.body_case() == kind; });
    return found;
  }
  [[nodiscard]] std::size_t count(proto::Message::BodyCase kind) const { return of(kind).size(); }
  // As last told.
  [[nodiscard]] std::vector<std::string> refused_services() const {
    std::vector<std::string> names;
    const auto told = of(proto::Message::kOfferState);
    if (told.empty()) return names;
    for (const auto& each : told.back().offer_state().refused()) names.push_back(each.name());
    return names;
  }
  // The reason of the last SessionRefused, if any.
  [[nodiscard]] std::optional<proto::Reason> session_refused() const {
    const auto all = of(proto::Message::kSessionRefused);
    if (all.empty()) return std::nullopt;
    return all.back().session_refused().reason();
  }
  [[nodiscard]] const base::Address& address() const { return address_; }
  void move(const base::Address& address) { address_ = address; }
  [[nodiscard]] bool up() const { return !closed && count(proto::Message::kRegistered) == 1; }

  void on_established(const identity::Principal&) override {
    established = true;
    control = identity::value_or_throw(connection->open_stream());
    if (enrols) enrol();
  }
  void on_stream_data(quic::StreamId id, base::BytesView data, bool) override {
    connection->consume(id, data.size());
    reader_.feed(data);
    while (const auto payload = reader_.next()) {
      proto::Message message;
      ASSERT_TRUE(wire::parse_message(*payload, message));
      heard.push_back(std::move(message));
    }
    EXPECT_EQ(reader_.error(), nullptr) << "the stream cannot be read";
  }
  void on_datagram(base::BytesView) override { ++relayed; }
  void on_closed(const quic::CloseInfo& info) override { closed = info; }

  std::unique_ptr<quic::Connection> connection;
  base::IncarnationId incarnation;
  std::uint32_t uplink = 0;
  bool enrols = true;
  bool mute = false;      // its packets are lost from now on
  base::Bytes last_sent;  // its last packet with a short header
  bool established = false;
  quic::StreamId control = -1;
  std::vector<proto::Message> heard;
  std::size_t relayed = 0;  // packets that came by the relay
  std::optional<quic::CloseInfo> closed;

 private:
  CredentialsPtr credentials_;
  base::Address address_;
  Frames frames_;
  wire::MessageReader reader_;
};

class Bench : public ::testing::Test {
 protected:
  static identity::TestAuthority& authority() {
    static identity::TestAuthority made("example.org", identity::KeyType::ed25519);
    return made;
  }
  // One certificate a name.
  static CredentialsPtr agent(const std::string& name = "alice") {
    static std::map<std::string, CredentialsPtr> made;
    CredentialsPtr& known = made[name];
    if (!known) known = authority().agent(name);
    return known;
  }
  static CredentialsPtr connector(const std::string& name = "home") {
    static std::map<std::string, CredentialsPtr> made;
    CredentialsPtr& known = made[name];
    if (!known) known = authority().connector(name, {"*"});
    return known;
  }
  static CredentialsPtr relay() {
    static const CredentialsPtr made = authority().intermediate("relay");
    return made;
  }

  void start(const std::string& policy = open_policy) {
    config.credentials = relay();
    config.policy = policy_of(policy);
    config.random = &random;
    config.version = "test";
    config.listen = {{0, server_address}};
    engine = std::make_unique<Engine>(config, base::WallReference{identity::test_now, now});
  }
  Client& join(const CredentialsPtr& credentials, bool enrols = true) {
    if (!engine) start();
    const auto host = static_cast<std::uint8_t>(clients.size() / 200 + 1);
    const auto last = static_cast<std::uint8_t>(clients.size() % 200 + 1);
    clients.push_back(std::make_unique<Client>(
        credentials, base::Address::v4({192, 0, host, last}, 40000), random, now));
    clients.back()->enrols = enrols;
    return *clients.back();
  }
  Client& joined(const CredentialsPtr& credentials) {
    Client& client = join(credentials);
    EXPECT_TRUE(run_until([&] { return client.up(); }));
    return client;
  }
  // The same run of a node whose uplink was lost, by another one.
  Client& joined_again(const CredentialsPtr& credentials, const Client& lost) {
    Client& client = join(credentials, false);
    client.incarnation = lost.incarnation;
    client.enrols = true;
    EXPECT_TRUE(run_until([&] { return client.up(); }));
    return client;
  }
  // A packet of nobody's.
  void inject(const base::Address& from, base::BytesView packet) {
    engine->receive({0, from, server_address, 0, packet}, now);
  }

  void run(Duration time) {
    for (const Time end = now + time; now < end;) step();
  }
  bool run_until(const std::function<bool()>& done, Duration limit = 5s) {
    for (const Time end = now + limit; now < end && !done();) step();
    return done();
  }
  void step() {
    now += 1ms;
    for (const auto& client : clients) {
      if (client->connection->next_deadline() <= now) client->connection->expire(now);
      for (;;) {
        const quic::Batch batch = client->connection->transmit(buffer_, now);
        if (batch.size == 0) break;
        if ((buffer_[0] & 0x80) == 0) {
          client->last_sent.assign(buffer_.begin(), buffer_.begin() + 64);
        }
        for (std::size_t at = 0; at < batch.size && !client->mute; at += batch.segment) {
          inject(client->address(),
                 base::BytesView(buffer_).subspan(at, std::min(batch.segment, batch.size - at)));
        }
      }
    }
    if (between) between();
    if (engine->next_deadline() <= now) engine->expire(now);
    for (;;) {
      const base::Outgoing out = engine->transmit(buffer_, now);
      if (out.size == 0) break;
      const auto to = std::ranges::find(clients, out.to, &Client::address);
      for (std::size_t at = 0; at < out.size && to != clients.end(); at += out.segment) {
        (*to)->connection->receive(
            quic::PathId{1}, out.ecn,
            base::BytesView(buffer_).subspan(at, std::min(out.segment, out.size - at)), now);
      }
    }
    for (policy::AuditRecord& record : engine->take_audit()) audit.push_back(std::move(record));
  }

  Time now{1000s};
  sim::SeededRandom random{1};
  EngineConfig config;
  std::unique_ptr<Engine> engine;
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<policy::AuditRecord> audit;
  std::function<void()> between;  // after the nodes' packets, before the engine's

 private:
  base::Bytes buffer_ = base::Bytes(base::transmit_buffer_size);
};

}  // namespace ztna::intermediate
