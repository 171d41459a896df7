// The Agent's part of `ztna prove`, on the control socket:
//
//   GET  /v1/prove/statements?session=HEX&nonce=N&of=ends|intermediate
//        {"agent": S, "connector": S} or {"intermediate": S}; S is {"text", "signature",
//        "certificate"} (octets in hexadecimal; src/proof/statement.hpp) or {"error"}. Others' are
//        those of the live connections: the Agent has compared the certificates.
//   POST /v1/prove/suspend?session=HEX&service=NAME&path=relay|direct&ms=N
//        {"ms"}: for so long, from now; or {"error"}
//
// 400 for what is malformed. Threading: the loop's thread.
#pragma once

#include <list>
#include <optional>
#include <string>

#include "agent/engine.hpp"
#include "io/http_server.hpp"
#include "io/loop.hpp"
#include "io/packet_pump.hpp"

namespace ztna::agent {

class Proofs {
 public:
  // All outlive it.
  Proofs(io::Loop& loop, Engine& engine, io::PacketPump& pump)
      : loop_(loop), engine_(engine), pump_(pump) {}

  void statements(const io::HttpRequest& request, const io::HttpReply& reply);
  void suspend(const io::HttpRequest& request, const io::HttpReply& reply);

  // From the engine.
  void on_statement(const base::SessionId& session, identity::Role from, const std::string& nonce,
                    const base::Result<identity::SignedText>& statement);
  void on_suspended(const base::SessionId& session, session::PathKind path,
                    const base::Result<base::Duration>& granted);

 private:
  using Statement = base::Result<identity::SignedText>;
  // Unanswered, and its time-out.
  struct Question {
    base::SessionId session;
    io::HttpReply reply;
    std::unique_ptr<io::Timer> timer;
    std::string nonce;  // of statements
    std::optional<Statement> agent, other;
    std::optional<session::PathKind> path;  // of a suspension
  };
  using Questions = std::list<Question>;

  Questions::iterator add(const base::SessionId& session, const io::HttpReply& reply);
  void answer(Questions::iterator question);
  void give_up(Questions::iterator question);

  io::Loop& loop_;
  Engine& engine_;
  io::PacketPump& pump_;
  Questions questions_;
};

}  // namespace ztna::agent
