#include "agent/shell_ping.hpp"

#include <nlohmann/json.hpp>

#include "io/json_response.hpp"
#include "io/loop.hpp"

namespace ztna::agent {

void Pings::ask(const io::HttpRequest& request, const io::HttpReply& reply) {
  const std::string service(request.param("service"));
  if (!identity::is_valid_name(service)) {
    return reply.send({400, "text/plain; charset=utf-8", "expected ?service=NAME\n"});
  }
  const FlowId id = flows_.open(service, Protocol::ping, *this);
  questions_.emplace(id, Question{service, reply, std::nullopt});
  flows_.flow_finish(id);  // nothing but the question is sent
  flows_.pump();
}

// The first time: the question is on its way.
void Pings::on_flow_writable(FlowId id) {
  const auto found = questions_.find(id);
  if (found != questions_.end() && !found->second.sent) found->second.sent = io::Loop::now();
}

void Pings::on_flow_accepted(FlowId id) {
  const auto found = questions_.find(id);
  if (found == questions_.end()) return;
  const Question question = std::move(found->second);
  questions_.erase(found);
  nlohmann::json json = {{"service", question.service}};
  if (question.sent) json["rtt_ms"] = base::to_ms(io::Loop::now() - *question.sent);
  if (const session::Session* const session = session_of_(id)) {
    const nat::Pair* const pair = session->direct_pair();
    json["connector"] = session->config().peer_uri;
    json["session"] = session->config().id.hex();
    json["via"] = session::to_string(session->path_kind());
    json["peer"] = pair != nullptr ? pair->remote.to_string() : session->relay_name();
  }
  question.reply.send(io::json_response(json));
}

// A Connector has nothing to say here.
void Pings::on_flow_data(FlowId id, base::BytesView data) { flows_.flow_consume(id, data.size()); }

void Pings::on_flow_ended(FlowId id, FlowEnd end, const std::string& text) {
  const auto found = questions_.find(id);
  if (found == questions_.end()) return;
  found->second.reply.send(io::json_response(nlohmann::json{
      {"service", found->second.service}, {"error", session::to_string(end)}, {"text", text}}));
  questions_.erase(found);
}

}  // namespace ztna::agent
