// An Intermediate in a test's hand: it takes one uplink, keeps what it is told, and says anything.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "node/node.hpp"
#include "quic/connection.hpp"
#include "quic/endpoint.hpp"
#include "sim/seeded_random.hpp"
#include "unit/identity/test_certificates.hpp"
#include "wire/message_stream.hpp"

namespace ztna::node {

class FakeIntermediate final : private quic::Handler {
 public:
  explicit FakeIntermediate(std::shared_ptr<const identity::Credentials> credentials)
      : credentials_(std::move(credentials)),
        endpoint_({credentials_->derive("retry"), credentials_->derive("reset")}, {}, random_) {}

  void receive(const base::Incoming& packet, base::Time now) {
    if (!connection_) {
      auto verdict = endpoint_.classify(packet.payload, packet.from, {.accept_new = true}, now);
      const auto* fresh = std::get_if<quic::Endpoint::Accept>(&verdict);
      if (fresh == nullptr) return;
      quic::Config config;
      config.alpn = "ztna-uplink/1";
      config.credentials = credentials_;
      config.expect = {std::nullopt, "example.org", {}, {}};
      config.random = &random_;
      config.wall_now = identity::test_now;
      config.reset_key = credentials_->derive("reset");
      config.peer_streams = 1;
      connection_ = identity::value_or_throw(
          quic::Connection::accept(config, fresh->initial, quic::PathId{1}, *this, nullptr, now));
    }
    connection_->receive(quic::PathId{1}, packet.ecn, packet.payload, now);
  }
  void expire(base::Time now) {
    if (connection_ && connection_->next_deadline() <= now) connection_->expire(now);
  }
  quic::Batch transmit(base::MutableBytes buffer, base::Time now) {
    return connection_ ? connection_->transmit(buffer, now) : quic::Batch{};
  }

  void send(const proto::Message& message) {
    base::Bytes out;
    wire::append_message(out, message);
    ASSERT_EQ(connection_->write(control_, out), out.size());
  }
  // The answer to Register; nothing is answered by itself.
  void welcome() {
    proto::Message message;
    message.mutable_registered();
    send(message);
  }
  [[nodiscard]] bool registered() const {
    return !heard.empty() && heard.front().body_case() == proto::Message::kRegister;
  }
  [[nodiscard]] std::vector<proto::Message> heard_of(proto::Message::BodyCase kind) const {
    std::vector<proto::Message> some;
    for (const auto& message : heard) {
      if (message.body_case() == kind) some.push_back(message);
    }
    return some;
  }
  std::vector<proto::Message> heard;

 private:
  void on_stream_opened(quic::StreamId id) override { control_ = id; }
  void on_stream_data(quic::StreamId id, base::BytesView data, bool /*fin*/) override {
    connection_->consume(id, data.size());
    reader_.feed(data);
    while (const auto payload = reader_.next()) {
      proto::Message message;
      ASSERT_TRUE(wire::parse_message(*payload, message));
      heard.push_back(message);
    }
  }

  std::shared_ptr<const identity::Credentials> credentials_;
  sim::SeededRandom random_{7};
  quic::Endpoint endpoint_;
  std::unique_ptr<quic::Connection> connection_;
  quic::StreamId control_ = -1;
  wire::MessageReader reader_;
};

// Some of them and one node, over a network of 1 ms. It resolves the names of the node's
// Intermediates, in their order.
class FakeInternet {
 public:
  static base::Address address(std::size_t relay) {
    return base::Address::v4({203, 0, 113, static_cast<std::uint8_t>(relay + 1)}, 4433);
  }
  void run(Node& node, base::Time& now, base::Duration time) {
    base::Bytes buffer(base::transmit_buffer_size);
    const base::Address self = base::Address::v4({192, 0, 2, 1}, 40000);
    using namespace std::chrono_literals;
    for (const base::Time end = now + time; now < end; now += 1ms) {
      if (node.next_deadline() <= now) node.expire(now);
      for (const auto& request : node.take_resolve_requests()) {
        std::vector<base::Address> addresses = {address(request.uplink)};
        addresses.insert(addresses.end(), also.begin(), also.end());
        node.resolved(request.uplink, addresses, {}, now);
      }
      for (auto out = node.transmit(buffer, now); out.size > 0; out = node.transmit(buffer, now)) {
        if (elsewhere) elsewhere(out, base::BytesView(buffer).first(out.size));
        for (std::size_t i = 0; i < relays.size(); ++i) {
          if (out.to != address(i) || cut.contains(i)) continue;
          each_packet(buffer, out.size, out.segment, [&](base::BytesView packet) {
            relays[i]->receive({0, self, address(i), out.ecn, packet}, now);
          });
        }
      }
      for (std::size_t i = 0; i < relays.size(); ++i) {
        relays[i]->expire(now);
        for (auto batch = relays[i]->transmit(buffer, now); batch.size > 0;
             batch = relays[i]->transmit(buffer, now)) {
          if (cut.contains(i)) continue;
          each_packet(buffer, batch.size, batch.segment, [&](base::BytesView packet) {
            node.receive({0, address(i), self, batch.ecn, packet}, now);
          });
        }
      }
    }
  }

  std::vector<std::unique_ptr<FakeIntermediate>> relays;
  std::vector<base::Address> also;  // of every name
  std::set<std::size_t> cut;        // nothing passes to and from them
  // Sees every datagram, or super-datagram, of the node.
  std::function<void(const base::Outgoing& out, base::BytesView packets)> elsewhere;

 private:
  static void each_packet(const base::Bytes& buffer, std::size_t size, std::size_t segment,
                          const std::function<void(base::BytesView)>& use) {
    const base::Bytes copy(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
    for (std::size_t at = 0; at < size; at += segment) {
      use(base::BytesView(copy).subspan(at, std::min(segment, size - at)));
    }
  }
};

}  // namespace ztna::node
