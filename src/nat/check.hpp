// A check: a STUN Binding request (RFC 8489) between the two ends of a session, and its answer, on
// the socket that QUIC uses. USERNAME names the session; each direction has its own key for
// MESSAGE-INTEGRITY-SHA256, from the session's TLS exporter. PATH-STATE, an attribute of ours in
// the range that others ignore, says what the sender knows about the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "wire/stun.hpp"

namespace ztna::nat {

struct CheckState {
  std::uint32_t sequence = 0;  // of the sender's checks; an older one than seen is a replay
  bool proven = false;         // the sender has had an answer on this path
  bool doubt = false;          // the sender doubts the direct path in use; sent over the relay
  friend bool operator==(const CheckState&, const CheckState&) = default;
};

struct Check {
  bool request = false;  // else an answer
  wire::stun::TransactionId transaction;
  CheckState state;
  std::optional<base::Address> mapped;  // answers: where the request came from
};

// Room for any check without padding.
inline constexpr std::size_t max_check = 200;

// Written into `out`; empty when that is too small. `size`: pads to as many octets (0: none).
[[nodiscard]] base::BytesView write_request(base::MutableBytes out,
                                            const wire::stun::TransactionId& transaction,
                                            const base::SessionId& session, const CheckState& state,
                                            std::size_t size, base::BytesView key);
[[nodiscard]] base::BytesView write_answer(base::MutableBytes out,
                                           const wire::stun::TransactionId& transaction,
                                           const CheckState& state, const base::Address& mapped,
                                           base::BytesView key);

// The session that a request is about. Nothing when it is not a check.
[[nodiscard]] std::optional<base::SessionId> session_of(const wire::stun::Message& message);
// Nothing when it is not a check or was not made with `key`.
[[nodiscard]] std::optional<Check> read_check(const wire::stun::Message& message,
                                              base::BytesView key);

// Answers carry no USERNAME: the transaction id has the tag of its sender in it.
[[nodiscard]] wire::stun::TransactionId make_transaction(std::uint32_t tag, base::Random& random);
[[nodiscard]] std::uint32_t tag_of(const wire::stun::TransactionId& transaction);

}  // namespace ztna::nat
