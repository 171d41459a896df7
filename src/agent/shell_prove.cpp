#include "agent/shell_prove.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "io/json_response.hpp"

namespace ztna::agent {
namespace {

using Json = nlohmann::ordered_json;
using session::PathKind;

// Either of the other two may be far away; neither thinks for long.
constexpr base::Duration patience = std::chrono::seconds(5);

void send(const io::HttpReply& reply, const Json& json) { reply.send(io::json_response(json)); }

void refuse(const io::HttpReply& reply, const std::string& why) {
  reply.send({400, "text/plain; charset=utf-8", why + "\n"});
}

std::optional<base::SessionId> session_of(const io::HttpRequest& request) {
  base::SessionId id;
  if (!base::from_hex(request.param("session"), id.octets)) return std::nullopt;
  return id;
}

std::optional<base::Duration> milliseconds(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value == 0) return std::nullopt;
  return std::chrono::milliseconds(value);
}

Json to_json(const base::Result<identity::SignedText>& statement) {
  if (!statement) return {{"error", statement.error().message()}};
  return {{"text", statement->text},
          {"signature", base::to_hex(statement->signature)},
          {"certificate", base::to_hex(statement->certificate)}};
}

}  // namespace

Proofs::Questions::iterator Proofs::add(const base::SessionId& session,
                                        const io::HttpReply& reply) {
  questions_.push_back({session, reply, nullptr, {}, {}, {}, {}});
  const auto added = std::prev(questions_.end());
  added->timer = std::make_unique<io::Timer>(loop_, [this, added] { give_up(added); });
  added->timer->set(io::Loop::now() + patience);
  return added;
}

void Proofs::statements(const io::HttpRequest& request, const io::HttpReply& reply) {
  const auto session = session_of(request);
  const std::string nonce(request.param("nonce"));
  const std::string_view of = request.param("of");
  if (!session || !proof::is_valid_nonce(nonce) || (of != "ends" && of != "intermediate")) {
    return refuse(reply, "expected ?session=HEX&nonce=TEXT&of=ends|intermediate");
  }
  const base::Time now = io::Loop::now();
  engine_.set_now(now);
  std::optional<Statement> own;
  if (of == "ends") {
    own = engine_.ask_ends(*session, nonce, now);
    if (!*own) return refuse(reply, own->error().message());
  } else if (const auto asked = engine_.ask_relay(*session, nonce, now); !asked) {
    return refuse(reply, asked.error().message());
  }
  const auto question = add(*session, reply);
  question->nonce = nonce;
  question->agent = std::move(own);
  pump_.pump();
}

void Proofs::on_statement(const base::SessionId& session, identity::Role from,
                          const std::string& nonce, const Statement& statement) {
  const bool from_end = from == identity::Role::connector;
  const auto question = std::ranges::find_if(questions_, [&](const Question& q) {
    return q.session == session && q.nonce == nonce && !q.path && q.agent.has_value() == from_end;
  });
  if (question == questions_.end()) return;
  question->other = statement;
  answer(question);
}

void Proofs::answer(Questions::iterator question) {
  if (question->agent) {
    send(question->reply,
         {{"agent", to_json(*question->agent)}, {"connector", to_json(*question->other)}});
  } else {
    send(question->reply, {{"intermediate", to_json(*question->other)}});
  }
  questions_.erase(question);
}

void Proofs::suspend(const io::HttpRequest& request, const io::HttpReply& reply) {
  const auto session = session_of(request);
  const std::string service(request.param("service"));
  const std::string_view path = request.param("path");
  const auto time = milliseconds(request.param("ms"));
  if (!session || !time || !identity::is_valid_name(service) ||
      (path != "relay" && path != "direct")) {
    return refuse(reply, "expected ?session=HEX&service=NAME&path=relay|direct&ms=N");
  }
  const PathKind kind = path == "relay" ? PathKind::relay : PathKind::direct;
  const base::Time now = io::Loop::now();
  engine_.set_now(now);
  if (const auto asked = engine_.ask_suspension(*session, kind, service, *time, now); !asked) {
    return refuse(reply, asked.error().message());
  }
  add(*session, reply)->path = kind;
  pump_.pump();
}

void Proofs::on_suspended(const base::SessionId& session, PathKind path,
                          const base::Result<base::Duration>& granted) {
  for (auto it = questions_.begin(); it != questions_.end(); ++it) {
    if (it->session != session || it->path != path) continue;
    if (granted) {
      send(it->reply,
           {{"ms", std::chrono::duration_cast<std::chrono::milliseconds>(*granted).count()}});
    } else {
      send(it->reply, {{"error", granted.error().message()}});
    }
    questions_.erase(it);
    return;
  }
}

void Proofs::give_up(Questions::iterator question) {
  const auto late =
      base::fail(base::ErrorCode::timed_out, "no answer within 5 s (is its version older?)");
  engine_.forget_questions(question->session);
  if (question->path) {
    send(question->reply, {{"error", late.value().message()}});
    questions_.erase(question);
    return;
  }
  question->other = Statement(late);
  answer(question);
}

}  // namespace ztna::agent
