// Answers STUN Binding requests: address discovery (RFC 8489) and the server's part of NAT
// behaviour discovery (RFC 5780 §6), which needs two IP addresses of one family with the same two
// ports on both. Also answers RFC 3489 requests in their own form.
//
// Amplification: a request may be as small as 20 octets. The largest answer to it has 76 octets of
// UDP payload over IPv4 and 124 over IPv6: with IP and UDP headers 2.2 and 2.5 times the request.
// PADDING is returned only as long as it came. The caller limits the rate for each source.
//
// Where the RFC is not followed: without a second IP address a server "must" refuse CHANGE-REQUEST;
// we still honour "change port" when there is a second port, which tells port-dependent filters
// from others. OTHER-ADDRESS promises both, and is sent only when both can be kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "wire/stun.hpp"

namespace ztna::wire::stun {

class StunServer {
 public:
  struct Answer {
    base::Address from;  // one of the listen addresses
    base::Address to;
    base::BytesView message;  // in the caller's buffer
  };

  // Every address that the caller can receive on and send from; concrete, not wildcards.
  explicit StunServer(std::vector<base::Address> listen);

  // Nothing: not a Binding request, malformed, from one of our own addresses, or the answer does
  // not fit `out` (request size + 128 is always enough). `to` is the address it arrived at.
  [[nodiscard]] std::optional<Answer> answer(base::BytesView request, const base::Address& source,
                                             const base::Address& to, base::MutableBytes out) const;

 private:
  struct Alternate {
    std::optional<base::Address> port;  // same IP, other port
    std::optional<base::Address> ip;    // other IP, same port
    std::optional<base::Address> both;
  };
  [[nodiscard]] bool listens(const base::Address& address) const;
  [[nodiscard]] Alternate alternate(const base::Address& to) const;

  std::vector<base::Address> listen_;
};

}  // namespace ztna::wire::stun
