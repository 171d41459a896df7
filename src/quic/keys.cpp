#include "quic/keys.hpp"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <cstring>

namespace ztna::quic {
namespace {

// RFC 9001 §5.2 and §5.8.
constexpr std::array<std::uint8_t, 20> initial_salt = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34,
                                                       0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8,
                                                       0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
constexpr std::array<std::uint8_t, 16> retry_key = {0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a,
                                                    0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e};

// RFC 9001 §6.6, for AES-GCM: packets one key may protect, and forged packets it may meet.
constexpr std::uint64_t confidentiality_limit = std::uint64_t{1} << 23;
constexpr std::uint64_t integrity_limit = std::uint64_t{1} << 52;

gnutls_datum_t datum(base::BytesView bytes) {
  return {const_cast<std::uint8_t*>(bytes.data()), static_cast<unsigned>(bytes.size())};
}

PacketKey* packet_key(const ngtcp2_crypto_aead_ctx* context) {
  return static_cast<PacketKey*>(context->native_handle);
}

ngtcp2_crypto_aead aead(const AeadBackend& backend) {
  return {const_cast<AeadBackend*>(&backend), aead_tag_length};
}

ngtcp2_crypto_ctx suite(const AeadBackend& backend) {
  ngtcp2_crypto_ctx context{};
  context.aead = aead(backend);
  context.hp.native_handle = const_cast<AeadBackend*>(&backend);
  context.max_encryption = confidentiality_limit;
  context.max_decryption_failure = integrity_limit;
  return context;
}

int encrypt(std::uint8_t* dest, const ngtcp2_crypto_aead*, const ngtcp2_crypto_aead_ctx* context,
            const std::uint8_t* plaintext, std::size_t plaintext_size, const std::uint8_t* nonce,
            std::size_t nonce_size, const std::uint8_t* associated, std::size_t associated_size) {
  const bool ok = nonce_size == aead_nonce_length &&
                  packet_key(context)->seal(dest, {plaintext, plaintext_size}, nonce,
                                            {associated, associated_size});
  return ok ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

int decrypt(std::uint8_t* dest, const ngtcp2_crypto_aead*, const ngtcp2_crypto_aead_ctx* context,
            const std::uint8_t* sealed, std::size_t sealed_size, const std::uint8_t* nonce,
            std::size_t nonce_size, const std::uint8_t* associated, std::size_t associated_size) {
  const bool ok =
      nonce_size == aead_nonce_length &&
      packet_key(context)->open(dest, {sealed, sealed_size}, nonce, {associated, associated_size});
  return ok ? 0 : NGTCP2_ERR_DECRYPT;
}

int header_mask(std::uint8_t* dest, const ngtcp2_crypto_cipher*,
                const ngtcp2_crypto_cipher_ctx* context, const std::uint8_t* sample) {
  return static_cast<HeaderKey*>(context->native_handle)->mask(dest, sample)
             ? 0
             : NGTCP2_ERR_CALLBACK_FAILURE;
}

// Key Update (RFC 9001 §6.1): the header protection key stays.
bool next_generation(const AeadBackend& backend, std::uint8_t* secret,
                     ngtcp2_crypto_aead_ctx* context, std::uint8_t* iv,
                     const std::uint8_t* current) {
  TrafficSecret next;
  PacketSecrets packet;
  if (!expand_label(next.expose(), {current, next.expose().size()}, "quic ku") ||
      !derive_packet_secrets(packet, next.expose())) {
    return false;
  }
  auto key = backend.packet_key(packet.key.expose().data());
  if (!key) return false;
  std::memcpy(secret, next.expose().data(), next.expose().size());
  std::memcpy(iv, packet.iv.expose().data(), aead_nonce_length);
  context->native_handle = key.release();
  return true;
}

int update_key(ngtcp2_conn* conn, std::uint8_t* rx_secret, std::uint8_t* tx_secret,
               ngtcp2_crypto_aead_ctx* rx, std::uint8_t* rx_iv, ngtcp2_crypto_aead_ctx* tx,
               std::uint8_t* tx_iv, const std::uint8_t* current_rx, const std::uint8_t* current_tx,
               std::size_t secret_size, void*) {
  const auto& backend =
      *static_cast<const AeadBackend*>(ngtcp2_conn_get_crypto_ctx(conn)->aead.native_handle);
  if (secret_size != 32 || !next_generation(backend, rx_secret, rx, rx_iv, current_rx)) {
    return NGTCP2_ERR_CALLBACK_FAILURE;
  }
  if (!next_generation(backend, tx_secret, tx, tx_iv, current_tx)) {
    delete packet_key(rx);
    rx->native_handle = nullptr;
    return NGTCP2_ERR_CALLBACK_FAILURE;
  }
  return 0;
}

void delete_packet_key(ngtcp2_conn*, ngtcp2_crypto_aead_ctx* context, void*) {
  delete packet_key(context);
}
void delete_header_key(ngtcp2_conn*, ngtcp2_crypto_cipher_ctx* context, void*) {
  delete static_cast<HeaderKey*>(context->native_handle);
}

// Keys that still belong to us; released into ngtcp2 once it has accepted them.
struct Protection {
  std::unique_ptr<PacketKey> packet;
  std::unique_ptr<HeaderKey> header;
  base::Secret<aead_nonce_length> iv;

  [[nodiscard]] bool derive(const AeadBackend& backend, base::BytesView secret) {
    PacketSecrets secrets;
    if (!derive_packet_secrets(secrets, secret)) return false;
    packet = backend.packet_key(secrets.key.expose().data());
    header = backend.header_key(secrets.header.expose().data());
    iv = secrets.iv;
    return packet && header;
  }
  [[nodiscard]] ngtcp2_crypto_aead_ctx aead_context() const { return {packet.get()}; }
  [[nodiscard]] ngtcp2_crypto_cipher_ctx header_context() const { return {header.get()}; }
  void release() {
    (void)packet.release();
    (void)header.release();
  }
};

}  // namespace

bool expand_label(base::MutableBytes out, base::BytesView secret, std::string_view label,
                  base::BytesView context) {
  // struct { uint16 length; opaque label<7..255> = "tls13 " + Label; opaque context<0..255>; }
  constexpr std::string_view prefix = "tls13 ";
  std::array<std::uint8_t, 2 + 1 + 255 + 1 + 255> info{};
  if (prefix.size() + label.size() > 255 || context.size() > 255) return false;
  std::size_t size = 0;
  base::store_be16(info.data(), static_cast<std::uint16_t>(out.size()));
  size += 2;
  info[size++] = static_cast<std::uint8_t>(prefix.size() + label.size());
  std::memcpy(info.data() + size, prefix.data(), prefix.size());
  size += prefix.size();
  std::memcpy(info.data() + size, label.data(), label.size());
  size += label.size();
  info[size++] = static_cast<std::uint8_t>(context.size());
  if (!context.empty()) std::memcpy(info.data() + size, context.data(), context.size());
  size += context.size();
  const gnutls_datum_t key = datum(secret);
  const gnutls_datum_t info_datum = datum(base::BytesView(info).first(size));
  return gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &key, &info_datum, out.data(), out.size()) == 0;
}

bool derive_initial_secrets(InitialSecrets& out, base::BytesView client_dcid) {
  TrafficSecret initial;
  const gnutls_datum_t key = datum(client_dcid);
  const gnutls_datum_t salt = datum(initial_salt);
  return gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &key, &salt, initial.expose().data()) == 0 &&
         expand_label(out.client.expose(), initial.expose(), "client in") &&
         expand_label(out.server.expose(), initial.expose(), "server in");
}

