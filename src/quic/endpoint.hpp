// Stateless part of a QUIC server, and the way from a packet to its connection: one table from
// connection id to the owner's handle, Version Negotiation, Retry and stateless reset.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <variant>

#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"
#include "quic/connection.hpp"
#include "quic/connection_id.hpp"

namespace ztna::quic {

class Endpoint {
 public:
  using Handle = std::uint64_t;  // the owner's name for a connection; never 0

  struct Keys {
    base::Secret<32> retry;  // authenticates Retry tokens (valid 10 s, bound to the address)
    base::Secret<32> reset;
  };
  Endpoint(Keys keys, ConnectionIdLayout layout, base::Random& random);

  void add(const ConnectionId& id, Handle handle);
  void remove(const ConnectionId& id);
  [[nodiscard]] std::size_t size() const;

  struct Deliver {
    Handle handle;
  };
  // A new connection may be accepted. `validated`: a Retry token proved the address.
  struct Accept {
    Initial initial;
    bool validated = false;
  };
  // Send this back, to where the packet came from.
  struct Reply {
    enum class Kind { version_negotiation, retry, stateless_reset, close } kind;
    base::Bytes packet;
  };
  struct Drop {
    enum class Why { malformed, unknown_connection, rate_limited, bad_token } why;
  };
  using Verdict = std::variant<Deliver, Accept, Reply, Drop>;

  struct Options {
    bool accept_new = false;     // a server role stands behind this path
    bool require_retry = false;  // answer token-less Initials with Retry
  };
  // `from` is what tokens are bound to (relayed packets: any stable stand-in). The caller should
  // have taken STUN (first two bits 00, RFC 9443) away before.
  [[nodiscard]] Verdict classify(base::BytesView datagram, const base::Address& from,
                                 Options options, base::Time now);

 private:
  [[nodiscard]] Verdict consider_initial(base::BytesView datagram, const base::Address& from,
                                         Options options, base::Time now);
  [[nodiscard]] Verdict retry(const Initial& initial, const base::Address& from, base::Time now);
  [[nodiscard]] Verdict reset_unknown(base::BytesView datagram, const std::uint8_t* dcid,
                                      base::Time now);

  Keys keys_;
  ConnectionIdLayout layout_;
  base::Random* random_;
  std::unordered_map<ConnectionId, Handle> table_;
  // Stateless resets: a token bucket, so that a flood of strangers gets few answers.
  double reset_tokens_ = 0;
  base::Time reset_refilled_{};
};

}  // namespace ztna::quic
