// --auto-forward: each service that the Agent may see is listened for on an address of its own,
// 127.96.x.y, at its own port; at a high one when that cannot be had.
#pragma once

#include <map>
#include <string>

#include "agent/catalog.hpp"
#include "agent/shell_forward.hpp"
#include "io/loop.hpp"

namespace ztna::agent {

class AutoForward {
 public:
  AutoForward(const DoorContext& context, DoorId& last_door);

  // What is offered now. A service that is gone keeps its listener for a while: a Connector or an
  // Intermediate that restarts must not cost a program its address, or a live association.
  void update(const std::map<std::string, Service>& services, base::Time now);

  // "127.96.17.4:80", or nothing while it has no listener.
  [[nodiscard]] std::string address_of(const std::string& service) const;

 private:
  struct Entry {
    std::unique_ptr<Forward> forward;
    std::uint16_t port = 0;            // the service's
    base::Time gone_at = base::never;  // since when nobody offers it
  };

  void open(const Service& service);
  void remove_gone(base::Time now);

  DoorContext context_;
  DoorId& last_door_;
  std::map<std::string, base::Address> addresses_;  // names keep theirs
  std::map<std::string, Entry> entries_;
  io::Timer timer_;
};

}  // namespace ztna::agent
