// What a datagram of a game would meet: GET /v1/quality?service=NAME on the control socket sends a
// few to a Connector that serves it, which sends each back, and tells of every one how long that
// took and by which path it left.
//
//   &count=N        1 … 1000, default 50
//   &interval_ms=M  from one to the next, 2 … 1000, default 20
//   &size=OCTETS    8 … 1400, default 100
//
// Threading: the loop's thread.
#pragma once

#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "agent/shell_flows.hpp"
#include "io/http_server.hpp"
#include "io/loop.hpp"

namespace ztna::agent {

class QualityProbes final : public session::FlowHandler {
 public:
  // The session of a flow of these, or null.
  using SessionOf = std::function<const session::Session*(FlowId)>;
  // `loop` and `flows` outlive it.
  QualityProbes(io::Loop& loop, Flows& flows, SessionOf session_of)
      : loop_(loop), flows_(flows), session_of_(std::move(session_of)) {}

  // One JSON object when all are back, or a second after the last one:
  //   {"service", "connector", "session",
  //    "probes": [{"at_ms": since the first, "via": "DIRECT"|"RELAY", "rtt_ms": number or null}]}
  // and "error", "text" with the name of a FlowEnd where the flow did not begin, or broke. 400 for
  // what is malformed.
  void ask(const io::HttpRequest& request, const io::HttpReply& reply);

 private:
  struct Probe {
    base::Time sent;
    session::PathKind via = session::PathKind::relay;
    std::optional<base::Duration> round_trip;
  };
  struct Round {
    std::string service;
    io::HttpReply reply;
    std::size_t count = 0, size = 0;
    base::Duration interval{};
    FlowId flow{};
    std::unique_ptr<io::Timer> timer;
    std::vector<Probe> probes;  // by the number in their first octets
    std::size_t answered = 0;
    std::string connector, session;
  };
  using At = std::list<Round>::iterator;

  void on_flow_accepted(FlowId id) override;
  void on_flow_data(FlowId id, base::BytesView data) override;
  void on_flow_fin(FlowId /*id*/) override {}
  void on_flow_writable(FlowId /*id*/) override {}
  void on_flow_datagram(FlowId id, base::BytesView payload) override;
  void on_flow_ended(FlowId id, FlowEnd end, const std::string& text) override;

  [[nodiscard]] At find(FlowId id);
  void go_on(At round);
  void send(Round& round, base::Time now);
  void finish(At round);
  void answer(At round, std::optional<FlowEnd> end, const std::string& text);

  io::Loop& loop_;
  Flows& flows_;
  SessionOf session_of_;
  std::list<Round> rounds_;
};

}  // namespace ztna::agent
