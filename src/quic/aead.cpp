#include "quic/aead.hpp"

#include <string>

#include "quic/connection.hpp"

namespace ztna::quic {
namespace {

const AeadBackend& best() {
  const AeadBackend* fast = ipsec_mb_backend();
  return fast != nullptr ? *fast : gnutls_backend();
}

// Written at start-up only.
const AeadBackend*& selection() {
  static const AeadBackend* chosen = &best();
  return chosen;
}

}  // namespace

const AeadBackend& selected_aead() { return *selection(); }

std::string_view aead_backend() { return selected_aead().name(); }

base::Status select_aead(std::optional<std::string_view> name) {
  if (!name || name->empty()) {
    selection() = &best();
    return {};
  }
  if (*name == "gnutls") {
    selection() = &gnutls_backend();
    return {};
  }
  if (*name != "ipsec-mb") {
    return base::fail(base::ErrorCode::invalid_argument,
                      "unknown AEAD \"" + std::string(*name) + "\", use gnutls or ipsec-mb");
  }
  if (ipsec_mb_backend() == nullptr) {
    return base::fail(base::ErrorCode::unavailable,
                      "ipsec-mb is not part of this build or not for this CPU");
  }
  selection() = ipsec_mb_backend();
  return {};
}

}  // namespace ztna::quic
