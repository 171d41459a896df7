#include "quic/tls_session.hpp"

#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include <array>
#include <cstring>
#include <utility>

#include "quic/keys.hpp"

namespace ztna::quic {
namespace {

constexpr int quic_transport_parameters = 0x39;  // RFC 9001 §8.2

// Only the suite that both AEAD back ends have. The record layer's compatibility tricks (RFC 8446
// D.4) have no place in QUIC.
constexpr const char* priorities =
    "NONE:+VERS-TLS1.3:+AES-128-GCM:+AEAD:+SHA256:+GROUP-X25519:+GROUP-SECP256R1:"
    "+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256:+SIGN-EDDSA-ED25519:"
    "+SIGN-ECDSA-SECP384R1-SHA384:+SIGN-ECDSA-SHA384:+SIGN-RSA-PSS-RSAE-SHA256:"
    "+SIGN-RSA-PSS-SHA256:+SIGN-RSA-SHA256:+SIGN-RSA-PSS-RSAE-SHA384:+SIGN-RSA-SHA384:"
    "+CTYPE-X509:%DISABLE_TLS13_COMPAT_MODE";

// Parsed once: a private copy for each session costs kilobytes.
gnutls_priority_t shared_priorities() {
  static const gnutls_priority_t parsed = [] {
    gnutls_priority_t made = nullptr;
    return gnutls_priority_init(&made, priorities, nullptr) == 0 ? made : nullptr;
  }();
  return parsed;
}

base::Error gnutls_error(const char* what, int code) {
  return {base::ErrorCode::internal, what, "TLS", gnutls_strerror(code)};
}

std::optional<ngtcp2_encryption_level> from_gnutls(gnutls_record_encryption_level_t level) {
  switch (level) {
    case GNUTLS_ENCRYPTION_LEVEL_INITIAL: return NGTCP2_ENCRYPTION_LEVEL_INITIAL;
    case GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE: return NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE;
    case GNUTLS_ENCRYPTION_LEVEL_APPLICATION: return NGTCP2_ENCRYPTION_LEVEL_1RTT;
    default: return std::nullopt;
  }
}

std::optional<gnutls_record_encryption_level_t> to_gnutls(ngtcp2_encryption_level level) {
  switch (level) {
    case NGTCP2_ENCRYPTION_LEVEL_INITIAL: return GNUTLS_ENCRYPTION_LEVEL_INITIAL;
    case NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE: return GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE;
    case NGTCP2_ENCRYPTION_LEVEL_1RTT: return GNUTLS_ENCRYPTION_LEVEL_APPLICATION;
    default: return std::nullopt;
  }
}

// The alert that tells the peer why its certificate was refused (RFC 8446 §6.2), told from the
// certificate itself: Credentials::verify gives its reasons in words only.
std::uint8_t refusal_alert(const gnutls_datum_t& leaf_der, const TlsSession::Options& options) {
  gnutls_x509_crt_t leaf = nullptr;
  if (gnutls_x509_crt_init(&leaf) != 0) return GNUTLS_A_INTERNAL_ERROR;
  std::uint8_t alert = GNUTLS_A_BAD_CERTIFICATE;
  identity::Principal owner;
  std::size_t size = owner.spki.size();
  if (gnutls_x509_crt_import(leaf, &leaf_der, GNUTLS_X509_FMT_DER) == 0 &&
      gnutls_x509_crt_get_key_id(leaf, GNUTLS_KEYID_USE_SHA256, owner.spki.data(), &size) == 0) {
    const std::string der(base::as_text({leaf_der.data, leaf_der.size}));
    if (options.now.seconds < gnutls_x509_crt_get_activation_time(leaf) ||
        options.now.seconds > gnutls_x509_crt_get_expiration_time(leaf)) {
      alert = GNUTLS_A_CERTIFICATE_EXPIRED;
    } else if (!options.credentials->still_trusts(der, owner, options.now)) {
      alert = GNUTLS_A_UNKNOWN_CA;
    } else {
      alert = GNUTLS_A_ACCESS_DENIED;  // genuine, and not whom we want to talk to
    }
  }
  gnutls_x509_crt_deinit(leaf);
  return alert;
}

}  // namespace

struct TlsSession::Hooks {
  static TlsSession& self(gnutls_session_t session) {
    return *static_cast<TlsSession*>(gnutls_session_get_ptr(session));
  }

  static int secret(gnutls_session_t session, gnutls_record_encryption_level_t level,
                    const void* rx, const void* tx, std::size_t size) {
    return self(session).on_secret(level, rx, tx, size);
  }

