#include "agent/catalog.hpp"

#include <algorithm>

#include "identity/principal.hpp"
#include "node/timeouts.hpp"

namespace ztna::agent {
namespace {

// Of one Intermediate: it is believed about who offers what, not with all of our memory.
constexpr std::size_t max_services = 100'000;

}  // namespace

void Catalog::update(std::uint32_t uplink, const node::proto::Directory& directory) {
  std::vector<Service>& services = incoming_[uplink];
  for (const auto& entry : directory.services()) {
    if (services.size() >= max_services) break;
    if (!identity::is_valid_name(entry.name()) || entry.port() > 65535) continue;
    Service service{entry.name(),
                    entry.protocol() == node::proto::PROTOCOL_UDP ? session::Protocol::udp
                                                                  : session::Protocol::tcp,
                    static_cast<std::uint16_t>(entry.port()),
                    {}};
    for (const auto& offered : entry.instances()) {
      Instance instance{offered.connector(), {}, offered.healthy(), uplink};
      if (base::IncarnationId::from(base::as_bytes(offered.incarnation()), instance.incarnation)) {
        service.instances.push_back(std::move(instance));
      }
    }
    services.push_back(std::move(service));
  }
  if (directory.more()) return;
  by_uplink_[uplink] = std::move(services);
  incoming_.erase(uplink);
  merge();
}

void Catalog::forget_uplink(std::uint32_t uplink) {
  incoming_.erase(uplink);
  by_uplink_.erase(uplink);
  merge();
}

void Catalog::merge() {
  merged_.clear();
  for (const auto& [uplink, services] : by_uplink_) {
    for (const Service& service : services) {
      const auto [at, fresh] = merged_.emplace(service.name, service);
      if (fresh) continue;
      auto& instances = at->second.instances;
      instances.insert(instances.end(), service.instances.begin(), service.instances.end());
    }
  }
}

const Service* Catalog::find(const std::string& name) const {
  const auto found = merged_.find(name);
  return found == merged_.end() ? nullptr : &found->second;
}

void Catalog::penalise(const base::IncarnationId& instance, const std::string& service,
                       base::Time now) {
  std::erase_if(penalties_, [&](const auto& penalty) { return penalty.second <= now; });
  penalties_[{instance, service}] = now + node::timeouts::instance_penalty;
}

bool Catalog::penalised(const base::IncarnationId& instance, const std::string& service,
                        base::Time now) const {
  const auto holds = [&](const std::string& of) {
    const auto found = penalties_.find({instance, of});
    return found != penalties_.end() && found->second > now;
  };
  return holds(service) || holds({});
}

void Catalog::used(const std::string& service, const base::IncarnationId& instance) {
  last_used_[service] = instance;
}

bool Catalog::is_healthy(const base::IncarnationId& instance) const {
  return std::ranges::any_of(merged_, [&](const auto& entry) {
    return std::ranges::any_of(entry.second.instances, [&](const Instance& each) {
      return each.incarnation == instance && each.healthy;
    });
  });
}

std::optional<Instance> Catalog::choose(const std::string& name,
                                        const std::vector<Candidate>& sessions,
                                        const std::vector<base::IncarnationId>& tried,
                                        std::uint64_t spread, base::Time now) const {
  const Service* const service = find(name);
  if (service == nullptr) return std::nullopt;
  const auto last = last_used_.find(name);
  // Lower is better, compared field by field.
  struct Rank {
    bool unhealthy, penalised, not_last, no_session;
    base::Duration rtt;
    std::uint64_t order;
    auto operator<=>(const Rank&) const = default;
  };
  std::optional<Instance> best;
  Rank best_rank{};
  for (const Instance& instance : service->instances) {
    if (std::ranges::find(tried, instance.incarnation) != tried.end()) continue;
    const auto live = std::ranges::find(sessions, instance.incarnation, &Candidate::incarnation);
    const bool has_session = live != sessions.end();
    const std::hash<base::IncarnationId> hash;
    const Rank rank{!instance.healthy,
                    penalised(instance.incarnation, name, now),
                    last == last_used_.end() || last->second != instance.incarnation,
                    !has_session,
                    has_session ? live->rtt : base::Duration{},
                    hash(instance.incarnation) ^ spread};
    if (!best || rank < best_rank) {
      best = instance;
      best_rank = rank;
    }
  }
  return best;
}

}  // namespace ztna::agent
