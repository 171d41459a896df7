// The Agent's part in a proof: it asks the other two who handle its session's packets.
#include <algorithm>

#include "agent/engine.hpp"

namespace ztna::agent {

using node::Uplink;
using session::PathKind;
using session::Session;

namespace {

tl::unexpected<base::Error> no_session() {
  return base::fail(base::ErrorCode::not_found, "there is no such session");
}

tl::unexpected<base::Error> not_now() {
  return base::fail(base::ErrorCode::unavailable, "the question cannot be sent now");
}

std::string id_bytes(const base::SessionId& id) { return {id.octets.begin(), id.octets.end()}; }

base::Result<base::Duration> granted(const proof::v1::SuspendReply& reply,
                                     const std::string& where) {
  if (reply.ms() == 0) {
    const std::string why = reply.refusal().empty() ? "refused" : reply.refusal().substr(0, 200);
    return base::fail(base::ErrorCode::permission_denied, why, where);
  }
  return std::min<base::Duration>(std::chrono::milliseconds(reply.ms()), proof::max_lease);
}

}  // namespace

base::Result<identity::SignedText> Engine::ask_ends(const base::SessionId& id,
                                                    const std::string& nonce, base::Time now) {
  now_ = now;
  Session* const session = node_->session(id);
  if (session == nullptr) return no_session();
  session::v1::SessionMessage question;
  question.mutable_statement_request()->set_nonce(nonce);
  if (!session->send_control(question)) return not_now();
  statements_asked_.emplace(id, identity::Role::connector, nonce);
  return node::witness(*session, nonce, wall_.now(now), now);
}

base::Status Engine::ask_relay(const base::SessionId& id, const std::string& nonce,
                               base::Time now) {
  now_ = now;
  node::proto::Message message;
  message.mutable_statement_request()->set_session_id(id_bytes(id));
  message.mutable_statement_request()->set_nonce(nonce);
  if (const auto sent = send_to_relay(id, message); !sent) return sent;
  statements_asked_.emplace(id, identity::Role::intermediate, nonce);
  return {};
}

base::Status Engine::send_to_relay(const base::SessionId& id, const node::proto::Message& message) {
  const Session* const session = node_->session(id);
  if (session == nullptr) return no_session();
  const Uplink* const relay = node_->uplink_of(*session);
  if (relay == nullptr) {
    return base::fail(base::ErrorCode::unavailable, "the session has no relay now");
  }
  if (!node_->uplinks().at(relay->index())->send(message)) return not_now();
  return {};
}

base::Status Engine::ask_suspension(const base::SessionId& id, PathKind path,
                                    const std::string& service, base::Duration time,
                                    base::Time now) {
  now_ = now;
  Session* const session = node_->session(id);
  if (session == nullptr) return no_session();
  if (suspensions_asked_.contains({id, path})) {
    return base::fail(base::ErrorCode::unavailable, "that path is being asked for already");
  }
  proof::v1::SuspendRequest request;
  request.set_service(service);
  request.set_ms(static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(time).count()));
  if (path == PathKind::direct) {
    session::v1::SessionMessage message;
    *message.mutable_suspend_direct() = request;
    if (!session->send_control(message)) return not_now();
  } else {
    node::proto::Message message;
    request.set_session_id(id_bytes(id));
    *message.mutable_suspend_relay() = request;
    if (const auto sent = send_to_relay(id, message); !sent) return sent;
  }
  suspensions_asked_.emplace(id, path);
  return {};
}

void Engine::forget_questions(const base::SessionId& id) {
  std::erase_if(suspensions_asked_, [&](const auto& asked) { return asked.first == id; });
  std::erase_if(statements_asked_, [&](const auto& asked) { return std::get<0>(asked) == id; });
}

// Checking a signature costs something: only who was asked may cause it.
bool Engine::take_statement(const base::SessionId& id, identity::Role from,
                            const std::string& nonce) {
  return statements_asked_.erase({id, from, nonce}) > 0;
}

bool Engine::take_suspension(const base::SessionId& id, PathKind path) {
  return suspensions_asked_.erase({id, path}) > 0;
}

void Engine::on_control_message(Session& session, const session::v1::SessionMessage& message) {
  const base::SessionId& id = session.config().id;
  if (message.has_statement_reply()) {
    const proof::v1::StatementReply& reply = message.statement_reply();
    if (!take_statement(id, identity::Role::connector, reply.nonce())) return;
    handler_.on_statement(id, identity::Role::connector, reply.nonce(),
                          node::from_reply(reply, *session.peer(), session.peer_certificate()));
  } else if (message.has_suspend_reply() && take_suspension(id, PathKind::direct)) {
    const auto time = granted(message.suspend_reply(), session.peer()->uri());
    if (time) session.direct_suspended_until(now_ + *time);
    handler_.on_suspended(id, PathKind::direct, time);
  }
}

// Only the Intermediate that relays for a session has something to say about it.
void Engine::on_relay_statement(const Uplink& uplink, const proof::v1::StatementReply& reply) {
  base::SessionId id;
  if (!base::SessionId::from(base::as_bytes(reply.session_id()), id)) return;
  const Session* const session = node_->session(id);
  if (session == nullptr || node_->uplink_of(*session) != &uplink) return;
  if (!take_statement(id, identity::Role::intermediate, reply.nonce())) return;
  handler_.on_statement(id, identity::Role::intermediate, reply.nonce(),
                        node::from_reply(reply, *uplink.peer(), uplink.peer_certificate()));
}

void Engine::on_relay_suspended(const Uplink& uplink, const proof::v1::SuspendReply& reply) {
  base::SessionId id;
  if (!base::SessionId::from(base::as_bytes(reply.session_id()), id)) return;
  const Session* const session = node_->session(id);
  if (session == nullptr || node_->uplink_of(*session) != &uplink) return;
  if (!take_suspension(id, PathKind::relay)) return;
  handler_.on_suspended(id, PathKind::relay, granted(reply, uplink.name()));
}

}  // namespace ztna::agent
