// What runs above the engines: clients on an Agent's machine, and the private backends behind a
// Connector. Every octet is checked against what it must be.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "session/flow.hpp"
#include "sim/world.hpp"

namespace ztna::sim {

using session::FlowEnd;
using session::FlowId;
using session::Protocol;

// An engine's side of one flow.
class FlowPort {
 public:
  virtual ~FlowPort() = default;
  virtual std::size_t write(base::BytesView data) = 0;
  virtual void finish() = 0;
  virtual void reset() = 0;
  virtual void consume(std::size_t size) = 0;
  virtual void datagram(base::BytesView payload) = 0;
};

// Sends `size` octets of a pattern as fast as the flow takes them, then (if asked) FIN.
class Sender {
 public:
  Sender() = default;
  Sender(std::uint64_t key, std::uint64_t size, bool finish)
      : key_(key), size_(size), finish_(finish) {}
  // At most `limit` octets.
  void pump(FlowPort& port, std::uint64_t limit = UINT64_MAX);
  [[nodiscard]] bool done() const { return sent_ == size_ && (finished_ || !finish_); }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  // What was sent by now was all.
  void stop() { size_ = sent_; }

 private:
  std::uint64_t key_ = 0, size_ = 0, sent_ = 0;
  bool finish_ = false, finished_ = false;
};

// --- clients

struct FlowPlan {
  std::string service = "echo";  // echo, source, sink; udp: udp-echo
  Protocol protocol = Protocol::tcp;
  std::uint64_t size = 1000;  // echo, sink: sent; source: asked for
  bool half_close = true;     // source: FIN right behind the request, not at the end
  std::optional<std::uint64_t> reset_after = {};  // octets received, then the program resets
  Duration read_pause = {};  // a slow reader: consumes `read_chunk` every so often
  std::size_t read_chunk = 16 * 1024;
  Duration write_pause = {};  // a steady writer: sends `write_chunk` every so often
  std::size_t write_chunk = 500;
  std::vector<std::size_t> payloads = {};  // UDP: sizes; each is repeated until it is answered
  Duration udp_repeat = 300ms;
  int udp_tries = 30;
};

class Client {
 public:
  Client(World& world, FlowPlan plan, std::string name);

  // The flow was asked for under `port`, or the Agent under it is gone.
  void attach(std::unique_ptr<FlowPort> port);
  void lost();

  void on_accepted();
  void on_data(base::BytesView data);
  void on_fin();
  void on_writable();
  void on_datagram(base::BytesView payload);
  void on_ended(FlowEnd end, const std::string& text);

  [[nodiscard]] bool over() const { return ended_.has_value(); }
  [[nodiscard]] std::optional<FlowEnd> ended() const { return ended_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  // Everything arrived, exactly, and the flow ended in order.
  [[nodiscard]] bool complete() const { return over() && *ended_ == FlowEnd::finished && whole_; }
  [[nodiscard]] std::uint64_t received() const { return received_; }
  [[nodiscard]] std::size_t answered() const { return answered_; }
  [[nodiscard]] std::optional<Time> first_octet() const { return first_octet_; }
  // The longest time without a new octet between these two moments. Tells of the network where the
  // program at the other end never pauses for long.
  [[nodiscard]] Duration worst_gap(Time from, Time until) const;
  [[nodiscard]] bool accepted() const { return accepted_; }
  [[nodiscard]] std::size_t held() const { return held_; }
  [[nodiscard]] Time started() const { return started_; }
  [[nodiscard]] const FlowPlan& plan() const { return plan_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  // Stops repeating UDP payloads and ends the association.
  void hang_up();
  void reset();
  // A steady writer: no more than what it has written by now, which still has to come back.
  void stop_writing();

 private:
  [[nodiscard]] std::uint64_t expected_size() const;
  void check(base::BytesView data);
  void read_slowly();
  void write_slowly();
  void send_payloads(int tries);
  void wrong(const std::string& what);

  World& world_;
  FlowPlan plan_;
  std::string name_;
  std::uint64_t key_;
  Time started_;
  std::unique_ptr<FlowPort> port_;
  Sender sender_;
  std::array<std::uint8_t, 16> request_{};
  std::size_t request_sent_ = 0;
  bool accepted_ = false, fin_ = false, whole_ = false, wrong_ = false, resetting_ = false;
  std::uint64_t received_ = 0;
  std::size_t held_ = 0;                  // slow reader: not consumed yet
  std::map<std::size_t, bool> payloads_;  // size → answered
  std::size_t answered_ = 0;
  std::optional<Time> first_octet_;
  std::vector<Time> deliveries_;  // of octets, each moment once
  std::optional<FlowEnd> ended_;
  std::string text_;
  std::shared_ptr<Client*> self_;  // for timers that may outlive it
};

// --- backends

// One connection to a backend. The kind is the service's name:
//   echo    sends back what comes, FIN for FIN
//   source  reads a request of 16 octets (key, size), sends that pattern, FIN
//   sink    reads until FIN, answers the count of octets and their hash, FIN
//   udp-echo
class Backend {
 public:
  Backend(std::string kind, std::unique_ptr<FlowPort> port);
  // The flow was accepted: octets may go back. What came before that waits.
  void connected();
  void on_data(base::BytesView data);
  void on_fin();
  void on_writable();
  void on_datagram(base::BytesView payload);

 private:
  void pump();

  std::string kind_;
  std::unique_ptr<FlowPort> port_;
  bool connected_ = false;
  base::Bytes pending_;  // echo: not yet taken by the flow; source: the request
  std::size_t pending_at_ = 0;
  bool fin_ = false, finished_ = false;
  std::uint64_t count_ = 0, hash_ = 0;
  std::optional<Sender> sender_;
};

// The running hash that a sink makes.
[[nodiscard]] std::uint64_t hash_octets(std::uint64_t hash, base::BytesView data);

}  // namespace ztna::sim
