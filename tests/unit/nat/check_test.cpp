#include "nat/check.hpp"

#include <gtest/gtest.h>

#include <array>

#include "base/secret.hpp"
#include "sim/seeded_random.hpp"

namespace ztna::nat {
namespace {

class CheckTest : public testing::Test {
 protected:
  sim::SeededRandom random{7};
  const base::SessionId session = base::SessionId::make(random);
  const base::Bytes key = base::Bytes(32, 0x11), other = base::Bytes(32, 0x22);
  std::array<std::uint8_t, 2048> buffer{};

  base::Bytes request(const CheckState& state, std::size_t size = 0) {
    const auto packet =
        write_request(buffer, make_transaction(77, random), session, state, size, key);
    return {packet.begin(), packet.end()};
  }
};

TEST_F(CheckTest, ARequestSaysWhatItWasGiven) {
  const auto packet = request({12345, true, false});
  EXPECT_LE(packet.size(), max_check);
  const auto message = wire::stun::Message::parse(packet);
  ASSERT_TRUE(message);
  EXPECT_EQ(session_of(*message), session);
  const auto check = read_check(*message, key);
  ASSERT_TRUE(check);
  EXPECT_TRUE(check->request);
  EXPECT_EQ(check->state, (CheckState{12345, true, false}));
  EXPECT_EQ(tag_of(check->transaction), 77u);
}

TEST_F(CheckTest, AnAnswerSaysWhereTheRequestCameFrom) {
  const auto transaction = make_transaction(9, random);
  const auto mapped = *base::Address::parse("203.0.113.7:1234");
  const auto packet = write_answer(buffer, transaction, {1, false, true}, mapped, key);
  const auto message = wire::stun::Message::parse(packet);
  ASSERT_TRUE(message);
  EXPECT_FALSE(session_of(*message));
  const auto check = read_check(*message, key);
  ASSERT_TRUE(check);
  EXPECT_FALSE(check->request);
  EXPECT_EQ(check->mapped, mapped);
  EXPECT_EQ(check->transaction, transaction);
  EXPECT_EQ(check->state, (CheckState{1, false, true}));
}

TEST_F(CheckTest, PaddingFillsThePacketToTheOctetQuartet) {
  for (const std::size_t size : {400u, 1200u, 1201u, 1203u, 1452u}) {
    const auto packet = request({1, true, false}, size);
    EXPECT_LE(packet.size(), size);
    EXPECT_GT(packet.size(), size - 4);
    const auto message = wire::stun::Message::parse(packet);
    ASSERT_TRUE(message) << size;
    EXPECT_TRUE(read_check(*message, key)) << size;
  }
}

TEST_F(CheckTest, AnotherKeyIsRefusedAndSoIsEveryChangedOctet) {
  const auto packet = request({5, true, true});
  EXPECT_FALSE(read_check(*wire::stun::Message::parse(packet), other));
  // FINGERPRINT is behind the integrity, and nobody's secret (RFC 8489 §14.7).
  constexpr std::size_t fingerprint = 8;
  for (std::size_t at = 0; at < packet.size() - fingerprint; ++at) {
    base::Bytes changed = packet;
    changed[at] ^= 1;
    const auto message = wire::stun::Message::parse(changed);
    EXPECT_FALSE(message && read_check(*message, key)) << at;
  }
}

TEST_F(CheckTest, WhatFollowsTheIntegrityIsNotBelieved) {
  // A stranger's Binding request without our attribute is no check.
  std::array<std::uint8_t, 256> other_buffer{};
  wire::stun::Writer writer(other_buffer, wire::stun::Class::request, wire::stun::binding,
                            make_transaction(1, random));
  writer.add_integrity_sha256(key);
  writer.add_fingerprint();
  const auto message = wire::stun::Message::parse(writer.message());
  ASSERT_TRUE(message);
  EXPECT_FALSE(read_check(*message, key));
  EXPECT_FALSE(session_of(*message));
}

}  // namespace
}  // namespace ztna::nat
