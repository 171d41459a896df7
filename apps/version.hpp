// What --version prints and what nodes tell each other, for people.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "quic/aead.hpp"
#include "quic/connection.hpp"

namespace ztna {

inline std::string version_number() { return ZTNA_VERSION; }

// "0.1.0 (AEAD: ipsec-mb)"
inline std::string version_text() {
  return version_number() + " (AEAD: " + std::string(quic::aead_backend()) + ")";
}

// Chooses the packet protection: by ZTNA_AEAD, else the best for this CPU.
[[nodiscard]] inline base::Status choose_aead() {
  const char* const name = std::getenv("ZTNA_AEAD");
  if (name == nullptr || *name == '\0') return quic::select_aead(std::nullopt);
  return quic::select_aead(std::string_view(name));
}

}  // namespace ztna