bool derive_packet_secrets(PacketSecrets& out, base::BytesView traffic_secret) {
  return expand_label(out.key.expose(), traffic_secret, "quic key") &&
         expand_label(out.iv.expose(), traffic_secret, "quic iv") &&
         expand_label(out.header.expose(), traffic_secret, "quic hp");
}

void set_crypto_callbacks(ngtcp2_callbacks& callbacks) {
  callbacks.encrypt = encrypt;
  callbacks.decrypt = decrypt;
  callbacks.hp_mask = header_mask;
  callbacks.update_key = update_key;
  callbacks.delete_crypto_aead_ctx = delete_packet_key;
  callbacks.delete_crypto_cipher_ctx = delete_header_key;
}

bool install_initial_keys(ngtcp2_conn* conn, const AeadBackend& backend,
                          const ngtcp2_cid& client_dcid) {
  InitialSecrets secrets;
  if (!derive_initial_secrets(secrets, {client_dcid.data, client_dcid.datalen})) return false;
  const bool server = ngtcp2_conn_is_server(conn) != 0;
  Protection rx;
  Protection tx;
  if (!rx.derive(backend, (server ? secrets.client : secrets.server).expose()) ||
      !tx.derive(backend, (server ? secrets.server : secrets.client).expose())) {
    return false;
  }
  const ngtcp2_crypto_ctx context = suite(backend);
  ngtcp2_conn_set_initial_crypto_ctx(conn, &context);
  const auto rx_aead = rx.aead_context();
  const auto rx_header = rx.header_context();
  const auto tx_aead = tx.aead_context();
  const auto tx_header = tx.header_context();
  if (ngtcp2_conn_install_initial_key(conn, &rx_aead, rx.iv.expose().data(), &rx_header, &tx_aead,
                                      tx.iv.expose().data(), &tx_header, aead_nonce_length) != 0) {
    return false;
  }
  rx.release();
  tx.release();
  if (!server && ngtcp2_conn_after_retry(conn) == 0) {
    auto key = backend.packet_key(retry_key.data());
    if (!key) return false;
    const ngtcp2_crypto_aead retry = aead(backend);
    const ngtcp2_crypto_aead_ctx retry_context{key.release()};
    ngtcp2_conn_set_retry_aead(conn, &retry, &retry_context);
  }
  return true;
}

bool install_keys(ngtcp2_conn* conn, const AeadBackend& backend, ngtcp2_encryption_level level,
                  Direction direction, base::BytesView secret) {
  if (ngtcp2_conn_get_crypto_ctx(conn)->aead.native_handle == nullptr) {
    const ngtcp2_crypto_ctx context = suite(backend);
    ngtcp2_conn_set_crypto_ctx(conn, &context);
  }
  Protection keys;
  if (!keys.derive(backend, secret)) return false;
  const auto packet = keys.aead_context();
  const auto header = keys.header_context();
  const std::uint8_t* iv = keys.iv.expose().data();
  const bool receive = direction == Direction::receive;
  int rv = NGTCP2_ERR_INVALID_ARGUMENT;
  if (level == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE) {
    const auto install =
        receive ? ngtcp2_conn_install_rx_handshake_key : ngtcp2_conn_install_tx_handshake_key;
    rv = install(conn, &packet, iv, aead_nonce_length, &header);
  } else if (level == NGTCP2_ENCRYPTION_LEVEL_1RTT) {
    const auto install = receive ? ngtcp2_conn_install_rx_key : ngtcp2_conn_install_tx_key;
    rv = install(conn, secret.data(), secret.size(), &packet, iv, aead_nonce_length, &header);
  }
  if (rv != 0) return false;
  keys.release();
  return true;
}

}  // namespace ztna::quic
