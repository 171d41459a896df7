#include "node/witness.hpp"

namespace ztna::node {

base::Result<identity::SignedText> witness(const session::Session& session,
                                           const std::string& nonce, base::WallTime wall,
                                           base::Time now) {
  if (!proof::is_valid_nonce(nonce)) {
    return base::fail(base::ErrorCode::invalid_argument, "the nonce is malformed");
  }
  auto view = session.testify(nonce, now);
  if (!view) return tl::unexpected(view.error());
  const identity::Credentials& self = *session.config().credentials;
  const bool is_agent = session.role() == session::Session::Role::agent;
  proof::Statement statement;
  statement.role = self.self().role;
  statement.node = self.self().uri();
  statement.nonce = nonce;
  statement.at = wall;
  statement.session = session.config().id.hex();
  statement.agent = is_agent ? statement.node : session.peer()->uri();
  statement.connector = is_agent ? session.peer()->uri() : statement.node;
  statement.end = std::move(*view);
  return proof::sign(statement, self);
}

proof::v1::StatementReply to_reply(const std::string& nonce,
                                   const base::Result<identity::SignedText>& said) {
  proof::v1::StatementReply reply;
  if (proof::is_valid_nonce(nonce)) reply.set_nonce(nonce);
  if (!said) {
    reply.set_refusal(said.error().message());
    return reply;
  }
  reply.set_text(said->text);
  reply.set_signature(said->signature.data(), said->signature.size());
  reply.set_certificate(said->certificate.data(), said->certificate.size());
  return reply;
}

base::Result<identity::SignedText> from_reply(const proof::v1::StatementReply& reply,
                                              const identity::Principal& peer,
                                              const std::string& peer_certificate) {
  if (!reply.refusal().empty()) {
    return base::fail(base::ErrorCode::unavailable, reply.refusal().substr(0, 200), peer.uri());
  }
  if (reply.certificate() != peer_certificate) {
    return base::fail(base::ErrorCode::unauthenticated,
                      "the statement is signed with another certificate than the connection's",
                      peer.uri());
  }
  const auto octets = [](const std::string& text) {
    const base::BytesView view = base::as_bytes(text);
    return base::Bytes(view.begin(), view.end());
  };
  identity::SignedText text{reply.text(), octets(reply.signature()), octets(reply.certificate())};
  const auto statement = proof::open(text);
  if (!statement) return tl::unexpected(statement.error());
  // The holder of a public certificate is known by a host name, and each calls it by another.
  const bool is_public =
      peer.role == identity::Role::intermediate && !identity::is_valid_name(peer.name);
  const bool named = is_public || statement->node == peer.uri();
  if (statement->role != peer.role || !named) {
    return base::fail(base::ErrorCode::unauthenticated,
                      "the statement is in the name of " + statement->node, peer.uri());
  }
  return text;
}

}  // namespace ztna::node
