// Round trips for people: GET /v1/ping?service=NAME on the control socket asks a Connector that
// serves it, through the session, and tells by which path the answer came and how long it took. It
// opens a session when there is none; the time is that of the question alone.
//
// Threading: the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "agent/shell_flows.hpp"
#include "io/http_server.hpp"

namespace ztna::agent {

class Pings final : public session::FlowHandler {
 public:
  // The session of a flow of these, or null.
  using SessionOf = std::function<const session::Session*(FlowId)>;
  // `flows` outlives it.
  Pings(Flows& flows, SessionOf session_of) : flows_(flows), session_of_(std::move(session_of)) {}

  // One JSON object: {"service", "connector", "session", "via", "peer", "rtt_ms"}, or {"service",
  // "error", "text"} with the name of a FlowEnd. 400 for what is no service's name.
  void ask(const io::HttpRequest& request, const io::HttpReply& reply);

 private:
  struct Question {
    std::string service;
    io::HttpReply reply;
    std::optional<base::Time> sent;  // when the session was there to take it
  };

  void on_flow_writable(FlowId id) override;
  void on_flow_accepted(FlowId id) override;
  void on_flow_data(FlowId id, base::BytesView data) override;
  void on_flow_fin(FlowId /*id*/) override {}
  void on_flow_datagram(FlowId /*id*/, base::BytesView /*payload*/) override {}
  void on_flow_ended(FlowId id, FlowEnd end, const std::string& text) override;

  Flows& flows_;
  SessionOf session_of_;
  std::map<FlowId, Question> questions_;  // unanswered
};

}  // namespace ztna::agent
