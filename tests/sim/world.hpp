// Networks in memory and in virtual time: machines, links with delay, jitter, loss, duplication,
// reordering and a size limit, NATs, and everything that happens in one heap of events. One seed
// decides it all.
#pragma once

#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "base/datagram.hpp"
#include "base/time.hpp"
#include "sim/machine.hpp"
#include "sim/network.hpp"
#include "sim/packet_log.hpp"
#include "sim/seeded_random.hpp"

namespace ztna::sim {

class World {
 public:
  explicit World(std::uint64_t seed);
  ~World() { stop(); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // In the Internet, with one address for socket 0.
  Machine& add_machine(const std::string& name, const base::Address& address);
  Machine& add_machine(const std::string& name, Network& network, std::vector<LocalAddress> local);
  [[nodiscard]] Network& internet() { return topology_.internet(); }
  // Behind a NAT with this public address, which is in `outside`.
  Network& add_network(const std::string& name, const NatBehaviour& nat,
                       const base::Address& public_address, Network& outside);
  Network& add_network(const std::string& name, const NatBehaviour& nat,
                       const base::Address& public_address) {
    return add_network(name, nat, public_address, internet());
  }

  // Every part ends, as if its process were killed.
  void stop();

  [[nodiscard]] Time now() const { return now_; }
  // Civil time of this world, for certificates.
  [[nodiscard]] base::WallReference wall() const { return wall_; }
  void set_wall(base::WallReference wall) { wall_ = wall; }
  [[nodiscard]] SeededRandom& random() { return random_; }
  // A source of its own, so that what one part draws does not shift what another one gets.
  [[nodiscard]] std::uint64_t fork() { return random_.next(); }

  void at(Time when, std::function<void()> action);
  void after(Duration pause, std::function<void()> action) { at(now_ + pause, std::move(action)); }
  // Runs until `done` or until `limit` of virtual time has passed; says whether `done`.
  bool run(const std::function<bool()>& done, Duration limit);
  void idle(Duration time);

  // Sees each packet before the links do; false drops it. Before a NAT, `to` is whom the port
  // belongs to; when it is nobody's, the first machine behind it.
  std::function<bool(const Machine& from, const Machine& to, base::BytesView)> filter;

  // A packet that no part has sent leaves a machine.
  void inject(Machine& from, const base::Address& to, base::BytesView packet) {
    base::Outgoing out;
    out.to = to;
    send(from, out, packet);
  }

  // --- what went wrong: promises of the product that were not kept
  void violation(const std::string& text);
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }

  // --- what people and tests look at
  enum class Show : std::uint8_t { nothing, flow, every_packet };
  // From now on, on standard output.
  void show(Show what);
  void note(const std::string& text);  // a line among the packets, when they are shown
  // Of every packet's (time, from, to, size).
  [[nodiscard]] std::uint64_t digest() const { return digest_; }
  [[nodiscard]] std::uint64_t packets() const { return packets_; }

 private:
  friend class Machine;
  struct Event {
    Time at;
    std::uint64_t order;
    std::function<void()> action;
    bool operator<(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };

  // A packet on its way.
  struct Flight {
    Header header;
    Topology::Place place;
    const Network* met = nullptr;
    std::uint8_t ecn = 0;
    base::Bytes payload;
    const Machine* from = nullptr;
  };

  void step_to(Time when);
  void pump(Machine& machine);
  void pump_all();
  void send(Machine& from, const base::Outgoing& out, base::BytesView packet);
  // What the links on the way do to it; empty: nothing.
  [[nodiscard]] const char* weather(const Machine& from, const Machine& to, base::BytesView packet);
  void launch(const Machine& from, const Machine& to, const std::shared_ptr<const Flight>& flight,
              Duration extra);
  void arrive(const Flight& flight);
  void log(const Machine& from, const std::string& to, const Header& header, base::BytesView packet,
           const char* fate);
  [[nodiscard]] Duration age() const { return now_ - beginning; }

  static constexpr Time beginning{Duration(1000s)};

  Time now_ = beginning;
  base::WallReference wall_;
  SeededRandom random_;
  SeededRandom weather_;  // what links do to packets
  Topology topology_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::priority_queue<Event> events_;
  std::uint64_t order_ = 0;
  std::vector<std::string> violations_;
  std::unique_ptr<PacketLog> log_;  // null: nothing is shown
  std::uint64_t digest_ = 0xcbf29ce484222325ULL;
  std::uint64_t packets_ = 0;
  base::Bytes buffer_;
};

}  // namespace ztna::sim
