#include "sim/network.hpp"

#include <algorithm>

namespace ztna::sim {

using base::Address;
using base::Time;

namespace {

// Crosses `hops` routers that only count.
bool cross(Header& header, std::uint8_t hops) {
  if (header.ttl <= hops) return false;
  header.ttl = static_cast<std::uint8_t>(header.ttl - hops);
  return true;
}

bool is_within(const Network* inner, const Network& outer) {
  while (inner != nullptr && inner != &outer) inner = inner->outside();
  return inner != nullptr;
}

constexpr const char* ttl_ended = "TTL ended";

}  // namespace

Topology::Topology() {
  networks_.push_back(std::make_unique<Network>("internet", nullptr, nullptr));
  networks_.front()->hops = 2;
}

Network& Topology::add(const std::string& name, Network& outside, std::unique_ptr<Nat> nat) {
  networks_.push_back(std::make_unique<Network>(name, &outside, std::move(nat)));
  outside.inner_.push_back(networks_.back().get());
  return *networks_.back();
}

void Topology::join(Network& network, Machine& machine, const std::vector<Address>& addresses) {
  for (const Address& address : addresses) network.members_[address] = &machine;
  network.everyone_.push_back(&machine);
}

void Topology::leave(Network& network, Machine& machine) {
  std::erase_if(network.members_, [&](const auto& entry) { return entry.second == &machine; });
  std::erase(network.everyone_, &machine);
}

const Network* Topology::home_of_v6(const Address& address) const {
  const auto has = [&](const auto& network) { return network->members_.contains(address); };
  const auto found = std::ranges::find_if(networks_, has);
  return found == networks_.end() ? nullptr : found->get();
}

// The network whose router, a member of `network`, is the next hop inwards; or null.
Network* Topology::towards(const Network& network, const Address& to) const {
  const Network* const home = to.is_v4() ? nullptr : home_of_v6(to);
  for (Network* const inner : network.inner_) {
    if (to.is_v4() ? inner->nat_->has(to) : is_within(home, *inner)) return inner;
  }
  return nullptr;
}

Topology::Climbed Topology::climb(Network& from, Header& header, Time now) {
  for (Network* network = &from;; network = network->outside_) {
    const bool hairpin = network->nat_ && network->nat_->has(header.to);
    if (!hairpin) {
      if (!cross(header, network->hops)) return {{}, nullptr, ttl_ended};
      if (network->members_.contains(header.to)) return {{network, false}, network};
      if (Network* const inner = towards(*network, header.to)) return {{inner, true}, network};
    }
    if (network->is_internet()) return {{}, nullptr, "unreachable"};
    if (hairpin && !network->nat_->behaviour().hairpin) return {{}, nullptr, "not hairpinned"};
    if (const char* const fate = leave_through_router(*network, header, now); *fate != '\0') {
      return {{}, nullptr, fate};
    }
    if (hairpin) {
      ++header.ttl;  // the router forwards it once, not once each way
      return {{network, true}, network};
    }
  }
}

const char* Topology::leave_through_router(Network& network, Header& header, Time now) {
  if (!cross(header, 1)) return ttl_ended;
  if (network.blocks && network.blocks(header.to)) return "blocked";
  if (header.to.is_v4()) {
    header.from = network.nat_->outbound(header.from, header.to, now);
  } else {
    network.v6_until_[{header.from, header.to}] = now + Network::v6_lifetime;
  }
  return "";
}

// A router looks for its own NAT entry first, and minds the TTL only of what it then forwards.
const char* Topology::enter_through_router(Network& network, Header& header, Time now) {
  if (header.to.is_v4()) {
    const auto inside = network.nat_->inbound(header.from, header.to, now);
    if (!inside) return "refused by the NAT";
    header.to = *inside;
  } else if (network.v6_firewall) {
    const auto found = network.v6_until_.find({header.to, header.from});
    if (found == network.v6_until_.end() || found->second <= now) return "refused by firewall";
  }
  if (network.blocks && network.blocks(header.from)) return "blocked";
  return cross(header, 1) ? "" : ttl_ended;
}

const Machine* Topology::destination(Place place, Address to, Time now) const {
  const Network* network = place.network;
  for (bool enter = place.before_router;; enter = true) {
    if (enter && to.is_v4()) {
      const auto inside = network->nat_->holder(to, now);
      if (!inside) break;
      to = *inside;
    }
    const auto member = network->members_.find(to);
    if (member != network->members_.end()) return member->second;
    const Network* const inner = towards(*network, to);
    if (inner == nullptr) break;
    network = inner;
  }
  while (network->everyone_.empty() && !network->inner_.empty()) network = network->inner_.front();
  return network->everyone_.empty() ? nullptr : network->everyone_.front();
}

Topology::Descended Topology::descend(Place place, Header& header, Time now) {
  Network* network = place.network;
  for (bool enter = place.before_router;; enter = true) {
    if (enter) {
      const char* const fate = enter_through_router(*network, header, now);
      if (*fate != '\0') return {nullptr, fate};
      if (!cross(header, network->hops)) return {nullptr, ttl_ended};
    }
    const auto member = network->members_.find(header.to);
    if (member != network->members_.end()) return {member->second};
    network = towards(*network, header.to);
    if (network == nullptr) return {nullptr, "nobody there"};
  }
}

}  // namespace ztna::sim
