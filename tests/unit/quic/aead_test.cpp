#include "quic/aead.hpp"

#include <gtest/gtest.h>

#include <random>

#include "quic/keys.hpp"
#include "unit/quic/rfc9001_client_initial.hpp"

namespace ztna::quic {
namespace {

base::Bytes hex(std::string_view text) {
  base::Bytes out(text.size() / 2);
  EXPECT_TRUE(base::from_hex(text, out));
  return out;
}

std::vector<const AeadBackend*> backends() {
  std::vector<const AeadBackend*> all = {&gnutls_backend()};
  if (ipsec_mb_backend() != nullptr) all.push_back(ipsec_mb_backend());
  return all;
}

class Aead : public testing::TestWithParam<const AeadBackend*> {
 protected:
  const AeadBackend& backend() { return *GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(Backends, Aead, testing::ValuesIn(backends()), [](const auto& param) {
  return param.param->name() == "gnutls" ? "gnutls" : "ipsec_mb";
});

const base::Bytes client_dcid = hex("8394c8f03e515708");

// RFC 9001 appendix A.1.
TEST(KeySchedule, MatchesTheRfcsInitialSecrets) {
  InitialSecrets secrets;
  ASSERT_TRUE(derive_initial_secrets(secrets, client_dcid));
  EXPECT_EQ(base::to_hex(secrets.client.expose()),
            "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea");
  EXPECT_EQ(base::to_hex(secrets.server.expose()),
            "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b");
  PacketSecrets client;
  ASSERT_TRUE(derive_packet_secrets(client, secrets.client.expose()));
  EXPECT_EQ(base::to_hex(client.key.expose()), "1f369613dd76d5467730efcbe3b1a22d");
  EXPECT_EQ(base::to_hex(client.iv.expose()), "fa044b2f42a3fd3b46fb255c");
  EXPECT_EQ(base::to_hex(client.header.expose()), "9f50449e04a0e810283a1e9933adedd2");
  PacketSecrets server;
  ASSERT_TRUE(derive_packet_secrets(server, secrets.server.expose()));
  EXPECT_EQ(base::to_hex(server.key.expose()), "cf3a5331653c364c88f0f379b6067e37");
  EXPECT_EQ(base::to_hex(server.iv.expose()), "0ac1493ca1905853b0bba03e");
  EXPECT_EQ(base::to_hex(server.header.expose()), "c206b8d9b9f0f37644430b490eeaa314");
}

// RFC 9001 appendix A.2 and A.3: samples and masks.
TEST_P(Aead, MatchesTheRfcsHeaderProtection) {
  const auto mask_of = [this](std::string_view key, std::string_view sample) {
    const auto header = backend().header_key(hex(key).data());
    base::Bytes mask(header_mask_length);
    EXPECT_TRUE(header->mask(mask.data(), hex(sample).data()));
    return base::to_hex(mask);
  };
  EXPECT_EQ(mask_of("9f50449e04a0e810283a1e9933adedd2", "d1b1c98dd7689fb8ec11d242b123dc9b"),
            "437b9aec36");
  EXPECT_EQ(mask_of("c206b8d9b9f0f37644430b490eeaa314", "2cd0991cd25b0aac406a5816b6394100"),
            "2ec0d8356a");
}

// RFC 9001 appendix A.2: the client's Initial.
TEST_P(Aead, MatchesTheRfcsClientInitial) {
  base::Bytes payload = hex(rfc9001::client_initial_crypto);
  payload.resize(1162);
  base::Bytes nonce = hex("fa044b2f42a3fd3b46fb255c");
  nonce.back() ^= 2;
  const auto key = backend().packet_key(hex("1f369613dd76d5467730efcbe3b1a22d").data());
  base::Bytes sealed(payload.size() + aead_tag_length);
  ASSERT_TRUE(key->seal(sealed.data(), payload, nonce.data(), hex(rfc9001::client_initial_header)));
  EXPECT_EQ(base::to_hex(sealed), rfc9001::client_initial_sealed);
  base::Bytes opened(payload.size());
  ASSERT_TRUE(key->open(opened.data(), sealed, nonce.data(), hex(rfc9001::client_initial_header)));
  EXPECT_EQ(opened, payload);
}

// RFC 9001 appendix A.3: the server's Initial, packet number 1.
TEST_P(Aead, MatchesTheRfcsServerInitial) {
  const base::Bytes header = hex("c1000000010008f067a5502a4262b50040750001");
  const base::Bytes payload =
      hex("02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a"
          "045a1200130100002e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bc"
          "f32bb9da1a002b00020304");
  base::Bytes nonce = hex("0ac1493ca1905853b0bba03e");
  nonce.back() ^= 1;
  const auto key = backend().packet_key(hex("cf3a5331653c364c88f0f379b6067e37").data());
  base::Bytes sealed(payload.size() + aead_tag_length);
  ASSERT_TRUE(key->seal(sealed.data(), payload, nonce.data(), header));
  EXPECT_EQ(base::to_hex(sealed),
            "5a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839"
            "b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d"
            "06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee");
}

// RFC 9001 appendix A.4: the Retry integrity tag over the pseudo-packet.
TEST_P(Aead, MatchesTheRfcsRetryTag) {
  const base::Bytes pseudo_packet =
      hex("088394c8f03e515708ff000000010008f067a5502a4262b5746f6b656e");
  const auto key = backend().packet_key(hex("be0c690b9f66575a1d766b54e368c84e").data());
  base::Bytes tag(aead_tag_length);
  ASSERT_TRUE(key->seal(tag.data(), {}, hex("461599d35d632bf2239825bb").data(), pseudo_packet));
  EXPECT_EQ(base::to_hex(tag), "04a265ba2eff4d829058fb3f0f2496ba");
}

TEST_P(Aead, RefusesWhatWasTamperedWith) {
  const base::Bytes key_octets(aead_key_length, 1);
  const base::Bytes nonce(aead_nonce_length, 2);
  const base::Bytes associated(20, 3);
  const base::Bytes plaintext(100, 4);
  const auto key = backend().packet_key(key_octets.data());
  base::Bytes sealed(plaintext.size() + aead_tag_length);
  ASSERT_TRUE(key->seal(sealed.data(), plaintext, nonce.data(), associated));
  base::Bytes opened(plaintext.size());
  ASSERT_TRUE(key->open(opened.data(), sealed, nonce.data(), associated));
  EXPECT_EQ(opened, plaintext);
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    base::Bytes broken = sealed;
    broken[i] ^= 0x80;
    EXPECT_FALSE(key->open(opened.data(), broken, nonce.data(), associated)) << "octet " << i;
  }
  base::Bytes other = associated;
  other[0] ^= 1;
  EXPECT_FALSE(key->open(opened.data(), sealed, nonce.data(), other));
  EXPECT_FALSE(key->open(opened.data(), base::BytesView(sealed).first(15), nonce.data(), {}));
}

TEST(AeadBackends, AgreeOnEverySize) {
  if (ipsec_mb_backend() == nullptr) GTEST_SKIP() << "ipsec-mb is not for this CPU";
  std::mt19937 random(1);
  const auto noise = [&random](std::size_t size) {
    base::Bytes out(size);
    for (auto& octet : out) octet = static_cast<std::uint8_t>(random());
    return out;
  };
  for (std::size_t size = 0; size <= 1500; size += size < 300 ? 1 : 37) {
    const base::Bytes key = noise(aead_key_length);
    const base::Bytes nonce = noise(aead_nonce_length);
    const base::Bytes associated = noise(size % 48);
    const base::Bytes plaintext = noise(size);
    base::Bytes ours(size + aead_tag_length);
    base::Bytes in_place = plaintext;
    in_place.resize(size + aead_tag_length);
    ASSERT_TRUE(gnutls_backend()
                    .packet_key(key.data())
                    ->seal(ours.data(), plaintext, nonce.data(), associated));
    const auto fast = ipsec_mb_backend()->packet_key(key.data());
    ASSERT_TRUE(fast->seal(in_place.data(), base::BytesView(in_place).first(size), nonce.data(),
                           associated));
    ASSERT_EQ(ours, in_place) << size;
    ASSERT_TRUE(fast->open(in_place.data(), in_place, nonce.data(), associated));
    in_place.resize(size);
    ASSERT_EQ(in_place, plaintext) << size;
  }
}

TEST(AeadBackends, AreSelectedByName) {
  EXPECT_TRUE(select_aead("gnutls"));
  EXPECT_EQ(selected_aead().name(), "gnutls");
  EXPECT_FALSE(select_aead("rot13"));
  EXPECT_EQ(selected_aead().name(), "gnutls");
  EXPECT_EQ(select_aead("ipsec-mb").has_value(), ipsec_mb_backend() != nullptr);
  EXPECT_TRUE(select_aead(std::nullopt));
  EXPECT_EQ(selected_aead().name(), ipsec_mb_backend() != nullptr ? "ipsec-mb" : "gnutls");
}

}  // namespace
}  // namespace ztna::quic
