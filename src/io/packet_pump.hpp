// Moves datagrams between UDP sockets and an engine without I/O, and keeps its timer.
//
// Threading: the loop's thread. Not reentrant: from inside an engine's callback call poke(), which
// pumps once the call in progress is over.
#pragma once

#include <memory>
#include <vector>

#include "base/datagram.hpp"
#include "io/loop.hpp"
#include "io/metrics.hpp"
#include "io/udp_socket.hpp"

namespace ztna::io {

class PacketPump {
 public:
  // The shape of every engine; see session, node and the roles.
  class Engine {
   public:
    virtual ~Engine() = default;
    virtual void receive(const base::Incoming& packet, base::Time now) = 0;
    virtual void expire(base::Time now) = 0;
    [[nodiscard]] virtual base::Time next_deadline() const = 0;
    [[nodiscard]] virtual base::Outgoing transmit(base::MutableBytes buffer, base::Time now) = 0;
    // Before anything is sent: pass on what receive() gathered.
    virtual void deliver() {}
    // After each round: audit records, notices, name look-ups.
    virtual void after_round(base::Time now) = 0;
  };

  PacketPump(Loop& loop, Engine& engine);
  ~PacketPump();

  // Sockets get ids 0, 1, 2 … in this order.
  [[nodiscard]] base::Result<base::SocketId> add_socket(const base::Address& local,
                                                        const UdpSocket::Options& options);
  [[nodiscard]] const base::Address& local_address(base::SocketId id) const;
  [[nodiscard]] std::size_t socket_count() const;
  [[nodiscard]] UdpCounters counters(base::SocketId id) const;
  // Packets, octets and kernel drops of all its sockets.
  void metrics(MetricsWriter& out) const;

  // Something changed in the engine: send what is to be sent and set the timer anew. Does nothing
  // harmful when called too often; call it once after a batch.
  void pump();
  // The same, soon; for use inside engine callbacks.
  void poke();

 private:
  class Port;
  bool send(const base::Outgoing& out);

  Loop& loop_;
  Engine& engine_;
  std::vector<std::unique_ptr<Port>> ports_;
  Timer timer_;
  base::Bytes buffer_;
  // A send that the kernel had no room for; everything waits for it.
  base::Outgoing stuck_;
  std::size_t stuck_at_ = 0;
  bool pumping_ = false;
  bool again_ = false;
  bool poked_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace ztna::io
