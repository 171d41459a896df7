// What a bridge needs of an engine: the flow calls that Agent and Connector have in common.
#pragma once

#include <algorithm>
#include <vector>

#include "base/bytes.hpp"
#include "session/flow.hpp"

namespace ztna::bridge {

// Someone who gathered octets for a socket during a batch of packets, to write them all at once: a
// system call for each packet would cost more than everything else.
class Gatherer {
 public:
  Gatherer() = default;
  Gatherer(const Gatherer&) = delete;
  Gatherer& operator=(const Gatherer&) = delete;
  virtual ~Gatherer() = default;
  virtual void write_gathered() = 0;
};

class FlowPort {
 public:
  virtual ~FlowPort() = default;

  // The shell calls write_gathered() after each batch of packets, before the engine answers them.
  void gather(Gatherer& gatherer) { gatherers_.push_back(&gatherer); }
  void forget(Gatherer& gatherer) {
    std::ranges::replace(gatherers_, &gatherer, static_cast<Gatherer*>(nullptr));
  }
  void write_gathered() {
    // NOLINTNEXTLINE(modernize-loop-convert): more may gather meanwhile
    for (std::size_t i = 0; i < gatherers_.size(); ++i) {
      if (gatherers_[i] != nullptr) gatherers_[i]->write_gathered();
    }
    gatherers_.clear();
  }

  // Octets that flow_write() would take now.
  [[nodiscard]] virtual std::size_t flow_writable(session::FlowId id) = 0;
  [[nodiscard]] virtual std::size_t flow_write(session::FlowId id, base::BytesView data) = 0;
  virtual void flow_finish(session::FlowId id) = 0;
  virtual void flow_reset(session::FlowId id) = 0;
  virtual void flow_consume(session::FlowId id, std::size_t size) = 0;
  virtual void flow_datagram(session::FlowId id, base::BytesView payload) = 0;
  // Called after octets went into the engine from outside its callbacks: let it send.
  virtual void pump() = 0;

 private:
  std::vector<Gatherer*> gatherers_;  // null: gone
};

}  // namespace ztna::bridge
