// What an Intermediate states of the sessions that it relays for, and the seconds without relaying
// that an Agent may ask for, of a session of its own.
#include <algorithm>

#include "intermediate/broker.hpp"
#include "proof/statement.hpp"

namespace ztna::intermediate {
namespace {

constexpr std::size_t id_size = base::SessionId{}.octets.size();
constexpr const char* asked_too_often = "asked too often, try again in a while";

proof::Statement begin_statement(const Peer& asker, const std::string& nonce, base::WallTime wall) {
  proof::Statement statement;
  statement.role = identity::Role::intermediate;
  statement.node = asker.credentials().self().uri();
  statement.nonce = nonce;
  statement.at = wall;
  return statement;
}

}  // namespace

Broker::Session* Broker::owned(Peer& peer, const std::string& id, std::string_view what,
                               std::string& refusal) {
  base::SessionId session;
  const auto found = base::SessionId::from(base::as_bytes(id), session) ? sessions_.find(session)
                                                                        : sessions_.end();
  if (found == sessions_.end()) {
    refusal = "no such session has its relay here";
    return nullptr;
  }
  if (found->second->leg_of(peer) == nullptr) {
    not_owner(peer, id, what);
    refusal = "that session is not yours";
    return nullptr;
  }
  return found->second.get();
}

void Broker::statement(Peer& peer, const proof::v1::StatementRequest& request, base::Time now,
                       base::WallTime wall) {
  proto::Message message;
  proof::v1::StatementReply& reply = *message.mutable_statement_reply();
  reply.set_session_id(request.session_id().substr(0, id_size));
  const auto refuse = [&](const std::string& why) {
    reply.set_refusal(why);
    peer.send(message);
  };
  if (!proof::is_valid_nonce(request.nonce())) return refuse("the nonce is malformed");
  reply.set_nonce(request.nonce());
  if (!peer.allowance().statements.take(1, now)) return refuse(asked_too_often);
  std::string refusal;
  const Session* const session = owned(peer, request.session_id(), "statement", refusal);
  if (session == nullptr) return refuse(refusal);
  proof::Statement statement = begin_statement(peer, request.nonce(), wall);
  statement.session = session->id.hex();
  statement.agent = session->agent.uri;
  statement.connector = session->connector.uri;
  statement.relay = proof::RelayView{session->packets, session->checks, session->suspended,
                                     session->lease.active(now)};
  const auto said = proof::sign(statement, peer.credentials());
  if (!said) return refuse(said.error().message());
  reply.set_text(said->text);
  reply.set_signature(said->signature.data(), said->signature.size());
  reply.set_certificate(said->certificate.data(), said->certificate.size());
  peer.send(message);
}

// Who asks too often is not on record either: that log is not for him to fill.
void Broker::suspend(Peer& agent, const proof::v1::SuspendRequest& request, base::Time now) {
  proto::Message message;
  proof::v1::SuspendReply& reply = *message.mutable_suspend_reply();
  reply.set_session_id(request.session_id().substr(0, id_size));
  std::string refusal = asked_too_often;
  if (agent.allowance().suspensions.take(1, now)) {
    Session* const session = owned(agent, request.session_id(), "suspend", refusal);
    if (session != nullptr) refusal = grant(*session, agent, request, reply, now);
  }
  reply.set_refusal(refusal);
  agent.send(message);
}

// By policy, for a service that this session can carry; why not, or nothing.
std::string Broker::grant(Session& session, const Peer& agent,
                          const proof::v1::SuspendRequest& request, proof::v1::SuspendReply& reply,
                          base::Time now) {
  policy::Decision decision = host_.policy().may_suspend(agent.principal(), request.service());
  const auto& offered = directory_.offered_by(session.connector.peer);
  if (decision.allowed && std::ranges::find(offered, request.service()) == offered.end()) {
    decision = {false, "the session's connector does not offer it"};
  }
  policy::AuditRecord record;
  record.event = policy::AuditEvent::suspend;
  record.agent = agent.principal().name;
  record.service = identity::printable(request.service());
  record.session = session.id.hex();
  record.allowed = decision.allowed;
  record.rule = decision.rule;
  record.path = "RELAY";
  std::string refusal;
  if (!decision.allowed) {
    refusal = "policy: " + decision.rule;
  } else if (const auto granted = session.lease.ask(std::chrono::milliseconds(request.ms()), now)) {
    record.duration = *granted;
    reply.set_ms(
        static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::milliseconds>(*granted).count()));
  } else {
    refusal = record.reason = granted.error().message();
  }
  host_.audit(std::move(record));
  return refusal;
}

}  // namespace ztna::intermediate
