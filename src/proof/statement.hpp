// What one node has seen of one session, as a text that it signs. Each says only what it knows by
// itself: an Agent and a Connector what they sent and received, an Intermediate what it relayed.
//
// Pure values; not tied to any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"
#include "identity/credentials.hpp"
#include "identity/principal.hpp"
#include "identity/signed_text.hpp"

namespace ztna::proof {

// Packets of the session since it began. Checks are not among them: what is counted are the QUIC
// packets that carry flows, and the session's own acknowledgements.
struct EndCounts {
  std::uint64_t direct_sent = 0, direct_received = 0;
  std::uint64_t relay_sent = 0, relay_received = 0;
  // Not sent or not taken, direct path suspended.
  std::uint64_t direct_dropped = 0;
};

// What an Agent or a Connector says.
struct EndView {
  std::string path;     // "DIRECT" or "RELAY": where its packets go now
  std::string peer;     // the address they go to, or the relay's name
  std::string binding;  // hexadecimal; from the session's TLS keys and the nonce: both ends have
                        // the same, and nobody else (RFC 8446 §7.5)
  bool direct_suspended = false;
  EndCounts counts;
};

// What an Intermediate says.
struct RelayView {
  std::uint64_t packets = 0;  // of the session, relayed; both directions
  std::uint64_t checks = 0;   // STUN among what was relayed, not in `packets`
  std::uint64_t dropped = 0;  // not relayed, because suspended
  bool suspended = false;
};

struct Statement {
  identity::Role role = identity::Role::agent;
  std::string node;   // the signer's SPIFFE id
  std::string nonce;  // of who asked
  base::WallTime at;
  std::string session;           // id, hexadecimal
  std::string agent, connector;  // SPIFFE ids of the two ends
  // Exactly one of them: `relay` for an Intermediate.
  std::optional<EndView> end;
  std::optional<RelayView> relay;
};

// 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'.
[[nodiscard]] bool is_valid_nonce(std::string_view nonce);

// The purpose that a signature of this role's statement stands for.
[[nodiscard]] std::string prefix(identity::Role role);

// One JSON object, the text that is signed.
[[nodiscard]] std::string to_text(const Statement& statement);
[[nodiscard]] base::Result<Statement> parse_statement(std::string_view text);

[[nodiscard]] base::Result<identity::SignedText> sign(const Statement& statement,
                                                      const identity::Credentials& credentials);
// The statement, if the certificate's key signed it for its role. Whose certificate that is, is for
// the caller to know.
[[nodiscard]] base::Result<Statement> open(const identity::SignedText& text);

}  // namespace ztna::proof
