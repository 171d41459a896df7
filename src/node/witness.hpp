// What an Agent or a Connector states of a session of its own, and how statements travel.
#pragma once

#include <string>

#include "identity/credentials.hpp"
#include "proof.pb.h"
#include "proof/statement.hpp"
#include "session/session.hpp"

namespace ztna::node {

// The statement of this end, signed with the certificate that the session was made with. Errors are
// for who asked.
[[nodiscard]] base::Result<identity::SignedText> witness(const session::Session& session,
                                                         const std::string& nonce,
                                                         base::WallTime wall, base::Time now);

// A statement or the refusal of one, as a message; `session_id` stays empty.
[[nodiscard]] proof::v1::StatementReply to_reply(const std::string& nonce,
                                                 const base::Result<identity::SignedText>& said);

// The statement in a reply, if this very peer signed it: with the certificate of the connection
// that the reply came by.
[[nodiscard]] base::Result<identity::SignedText> from_reply(const proof::v1::StatementReply& reply,
                                                            const identity::Principal& peer,
                                                            const std::string& peer_certificate);

}  // namespace ztna::node
