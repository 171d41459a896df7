#include "quic/close_info.hpp"

#include <algorithm>
#include <string_view>

#include "quic/tls_session.hpp"

namespace ztna::quic {
namespace {

constexpr std::size_t max_reason = 256;

// RFC 9000 §20.1.
std::string_view transport_error(std::uint64_t code) {
  switch (code) {
    case NGTCP2_NO_ERROR: return "no error";
    case NGTCP2_INTERNAL_ERROR: return "internal error";
    case NGTCP2_CONNECTION_REFUSED: return "connection refused";
    case NGTCP2_FLOW_CONTROL_ERROR: return "flow control error";
    case NGTCP2_STREAM_LIMIT_ERROR: return "stream limit error";
    case NGTCP2_STREAM_STATE_ERROR: return "stream state error";
    case NGTCP2_FINAL_SIZE_ERROR: return "final size error";
    case NGTCP2_FRAME_ENCODING_ERROR: return "frame encoding error";
    case NGTCP2_TRANSPORT_PARAMETER_ERROR: return "transport parameter error";
    case NGTCP2_CONNECTION_ID_LIMIT_ERROR: return "connection id limit error";
    case NGTCP2_PROTOCOL_VIOLATION: return "protocol violation";
    case NGTCP2_INVALID_TOKEN: return "invalid token";
    case NGTCP2_CRYPTO_BUFFER_EXCEEDED: return "crypto buffer exceeded";
    case NGTCP2_KEY_UPDATE_ERROR: return "key update error";
    case NGTCP2_AEAD_LIMIT_REACHED: return "AEAD limit reached";
    case NGTCP2_NO_VIABLE_PATH: return "no viable path";
    default: return "transport error";
  }
}

// CRYPTO_ERROR carries a TLS alert (RFC 9001 §4.8).
bool is_tls(std::uint64_t code) { return code >= 0x100 && code <= 0x1ff; }

// bad_certificate to unknown_ca, and access_denied (RFC 8446 §6): one was shown.
bool is_about_certificate(std::uint8_t alert) {
  return (alert >= 42 && alert <= 46) || alert == 48 || alert == 49;
}

}  // namespace

std::string_view to_string(CloseCause cause) {
  switch (cause) {
    case CloseCause::local: return "local";
    case CloseCause::peer: return "peer";
    case CloseCause::idle: return "idle";
    case CloseCause::handshake: return "handshake";
    case CloseCause::reset: return "reset";
    case CloseCause::protocol: return "protocol";
  }
  return "unknown";
}

std::string printable(base::BytesView text) {
  std::string out(base::as_text(text.first(std::min(text.size(), max_reason))));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return out;
}

CloseInfo closed_by_peer(const ngtcp2_ccerr& error) {
  CloseInfo info;
  info.cause = CloseCause::peer;
  info.application = error.type == NGTCP2_CCERR_TYPE_APPLICATION;
  info.code = error.error_code;
  info.reason = printable({error.reason, error.reasonlen});
  if (info.application) return info;
  std::string what(transport_error(info.code));
  if (is_tls(info.code)) {
    info.cause = CloseCause::handshake;
    what = "the peer refused the handshake: " +
           describe_alert(static_cast<std::uint8_t>(info.code & 0xff));
  }
  info.reason = info.reason.empty() ? what : what + ": " + info.reason;
  if (info.reason.size() > max_reason) info.reason.resize(max_reason);
  return info;
}

CloseInfo closed_by_error(int library_error, std::uint8_t tls_alert,
                          const std::optional<base::Error>& tls, bool established) {
  CloseInfo info;
  info.cause = established ? CloseCause::protocol : CloseCause::handshake;
  info.code = ngtcp2_err_infer_quic_transport_error_code(library_error);
  switch (library_error) {
    case NGTCP2_ERR_IDLE_CLOSE:
      info.cause = CloseCause::idle;
      info.reason = "nothing was heard from the peer for too long";
      break;
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
      info.reason = "the handshake was not finished in time";
      break;
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
      info.reason = "the server does not speak QUIC version 1";
      break;
    case NGTCP2_ERR_CRYPTO:
      info.code = 0x100 | tls_alert;
      info.certificate_refused = is_about_certificate(tls_alert);
      info.reason = tls ? tls->message() : describe_alert(tls_alert);
      if (tls && tls_alert != 0) info.reason += ", " + describe_alert(tls_alert);
      break;
    default: info.reason = "QUIC failed: " + std::string(ngtcp2_strerror(library_error)); break;
  }
  return info;
}

}  // namespace ztna::quic
