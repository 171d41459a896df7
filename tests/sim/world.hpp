// A network in memory and in virtual time: machines with one UDP address each, links with delay,
// jitter, loss, duplication, reordering and a size limit, and everything that happens in one heap
// of events. One seed decides it all.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/datagram.hpp"
#include "base/time.hpp"
#include "sim/seeded_random.hpp"

namespace ztna::sim {

using base::Duration;
using base::Time;
using namespace std::chrono_literals;

// A program on a machine: one of the real engines with its shell replaced.
class Part {
 public:
  virtual ~Part() = default;
  virtual void receive(const base::Incoming& packet, Time now) = 0;
  virtual void expire(Time now) = 0;
  [[nodiscard]] virtual Time next_deadline() = 0;
  [[nodiscard]] virtual base::Outgoing transmit(base::MutableBytes buffer, Time now) = 0;
};

// A machine's access to the network, for both directions.
struct Link {
  Duration delay = 10ms;
  Duration jitter{};  // up to this much more, for each packet: reorders
  double loss = 0;
  double duplicate = 0;
  double late = 0;                // share of packets that take 3 delays more
  std::size_t max_packet = 1472;  // octets of UDP payload; larger ones vanish
  bool cut = false;               // nothing passes
};

class World;

class Machine {
 public:
  using Factory = std::function<std::unique_ptr<Part>()>;

  Machine(World& world, std::string name, base::Address address)
      : name_(std::move(name)), address_(address), world_(world) {}

  // Runs what `factory` makes; the same factory makes the next one after a restart.
  void install(Factory factory);
  void kill();  // at once, without farewell; the address stays
  void start();
  void restart_after(Duration pause);
  // Gets no call for so long; packets wait in the socket buffer.
  void freeze(Duration time);

  [[nodiscard]] Part* part() const { return part_.get(); }
  [[nodiscard]] bool frozen() const;
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const base::Address& address() const { return address_; }
  Link link;

 private:
  friend class World;
  struct Waiting {
    base::Address from;
    std::uint8_t ecn = 0;
    base::Bytes payload;
  };
  static constexpr std::size_t socket_buffer = 512;  // packets, while frozen

  std::string name_;
  base::Address address_;
  World& world_;
  Factory factory_;
  std::unique_ptr<Part> part_;
  Time frozen_until_{};
  std::deque<Waiting> inbox_;
};

class World {
 public:
  explicit World(std::uint64_t seed);
  ~World() { stop(); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Machine& add_machine(const std::string& name, const base::Address& address);

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

  // Sees each packet before the network does; false drops it.
  std::function<bool(const Machine& from, const Machine& to, base::BytesView)> filter;

  // A packet that no part has sent, on the way from one machine to another.
  void inject(Machine& from, Machine& to, base::BytesView packet) {
    launch(from, to, 0, packet, {});
  }

  // --- what went wrong: promises of the product that were not kept
  void violation(const std::string& text);
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }

  // --- the trace: one line for each packet, (time, from, to, size)
  void print_trace(bool on) { printing_ = on; }
  void note(const std::string& text);  // a line among the packets, when printing
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

  void step_to(Time when);
  void pump(Machine& machine);
  void pump_all();
  void send(Machine& from, const base::Address& to, std::uint8_t ecn, base::BytesView packet);
  void launch(Machine& from, Machine& to, std::uint8_t ecn, base::BytesView packet, Duration extra);
  void deliver(Machine& from, Machine& to, std::uint8_t ecn, base::Bytes& packet);
  void trace(const Machine& from, const Machine& to, base::BytesView packet, const char* fate);

  Time now_{Duration(1000s)};
  base::WallReference wall_;
  SeededRandom random_;
  SeededRandom weather_;  // what links do to packets
  std::vector<std::unique_ptr<Machine>> machines_;
  std::unordered_map<base::Address, Machine*> by_address_;
  std::priority_queue<Event> events_;
  std::uint64_t order_ = 0;
  std::vector<std::string> violations_;
  bool printing_ = false;
  std::uint64_t digest_ = 0xcbf29ce484222325ULL;
  std::uint64_t packets_ = 0;
  base::Bytes buffer_;
};

}  // namespace ztna::sim
