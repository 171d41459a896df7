// A NAT in memory: every behaviour that RFC 4787 names, and the trap of the plain Linux gateway,
// where a packet that nobody asked for spoils the port that the inside host is about to use.
// Pure: addresses and `now` come in, translated addresses come out. IPv4 UDP only.
#pragma once

#include <map>
#include <optional>
#include <utility>

#include "base/address.hpp"
#include "base/time.hpp"
#include "sim/seeded_random.hpp"

namespace ztna::sim {

// What of the remote endpoint a decision depends on: RFC 4787 §4.1 for mapping, §5 for filtering.
enum class Dependence : std::uint8_t { endpoint_independent, address, address_and_port };
inline constexpr auto independent = Dependence::endpoint_independent;
inline constexpr auto by_address = Dependence::address;
inline constexpr auto by_port = Dependence::address_and_port;

// RFC 4787 §4.2: which outside port a new mapping gets.
enum class PortAllocation : std::uint8_t { preserving, sequential, random };

struct NatBehaviour {
  Dependence mapping = Dependence::endpoint_independent;
  Dependence filtering = Dependence::address_and_port;
  PortAllocation ports = PortAllocation::preserving;
  bool hairpin = false;  // RFC 4787 §6, with the outside source address
  base::Duration lifetime = std::chrono::seconds(120);  // RFC 4787 REQ-5: the least allowed
  bool refreshed_inbound = false;  // RFC 4787 REQ-6; outbound packets always refresh
  // The router refuses what it does not forward before it remembers it. Off, as on a plain Linux
  // gateway: an unsolicited packet from R to port P is remembered for `spoiled_time` after the last
  // one, and what an inside host sends to R meanwhile does not get P.
  bool drops_input = false;
  base::Duration spoiled_time = std::chrono::seconds(30);

  friend bool operator==(const NatBehaviour&, const NatBehaviour&) = default;
};

// "address" for address-dependent, and so on; for the names of tests.
[[nodiscard]] const char* to_string(Dependence dependence);

class Nat {
 public:
  // `outside`: the public address; its port means nothing.
  Nat(const NatBehaviour& behaviour, const base::Address& outside, std::uint64_t seed)
      : behaviour_(behaviour), outside_(outside.with_port(0)), random_(seed) {}

  // An inside host sends: the source address as the outside sees it.
  [[nodiscard]] base::Address outbound(const base::Address& inside, const base::Address& remote,
                                       base::Time now);
  // A packet from outside: the inside host that gets it, if one does.
  [[nodiscard]] std::optional<base::Address> inbound(const base::Address& remote,
                                                     const base::Address& outside, base::Time now);
  // The inside host that has this outside port, whether or not a packet would pass.
  [[nodiscard]] std::optional<base::Address> holder(const base::Address& outside,
                                                    base::Time now) const;

  void flush();  // forgets all state, as `conntrack -F` does
  void reboot(const base::Address& outside);

  [[nodiscard]] const NatBehaviour& behaviour() const { return behaviour_; }
  [[nodiscard]] const base::Address& outside() const { return outside_; }
  // Owns that IP address.
  [[nodiscard]] bool has(const base::Address& address) const {
    return address.with_port(0) == outside_;
  }
  [[nodiscard]] std::size_t mappings(base::Time now) const;

 private:
  // The inside endpoint, and as much of the remote one as the mapping depends on.
  using Key = std::pair<base::Address, base::Address>;
  struct Mapping {
    std::uint16_t port = 0;
    base::Time expires{};
    bool detour = false;    // made because the usual port was spoiled for this remote endpoint
    bool answered = false;  // a packet came in by it
  };

  [[nodiscard]] Key key(const base::Address& inside, const base::Address& remote) const;
  [[nodiscard]] Mapping& mapping_for(const base::Address& inside, const base::Address& remote,
                                     base::Time now);
  [[nodiscard]] std::map<Key, Mapping>::iterator by_port(std::uint16_t port);
  [[nodiscard]] bool admits(const base::Address& inside, const base::Address& remote) const;
  void permit(const base::Address& inside, const base::Address& remote, base::Time now);
  void refresh(Mapping& mapping, base::Time now);
  [[nodiscard]] bool taken(std::uint16_t port) const;
  [[nodiscard]] bool spoiled(std::uint16_t port, const base::Address& remote) const;
  [[nodiscard]] std::uint16_t allocate(const base::Address& inside, const base::Address& remote);
  void forget_expired(base::Time now);

  NatBehaviour behaviour_;
  base::Address outside_;
  SeededRandom random_;
  std::uint16_t last_port_ = first_port - 1;
  std::map<Key, Mapping> mappings_;
  std::map<std::pair<base::Address, base::Address>, base::Time> sent_to_;  // inside, remote
  std::map<std::pair<std::uint16_t, base::Address>, base::Time> spoiled_;  // until then

  static constexpr std::uint16_t first_port = 1024;
};

}  // namespace ztna::sim
