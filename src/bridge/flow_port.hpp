// What a bridge needs of an engine: the flow calls that Agent and Connector have in common.
#pragma once

#include "base/bytes.hpp"
#include "session/flow.hpp"

namespace ztna::bridge {

class FlowPort {
 public:
  virtual ~FlowPort() = default;
  // Octets that flow_write() would take now.
  [[nodiscard]] virtual std::size_t flow_writable(session::FlowId id) = 0;
  [[nodiscard]] virtual std::size_t flow_write(session::FlowId id, base::BytesView data) = 0;
  virtual void flow_finish(session::FlowId id) = 0;
  virtual void flow_reset(session::FlowId id) = 0;
  virtual void flow_consume(session::FlowId id, std::size_t size) = 0;
  virtual void flow_datagram(session::FlowId id, base::BytesView payload) = 0;
  // Called after octets went into the engine from outside its callbacks: let it send.
  virtual void pump() = 0;
};

}  // namespace ztna::bridge
