// What the Agent knows about services: who offers them, through which Intermediate, and who failed
// lately. A small pure strategy: which Connector instance should the next flow use?
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "node/uplink.hpp"
#include "session/flow.hpp"

namespace ztna::agent {

struct Instance {
  std::string connector;  // SPIFFE id
  base::IncarnationId incarnation;
  bool healthy = true;
  std::uint32_t uplink = 0;  // where it was announced
};

struct Service {
  std::string name;
  session::Protocol protocol = session::Protocol::tcp;
  std::uint16_t port = 0;
  std::vector<Instance> instances;  // over all uplinks
};

// A live session, as far as the choice is concerned.
struct Candidate {
  base::IncarnationId incarnation;
  base::Duration rtt{};
};

class Catalog {
 public:
  // Replaces what this uplink announced, once the last part is there.
  void update(std::uint32_t uplink, const node::proto::Directory& directory);
  void forget_uplink(std::uint32_t uplink);

  [[nodiscard]] const Service* find(const std::string& name) const;
  [[nodiscard]] const std::map<std::string, Service>& services() const { return merged_; }

  // False: its Intermediate has given it up, or nobody announces it.
  [[nodiscard]] bool is_healthy(const base::IncarnationId& instance) const;

  // A flow to this instance failed: it comes last until the penalty is over, for that service, or
  // where `service` is empty for all that it serves.
  void penalise(const base::IncarnationId& instance, const std::string& service, base::Time now);

  // The instance for the next flow to `name`: the one used last while it is fit; else of those
  // with a live session the one with the lowest RTT; else any fit one, spread over Agents by
  // `spread`. Unfit ones (unhealthy, penalised, in `tried`) only when nothing else is left, and
  // those tried never. Nothing: no instance is known.
  [[nodiscard]] std::optional<Instance> choose(const std::string& name,
                                               const std::vector<Candidate>& sessions,
                                               const std::vector<base::IncarnationId>& tried,
                                               std::uint64_t spread, base::Time now) const;
  void used(const std::string& service, const base::IncarnationId& instance);

 private:
  void merge();
  [[nodiscard]] bool penalised(const base::IncarnationId& instance, const std::string& service,
                               base::Time now) const;

  std::map<std::uint32_t, std::vector<Service>> by_uplink_;
  std::map<std::uint32_t, std::vector<Service>> incoming_;  // parts of a directory
  std::map<std::string, Service> merged_;
  std::map<std::pair<base::IncarnationId, std::string>, base::Time> penalties_;  // until when
  std::map<std::string, base::IncarnationId> last_used_;
};

}  // namespace ztna::agent
