// An Intermediate in a test's hand: it takes one uplink, keeps what it is told, and says anything.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
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

}  // namespace ztna::node
