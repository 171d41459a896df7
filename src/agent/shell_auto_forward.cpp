#include "agent/shell_auto_forward.hpp"

#include <algorithm>

#include "agent/shell_loopback.hpp"
#include "logging/logging.hpp"

namespace ztna::agent {
namespace {

// Longer than any restart should take.
constexpr base::Duration keep_gone = std::chrono::seconds(60);
// Names in a directory come from elsewhere; each costs a socket.
constexpr std::size_t max_listeners = 1024;

}  // namespace

AutoForward::AutoForward(const DoorContext& context, DoorId& last_door)
    : context_(context),
      last_door_(last_door),
      timer_(context.loop, [this] { remove_gone(io::Loop::now()); }) {}

void AutoForward::update(const std::map<std::string, Service>& services, base::Time now) {
  for (auto& [name, entry] : entries_) {
    if (services.contains(name)) {
      entry.gone_at = base::never;
    } else if (entry.gone_at == base::never) {
      entry.gone_at = now;
      if (timer_.deadline() == base::never) timer_.set(now + keep_gone);
    }
  }
  for (const auto& [name, service] : services) {
    const auto found = entries_.find(name);
    const bool same = found != entries_.end() && found->second.port == service.port &&
                      found->second.forward->protocol() == service.protocol;
    if (!same) open(service);
  }
}

void AutoForward::open(const Service& service) {
  if (entries_.size() >= max_listeners && !entries_.contains(service.name)) return;
  entries_.erase(service.name);
  if (assign_loopback(addresses_, service.name)) {
    logging::warn("Loopback address taken by another service, using the next",
                  {{"service", service.name}, {"address", addresses_[service.name].ip()}});
  }
  const base::Address address = addresses_[service.name];
  auto forward = Forward::create(context_, ++last_door_, service.protocol,
                                 address.with_port(service.port), service.name);
  if (!forward) {
    forward = Forward::create(context_, ++last_door_, service.protocol,
                              address.with_port(high_port(service.port)), service.name);
  }
  if (!forward) {
    logging::warn("No listener for service " + service.name,
                  {{"error", forward.error().message()}});
    return;
  }
  logging::info("Forwarding " + (*forward)->to_string() + " to service " + service.name,
                {{"by", "--auto-forward"}});
  entries_[service.name] = {std::move(*forward), service.port, base::never};
}

void AutoForward::remove_gone(base::Time now) {
  base::Time next = base::never;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const base::Time gone_at = it->second.gone_at;
    if (gone_at != base::never && gone_at + keep_gone <= now) {
      logging::info("Nobody offers service " + it->first + " any more, listener closed");
      it = entries_.erase(it);
      continue;
    }
    if (gone_at != base::never) next = std::min(next, gone_at + keep_gone);
    ++it;
  }
  timer_.set(next);
}

std::string AutoForward::address_of(const std::string& service) const {
  const auto found = entries_.find(service);
  return found == entries_.end() ? "" : found->second.forward->local_address().to_string();
}

}  // namespace ztna::agent
