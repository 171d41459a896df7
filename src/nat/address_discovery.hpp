// Learns how others see a UDP socket that has no connection to an Intermediate, whose own word for
// it would be QAD: a STUN Binding request (RFC 8489) asks one of its addresses from that very
// socket, for a mapping is one of a socket (RFC 4787 §4.1).
//
// An answer counts only when it comes from where the request went, to the socket that it left by,
// with its 96 random bits. Pure; the owner parses what arrives, and sends.
#pragma once

#include <cstddef>
#include <optional>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/datagram.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "wire/stun.hpp"

namespace ztna::nat {

class AddressDiscovery {
 public:
  struct Server {
    base::SocketId socket = 0;
    base::Address address;
    friend bool operator==(const Server&, const Server&) = default;
  };

  // `random` outlives it.
  explicit AddressDiscovery(base::Random& random) : random_(random) {}

  // Asks now. What another server said is forgotten; with nobody to ask, everything is.
  void start(const std::optional<Server>& server, base::Time now);
  // Asks no more until the next start().
  void stop() { active_ = false; }
  // While the address is wanted, it is asked for again and again, which keeps the mapping alive.
  void set_wanted(bool wanted) { wanted_ = wanted; }
  // The network may be another one: asks now. What is known holds until there is an answer.
  void ask(base::Time now);
  // A path was lost, perhaps with the mapping: asks now, unless it did a moment ago.
  void suspect(base::Time now);

  // False: it has to do with no question of ours.
  bool receive(const base::Incoming& packet, const wire::stun::Message& message);
  void expire(base::Time now);
  [[nodiscard]] base::Time next_deadline() const;
  [[nodiscard]] base::Outgoing transmit(base::MutableBytes buffer);

  // Nothing: not yet known, or the last question got no answer.
  [[nodiscard]] const std::optional<base::Address>& mapped() const { return mapped_; }

 private:
  void request(base::Time now);

  base::Random& random_;
  std::optional<Server> server_;
  bool active_ = false, wanted_ = false;
  bool asking_ = false;  // a question is without an answer
  bool due_ = false;     // a request is to leave
  wire::stun::TransactionId id_;
  std::size_t requests_ = 0;  // of this question
  base::Time asked_at_{}, next_request_{};
  std::optional<base::Address> mapped_;
};

}  // namespace ztna::nat
