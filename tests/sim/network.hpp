// Networks and the routers between them: the Internet, what is behind NATs, and what is behind NATs
// behind NATs. Decides where a packet goes and what it looks like there; when and whether the links
// let it pass is the world's business.
//
// A packet climbs at once, through the routers on the sender's side, up to the network in which it
// meets its destination or the destination's router; after its time on the way it descends. So
// routers sit next to their hosts, and a NAT sees a packet when it arrives, not when it was sent.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/nat.hpp"

namespace ztna::sim {

class Machine;

// What routers look at.
struct Header {
  base::Address from, to;
  std::uint8_t ttl = 64;
};

// Hosts that reach each other without a NAT, and the router that leads out of there.
class Network {
 public:
  // Null, null: the Internet. Every other has a NAT and is within `outside`.
  Network(std::string name, Network* outside, std::unique_ptr<Nat> nat)
      : name_(std::move(name)), outside_(outside), nat_(std::move(nat)) {}

  // Routers between any two members or routers of this network. Each costs a packet one of its TTL.
  std::uint8_t hops = 0;
  // From one member to another; the Internet uses the links of both instead.
  base::Duration delay = std::chrono::microseconds(300);
  // The router forwards nothing of UDP to or from such a remote address; none: no such rule.
  std::function<bool(const base::Address& remote)> blocks;
  // IPv6 has no NAT. With this, it gets in only as an answer (RFC 6092), for so long after.
  bool v6_firewall = true;
  static constexpr base::Duration v6_lifetime = std::chrono::seconds(120);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] Network* outside() const { return outside_; }
  [[nodiscard]] bool is_internet() const { return outside_ == nullptr; }
  [[nodiscard]] Nat& nat() { return *nat_; }  // not of the Internet

 private:
  friend class Topology;
  std::string name_;
  Network* outside_;
  std::unique_ptr<Nat> nat_;
  std::unordered_map<base::Address, Machine*> members_;
  std::vector<Machine*> everyone_;  // in the order they came
  std::vector<Network*> inner_;     // whose routers are in this network
  std::map<std::pair<base::Address, base::Address>, base::Time> v6_until_;  // (inside, remote)
};

class Topology {
 public:
  Topology();

  [[nodiscard]] Network& internet() { return *networks_.front(); }
  Network& add(const std::string& name, Network& outside, std::unique_ptr<Nat> nat);

  static void join(Network& network, Machine& machine, const std::vector<base::Address>& addresses);
  static void leave(Network& network, Machine& machine);

  // Where a packet is after it climbed: in that network, or before its router, coming from outside.
  struct Place {
    Network* network = nullptr;
    bool before_router = false;
  };
  // Null: it vanished, and `fate` says why.
  struct Climbed {
    Place place;
    const Network* met = nullptr;  // the network that it crosses
    const char* fate = "";
  };
  [[nodiscard]] Climbed climb(Network& from, Header& header, base::Time now);
  // Who will get it as far as one can tell, or else someone near there; null: nobody at all.
  [[nodiscard]] const Machine* destination(Place place, base::Address to, base::Time now) const;
  struct Descended {
    Machine* machine = nullptr;
    const char* fate = "";
  };
  [[nodiscard]] Descended descend(Place place, Header& header, base::Time now);

 private:
  [[nodiscard]] const Network* home_of_v6(const base::Address& address) const;
  [[nodiscard]] Network* towards(const Network& network, const base::Address& to) const;
  const char* leave_through_router(Network& network, Header& header, base::Time now);
  const char* enter_through_router(Network& network, Header& header, base::Time now);

  std::vector<std::unique_ptr<Network>> networks_;
};

}  // namespace ztna::sim