  static int message(gnutls_session_t session, gnutls_record_encryption_level_t level,
                     gnutls_handshake_description_t type, const void* data, std::size_t size) {
    const auto quic_level = from_gnutls(level);
    if (type == GNUTLS_HANDSHAKE_CHANGE_CIPHER_SPEC || !quic_level) return 0;
    ngtcp2_conn* conn = self(session).conn_;
    const int rv = ngtcp2_conn_submit_crypto_data(conn, *quic_level,
                                                  static_cast<const std::uint8_t*>(data), size);
    if (rv == 0) return 0;
    ngtcp2_conn_set_tls_error(conn, rv);
    return -1;
  }

  static int alert(gnutls_session_t session, gnutls_record_encryption_level_t, gnutls_alert_level_t,
                   gnutls_alert_description_t description) {
    auto& tls = self(session);
    ngtcp2_conn_set_tls_alert(tls.conn_,
                              tls.alert_.value_or(static_cast<std::uint8_t>(description)));
    return 0;
  }

  static int receive_parameters(gnutls_session_t session, const unsigned char* data,
                                std::size_t size) {
    ngtcp2_conn* conn = self(session).conn_;
    const int rv = ngtcp2_conn_decode_and_set_remote_transport_params(conn, data, size);
    if (rv == 0) return 0;
    ngtcp2_conn_set_tls_error(conn, rv);
    return -1;
  }

  static int send_parameters(gnutls_session_t session, gnutls_buffer_t out) {
    std::array<std::uint8_t, 512> buffer{};
    const auto size = ngtcp2_conn_encode_local_transport_params(self(session).conn_, buffer.data(),
                                                                buffer.size());
    if (size < 0) return -1;
    return gnutls_buffer_append_data(out, buffer.data(), static_cast<std::size_t>(size));
  }

  static int verify(gnutls_session_t session) { return self(session).verify_peer(); }

