// A machine of the simulated world: the program on it, its addresses and its access to a network.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/datagram.hpp"
#include "base/time.hpp"
#include "sim/network.hpp"

namespace ztna::sim {

using base::Duration;
using base::Time;
using namespace std::chrono_literals;

// A local address and the UDP socket that is bound to it. One socket may have several.
struct LocalAddress {
  base::SocketId socket = 0;
  base::Address address;
  friend bool operator==(const LocalAddress&, const LocalAddress&) = default;
};

// A program on a machine: one of the real engines with its shell replaced.
class Part {
 public:
  virtual ~Part() = default;
  // At the start, before anything else, and whenever the machine's addresses have changed.
  virtual void addresses(const std::vector<LocalAddress>& /*local*/, Time /*now*/) {}
  virtual void receive(const base::Incoming& packet, Time now) = 0;
  virtual void expire(Time now) = 0;
  [[nodiscard]] virtual Time next_deadline() = 0;
  [[nodiscard]] virtual base::Outgoing transmit(base::MutableBytes buffer, Time now) = 0;
};

// A machine's access to its network, for both directions. Delay, jitter and lateness are those of
// the way to the Internet: within a private network, Network::delay counts instead.
struct Link {
  Duration delay = 10ms;
  Duration jitter{};  // up to this much more, for each packet: reorders
  double loss = 0;
  double duplicate = 0;
  double late = 0;                       // share of packets that take 3 delays more
  std::size_t max_packet = 1472;         // octets of UDP payload; larger ones vanish
  bool cut = false;                      // nothing passes
  bool cut_out = false, cut_in = false;  // what the machine sends; what is sent to it
};

class World;

class Machine {
 public:
  using Factory = std::function<std::unique_ptr<Part>()>;

  Machine(World& world, std::string name, Network& network, std::vector<LocalAddress> local);

  // Runs what `factory` makes; the same factory makes the next one after a restart.
  void install(Factory factory);
  void kill();  // at once, without farewell; the addresses stay
  void start();
  void restart_after(Duration pause);
  // Its monotonic clock jumps forward, as after a suspended host: all its timers run out at once.
  void jump(Duration ahead);
  // Gets no call for so long; packets wait in the socket buffer.
  void freeze(Duration time);
  // Roams: from now on it is in that network, with these addresses only.
  void move(Network& network, std::vector<LocalAddress> local);

  // By its own clock, which may be ahead of the world's.
  [[nodiscard]] Time now() const;
  [[nodiscard]] Part* part() const { return part_.get(); }
  [[nodiscard]] bool frozen() const;
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] Network& network() const { return *network_; }
  [[nodiscard]] const std::vector<LocalAddress>& local() const { return local_; }
  [[nodiscard]] const base::Address& address() const { return local_.front().address; }
  Link link;

 private:
  friend class World;
  struct Waiting {
    base::Address from, to;
    std::uint8_t ecn = 0;
    base::Bytes payload;
  };
  static constexpr std::size_t socket_buffer = 512;  // packets, while frozen

  // The address that this packet leaves from; null: the socket has none that could.
  [[nodiscard]] const base::Address* source_of(const base::Outgoing& packet) const;
  void receive(const base::Address& from, const base::Address& to, std::uint8_t ecn,
               base::BytesView payload);

  std::string name_;
  World& world_;
  Network* network_;
  std::vector<LocalAddress> local_;
  Factory factory_;
  std::unique_ptr<Part> part_;
  Time frozen_until_{};
  Duration ahead_{};  // of the world's clock
  std::deque<Waiting> inbox_;
};

}  // namespace ztna::sim
