#include "sim/nat.hpp"

#include <algorithm>

namespace ztna::sim {

using base::Address;
using base::Time;

const char* to_string(Dependence dependence) {
  switch (dependence) {
    case Dependence::endpoint_independent: return "independent";
    case Dependence::address: return "address";
    case Dependence::address_and_port: return "port";
  }
  return "";
}

Address Nat::outbound(const Address& inside, const Address& remote, Time now) {
  forget_expired(now);
  Mapping& mapping = mapping_for(inside, remote, now);
  refresh(mapping, now);
  permit(inside, remote, now);
  return outside_.with_port(mapping.port);
}

std::optional<Address> Nat::inbound(const Address& remote, const Address& outside, Time now) {
  forget_expired(now);
  const auto found = by_port(outside.port());
  // What is remembered as the router's own stays so, whatever the filter would say by now.
  const bool own = spoiled(outside.port(), remote);
  if (own || found == mappings_.end() || !admits(found->first.first, remote)) {
    if (!behaviour_.drops_input) {
      spoiled_[{outside.port(), remote}] = now + behaviour_.spoiled_time;
    }
    return {};
  }
  const Address inside = found->first.first;
  found->second.answered = true;
  if (behaviour_.refreshed_inbound) {
    refresh(found->second, now);
    permit(inside, remote, now);
  }
  return inside;
}

std::optional<Address> Nat::holder(const Address& outside, Time now) const {
  for (const auto& [key, mapping] : mappings_) {
    if (mapping.port == outside.port() && mapping.expires > now) return key.first;
  }
  return {};
}

void Nat::flush() {
  mappings_.clear();
  sent_to_.clear();
  spoiled_.clear();
}

void Nat::reboot(const Address& outside) {
  flush();
  outside_ = outside.with_port(0);
}

std::size_t Nat::mappings(Time now) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      mappings_, [now](const auto& entry) { return entry.second.expires > now; }));
}

Nat::Key Nat::key(const Address& inside, const Address& remote) const {
  switch (behaviour_.mapping) {
    case Dependence::endpoint_independent: return {inside, Address()};
    case Dependence::address: return {inside, remote.with_port(0)};
    case Dependence::address_and_port: break;
  }
  return {inside, remote};
}

Nat::Mapping& Nat::mapping_for(const Address& inside, const Address& remote, Time now) {
  const Key exact{inside, remote};
  if (const auto found = mappings_.find(exact); found != mappings_.end()) return found->second;
  const Key usual = key(inside, remote);
  const auto found = mappings_.find(usual);
  if (found != mappings_.end() && !spoiled(found->second.port, remote)) return found->second;
  const bool detour =
      found != mappings_.end() || (behaviour_.ports == PortAllocation::preserving &&
                                   !taken(inside.port()) && spoiled(inside.port(), remote));
  Mapping& made = mappings_[detour ? exact : usual];
  made = {.port = allocate(inside, remote), .expires = now, .detour = detour};
  return made;
}

std::map<Nat::Key, Nat::Mapping>::iterator Nat::by_port(std::uint16_t port) {
  return std::ranges::find_if(mappings_,
                              [port](const auto& entry) { return entry.second.port == port; });
}

// RFC 4787 §5 asks what the inside endpoint has sent, by whichever mapping.
bool Nat::admits(const Address& inside, const Address& remote) const {
  switch (behaviour_.filtering) {
    case Dependence::endpoint_independent: return true;
    case Dependence::address: return sent_to_.contains({inside, remote.with_port(0)});
    case Dependence::address_and_port: break;
  }
  return sent_to_.contains({inside, remote});
}

void Nat::permit(const Address& inside, const Address& remote, Time now) {
  sent_to_[{inside, remote}] = now + behaviour_.lifetime;
  sent_to_[{inside, remote.with_port(0)}] = now + behaviour_.lifetime;
}

// A detour that nobody answers is gone as soon as what caused it, so that silence heals both.
void Nat::refresh(Mapping& mapping, Time now) {
  const bool brief = mapping.detour && !mapping.answered;
  mapping.expires = now + (brief ? behaviour_.spoiled_time : behaviour_.lifetime);
}

bool Nat::taken(std::uint16_t port) const {
  return std::ranges::any_of(mappings_,
                             [port](const auto& entry) { return entry.second.port == port; });
}

bool Nat::spoiled(std::uint16_t port, const Address& remote) const {
  return spoiled_.contains({port, remote});
}

std::uint16_t Nat::allocate(const Address& inside, const Address& remote) {
  const auto usable = [&](std::uint16_t port) {
    return port >= first_port && !taken(port) && !spoiled(port, remote);
  };
  if (behaviour_.ports == PortAllocation::preserving && usable(inside.port())) return inside.port();
  for (;;) {
    const std::uint16_t port =
        behaviour_.ports == PortAllocation::random
            ? static_cast<std::uint16_t>(random_.between(std::uint64_t{first_port}, 65535))
            : ++last_port_;
    last_port_ = std::max<std::uint16_t>(port, first_port - 1);
    if (usable(port)) return port;
  }
}

void Nat::forget_expired(Time now) {
  std::erase_if(mappings_, [now](const auto& entry) { return entry.second.expires <= now; });
  std::erase_if(sent_to_, [now](const auto& entry) { return entry.second <= now; });
  std::erase_if(spoiled_, [now](const auto& entry) { return entry.second <= now; });
}

}  // namespace ztna::sim