  // GnuTLS hands out the exporter secret only here.
  static int key_log(gnutls_session_t session, const char* label, const gnutls_datum_t* secret) {
    auto& exporter = self(session).exporter_;
    if (std::strcmp(label, "EXPORTER_SECRET") == 0 && secret->size == exporter.expose().size()) {
      std::memcpy(exporter.expose().data(), secret->data, secret->size);
    }
    return 0;
  }
};

base::Result<std::unique_ptr<TlsSession>> TlsSession::make(Options options) {
  std::unique_ptr<TlsSession> tls(new TlsSession(std::move(options)));
  if (auto ok = tls->configure(); !ok) return tl::unexpected(std::move(ok.error()));
  return tls;
}

TlsSession::~TlsSession() {
  if (session_ != nullptr) gnutls_deinit(session_);
}

base::Status TlsSession::configure() {
  const auto failed = [](const char* what, int rv) {
    return base::Status(tl::unexpected(gnutls_error(what, rv)));
  };
  const unsigned flags = (options_.server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NO_TICKETS |
                         GNUTLS_NO_AUTO_SEND_TICKET | GNUTLS_NO_END_OF_EARLY_DATA;
  if (int rv = gnutls_init(&session_, flags); rv != 0) return failed("cannot make a session", rv);
  gnutls_session_set_ptr(session_, this);
  if (shared_priorities() == nullptr) return failed("the cipher list is not understood", -1);
  if (int rv = gnutls_priority_set(session_, shared_priorities()); rv != 0) {
    return failed("cannot set the cipher list", rv);
  }
  if (int rv =
          gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, options_.credentials->handle());
      rv != 0) {
    return failed("cannot use the certificate", rv);
  }
  gnutls_datum_t alpn{reinterpret_cast<unsigned char*>(options_.alpn.data()),
                      static_cast<unsigned>(options_.alpn.size())};
  if (int rv = gnutls_alpn_set_protocols(session_, &alpn, 1, GNUTLS_ALPN_MANDATORY); rv != 0) {
    return failed("cannot set the ALPN", rv);
  }
  if (options_.server) {
    gnutls_certificate_server_set_request(session_, GNUTLS_CERT_REQUIRE);
  } else if (const auto& host = options_.expect.web_pki_host; !host.empty()) {
    gnutls_server_name_set(session_, GNUTLS_NAME_DNS, host.data(), host.size());
  }
  gnutls_session_set_verify_function(session_, Hooks::verify);
  gnutls_handshake_set_secret_function(session_, Hooks::secret);
  gnutls_handshake_set_read_function(session_, Hooks::message);
  gnutls_alert_set_read_function(session_, Hooks::alert);
  gnutls_session_set_keylog_function(session_, Hooks::key_log);
  if (int rv = gnutls_session_ext_register(
          session_, "QUIC transport parameters", quic_transport_parameters, GNUTLS_EXT_TLS,
          Hooks::receive_parameters, Hooks::send_parameters, nullptr, nullptr, nullptr,
          GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO | GNUTLS_EXT_FLAG_EE);
      rv != 0) {
    return failed("cannot register the transport parameters", rv);
  }
  return {};
}

bool TlsSession::advance(ngtcp2_encryption_level level, base::BytesView data) {
  if (complete_) {
    // Tickets are off and key updates are QUIC's own (RFC 9001 §6): nothing may follow.
    ngtcp2_conn_set_tls_alert(conn_, GNUTLS_A_UNEXPECTED_MESSAGE);
    return data.empty();
  }
  int rv = 0;
  if (!data.empty()) {
    const auto tls_level = to_gnutls(level);
    if (!tls_level) return false;
    rv = gnutls_handshake_write(session_, *tls_level, data.data(), data.size());
  }
  if (rv == 0) rv = gnutls_handshake(session_);
  if (rv < 0 && gnutls_error_is_fatal(rv) == 0) return true;
  if (rv == 0 && !selected_alpn()) {
    rv = GNUTLS_E_NO_APPLICATION_PROTOCOL;
  }
  if (rv < 0) {
    if (!error_) {
      error_ = base::Error{base::ErrorCode::unauthenticated, gnutls_strerror(rv), "TLS", {}};
    }
    gnutls_alert_send_appropriate(session_, rv);
    return false;
  }
  complete_ = true;
  ngtcp2_conn_tls_handshake_completed(conn_);
  return true;
}

// A peer that sends no ALPN at all gets past GnuTLS's own check (RFC 9001 §8.1 forbids it).
bool TlsSession::selected_alpn() {
  gnutls_datum_t chosen{};
  return gnutls_alpn_get_selected_protocol(session_, &chosen) == 0 &&
         base::as_text({chosen.data, chosen.size}) == options_.alpn;
}

int TlsSession::verify_peer() {
  auto principal = options_.credentials->verify(session_, options_.expect, options_.now);
  if (principal) {
    peer_ = std::move(*principal);
    return 0;
  }
  error_ = std::move(principal.error());
  unsigned count = 0;
  const gnutls_datum_t* chain = gnutls_certificate_get_peers(session_, &count);
  alert_ = GNUTLS_A_BAD_CERTIFICATE;
  if (count > 0) alert_ = refusal_alert(chain[0], options_);
  return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

int TlsSession::on_secret(gnutls_record_encryption_level_t level, const void* rx, const void* tx,
                          std::size_t size) {
  const auto quic_level = from_gnutls(level);
  if (!quic_level || size != 32) return -1;
  const auto install = [&](Direction direction, const void* secret) {
    return secret == nullptr || install_keys(conn_, *options_.backend, *quic_level, direction,
                                             {static_cast<const std::uint8_t*>(secret), size});
  };
  return install(Direction::receive, rx) && install(Direction::send, tx) ? 0 : -1;
}

std::optional<TlsSession::Outcome> TlsSession::outcome() const {
  if (!complete_ || !peer_) return std::nullopt;
  unsigned count = 0;
  const gnutls_datum_t* chain = gnutls_certificate_get_peers(session_, &count);
  if (chain == nullptr || count == 0) return std::nullopt;
  return Outcome{*peer_, std::string(base::as_text({chain[0].data, chain[0].size})), exporter_};
}

base::Result<base::Secret<32>> tls_export(base::BytesView exporter_secret, std::string_view label,
                                          base::BytesView context) {
  // HKDF-Expand-Label(Derive-Secret(Secret, label, ""), "exporter", Hash(context_value), length)
  std::array<std::uint8_t, 32> empty_hash{};
  std::array<std::uint8_t, 32> context_hash{};
  base::Secret<32> derived;
  base::Secret<32> out;
  if (gnutls_hash_fast(GNUTLS_DIG_SHA256, "", 0, empty_hash.data()) != 0 ||
      gnutls_hash_fast(GNUTLS_DIG_SHA256, context.data(), context.size(), context_hash.data()) !=
          0 ||
      !expand_label(derived.expose(), exporter_secret, label, empty_hash) ||
      !expand_label(out.expose(), derived.expose(), "exporter", context_hash)) {
    return base::fail(base::ErrorCode::invalid_argument, "cannot derive exported keys", "TLS");
  }
  return out;
}

std::string describe_alert(std::uint8_t alert) {
  const char* name = gnutls_alert_get_name(static_cast<gnutls_alert_description_t>(alert));
  if (name == nullptr) return "TLS alert " + std::to_string(alert);
  return std::string(name) + " (TLS alert " + std::to_string(alert) + ")";
}

}  // namespace ztna::quic
