// The TLS 1.3 handshake of one connection over GnuTLS: mutual, one ALPN, one cipher suite, no
// resumption, no tickets, no 0-RTT (RFC 9001 §4). It lives until the handshake is over; what is
// needed later (the peer, the exporter secret) is taken out of it.
#pragma once

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>

#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"
#include "identity/credentials.hpp"
#include "identity/principal.hpp"
#include "quic/aead.hpp"

namespace ztna::quic {

class TlsSession {
 public:
  struct Options {
    bool server = false;
    std::string alpn;
    std::shared_ptr<const identity::Credentials> credentials;
    identity::Expectation expect;
    base::WallTime now;
    const AeadBackend* backend = nullptr;
  };
  [[nodiscard]] static base::Result<std::unique_ptr<TlsSession>> make(Options options);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Where keys, handshake messages, transport parameters and alerts go. Before advance().
  void attach(ngtcp2_conn* conn) { conn_ = conn; }
  [[nodiscard]] const AeadBackend& backend() const { return *options_.backend; }

  // Feeds CRYPTO data (may be empty, to start a client) and goes on as far as possible. False: the
  // handshake failed, error() may say why in words, and ngtcp2 knows the alert or library error.
  [[nodiscard]] bool advance(ngtcp2_encryption_level level, base::BytesView data);

  // Why the peer was refused, if it was.
  [[nodiscard]] const std::optional<base::Error>& error() const { return error_; }

  // What the handshake proved; complete handshakes only.
  struct Outcome {
    identity::Principal peer;
    std::string certificate;  // leaf, DER
    base::Secret<32> exporter;
  };
  [[nodiscard]] std::optional<Outcome> outcome() const;

 private:
  explicit TlsSession(Options options) : options_(std::move(options)) {}
  [[nodiscard]] base::Status configure();
  [[nodiscard]] bool selected_alpn();
  int verify_peer();
  int on_secret(gnutls_record_encryption_level_t level, const void* rx, const void* tx,
                std::size_t size);

  struct Hooks;  // GnuTLS's callbacks
  friend struct Hooks;

  Options options_;
  gnutls_session_t session_ = nullptr;
  ngtcp2_conn* conn_ = nullptr;
  std::optional<base::Error> error_;
  std::optional<identity::Principal> peer_;
  std::optional<std::uint8_t> alert_;  // our choice, instead of GnuTLS's guess
  base::Secret<32> exporter_;
  bool complete_ = false;
};

// TLS exporter (RFC 8446 §7.5) from the exporter_master_secret.
[[nodiscard]] base::Result<base::Secret<32>> tls_export(base::BytesView exporter_secret,
                                                        std::string_view label,
                                                        base::BytesView context);

// "certificate expired" for 45 and so on (RFC 8446 §6).
[[nodiscard]] std::string describe_alert(std::uint8_t alert);

}  // namespace ztna::quic
