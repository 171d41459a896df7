#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <array>
#include <cstring>

#include "quic/aead.hpp"

namespace ztna::quic {
namespace {

// GnuTLS takes keys through a struct without const.
gnutls_datum_t key_datum(const std::uint8_t* key) {
  return {const_cast<std::uint8_t*>(key), aead_key_length};
}

class GnutlsPacketKey final : public PacketKey {
 public:
  explicit GnutlsPacketKey(gnutls_aead_cipher_hd_t handle) : handle_(handle) {}
  ~GnutlsPacketKey() override { gnutls_aead_cipher_deinit(handle_); }

  bool seal(std::uint8_t* out, base::BytesView plaintext, const std::uint8_t* nonce,
            base::BytesView associated) override {
    std::size_t size = plaintext.size() + aead_tag_length;
    return gnutls_aead_cipher_encrypt(handle_, nonce, aead_nonce_length, associated.data(),
                                      associated.size(), aead_tag_length, plaintext.data(),
                                      plaintext.size(), out, &size) == 0;
  }

  bool open(std::uint8_t* out, base::BytesView sealed, const std::uint8_t* nonce,
            base::BytesView associated) override {
    if (sealed.size() < aead_tag_length) return false;
    std::size_t size = sealed.size() - aead_tag_length;
    return gnutls_aead_cipher_decrypt(handle_, nonce, aead_nonce_length, associated.data(),
                                      associated.size(), aead_tag_length, sealed.data(),
                                      sealed.size(), out, &size) == 0;
  }

 private:
  gnutls_aead_cipher_hd_t handle_;
};

class GnutlsHeaderKey final : public HeaderKey {
 public:
  explicit GnutlsHeaderKey(gnutls_cipher_hd_t handle) : handle_(handle) {}
  ~GnutlsHeaderKey() override { gnutls_cipher_deinit(handle_); }

  bool mask(std::uint8_t* out, const std::uint8_t* sample) override {
    // GnuTLS has no AES-ECB: one block of CBC with a zero IV is the same thing.
    std::array<std::uint8_t, header_sample_length> iv{};
    std::array<std::uint8_t, header_sample_length> block{};
    gnutls_cipher_set_iv(handle_, iv.data(), iv.size());
    if (gnutls_cipher_encrypt2(handle_, sample, header_sample_length, block.data(), block.size()) !=
        0) {
      return false;
    }
    std::memcpy(out, block.data(), header_mask_length);
    return true;
  }

 private:
  gnutls_cipher_hd_t handle_;
};

class GnutlsBackend final : public AeadBackend {
 public:
  std::string_view name() const override { return "gnutls"; }

  std::unique_ptr<PacketKey> packet_key(const std::uint8_t* key) const override {
    const gnutls_datum_t datum = key_datum(key);
    gnutls_aead_cipher_hd_t handle = nullptr;
    if (gnutls_aead_cipher_init(&handle, GNUTLS_CIPHER_AES_128_GCM, &datum) != 0) return nullptr;
    return std::make_unique<GnutlsPacketKey>(handle);
  }

  std::unique_ptr<HeaderKey> header_key(const std::uint8_t* key) const override {
    const gnutls_datum_t datum = key_datum(key);
    gnutls_cipher_hd_t handle = nullptr;
    if (gnutls_cipher_init(&handle, GNUTLS_CIPHER_AES_128_CBC, &datum, nullptr) != 0) {
      return nullptr;
    }
    return std::make_unique<GnutlsHeaderKey>(handle);
  }
};

}  // namespace

const AeadBackend& gnutls_backend() {
  static const GnutlsBackend backend;
  return backend;
}

}  // namespace ztna::quic
