// A TLS 1.3 handshake between two Credentials in memory, to hear what verify() says at its place.
#pragma once

#include <gnutls/gnutls.h>

#include <deque>
#include <optional>
#include <string>

#include "identity/credentials.hpp"

namespace ztna::identity {

class TlsEnd {
 public:
  TlsEnd(unsigned flags, gnutls_certificate_credentials_t handle, const Credentials* verifier,
         Expectation expected, base::WallTime now)
      : verifier_(verifier), expected_(std::move(expected)), now_(now) {
    gnutls_init(&session_, flags | GNUTLS_NONBLOCK);
    gnutls_set_default_priority(session_);
    gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, handle);
    gnutls_certificate_server_set_request(session_, GNUTLS_CERT_REQUEST);
    gnutls_session_set_ptr(session_, this);
    gnutls_session_set_verify_function(session_, on_verify);
    gnutls_transport_set_ptr(session_, this);
    gnutls_transport_set_push_function(session_, on_push);
    gnutls_transport_set_pull_function(session_, on_pull);
    gnutls_handshake_set_timeout(session_, 0);
  }
  TlsEnd(const TlsEnd&) = delete;
  TlsEnd& operator=(const TlsEnd&) = delete;
  ~TlsEnd() { gnutls_deinit(session_); }

  void join(TlsEnd& peer) { peer_ = &peer; }
  int step() { return gnutls_handshake(session_); }
  [[nodiscard]] const std::optional<base::Result<Principal>>& verdict() const { return verdict_; }
  [[nodiscard]] gnutls_session_t session() const { return session_; }

 private:
  static int on_verify(gnutls_session_t session) {
    auto* const self = static_cast<TlsEnd*>(gnutls_session_get_ptr(session));
    self->verdict_ = self->verifier_->verify(session, self->expected_, self->now_);
    return *self->verdict_ ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
  }
  static ssize_t on_push(gnutls_transport_ptr_t end, const void* data, std::size_t size) {
    auto* const self = static_cast<TlsEnd*>(end);
    const auto* const octets = static_cast<const char*>(data);
    self->peer_->inbox_.insert(self->peer_->inbox_.end(), octets, octets + size);
    return static_cast<ssize_t>(size);
  }
  static ssize_t on_pull(gnutls_transport_ptr_t end, void* data, std::size_t size) {
    auto* const self = static_cast<TlsEnd*>(end);
    if (self->inbox_.empty()) {
      gnutls_transport_set_errno(self->session_, EAGAIN);
      return -1;
    }
    const std::size_t taken = std::min(size, self->inbox_.size());
    const auto end_of_taken = self->inbox_.begin() + static_cast<std::ptrdiff_t>(taken);
    std::copy(self->inbox_.begin(), end_of_taken, static_cast<char*>(data));
    self->inbox_.erase(self->inbox_.begin(), end_of_taken);
    return static_cast<ssize_t>(taken);
  }

  gnutls_session_t session_ = nullptr;
  const Credentials* verifier_;
  Expectation expected_;
  base::WallTime now_;
  TlsEnd* peer_ = nullptr;
  std::deque<char> inbox_;
  std::optional<base::Result<Principal>> verdict_;
};

struct TlsOutcome {
  std::optional<base::Result<Principal>> client_saw, server_saw;  // nullopt: never asked
};

// Runs a handshake to its end. The handles may be others than the verifiers' own, for impostors.
inline TlsOutcome handshake(TlsEnd& client, TlsEnd& server) {
  client.join(server);
  server.join(client);
  int client_code = GNUTLS_E_AGAIN, server_code = GNUTLS_E_AGAIN;
  for (int round = 0; round < 20; ++round) {
    if (gnutls_error_is_fatal(client_code) == 0 && client_code != 0) client_code = client.step();
    if (gnutls_error_is_fatal(server_code) == 0 && server_code != 0) server_code = server.step();
  }
  return {client.verdict(), server.verdict()};
}

}  // namespace ztna::identity
