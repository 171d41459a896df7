#include "proof/statement.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/rfc3339.hpp"

namespace ztna::proof {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view statement_format = "ztna-statement/1";
constexpr std::uint64_t max_time_ms = 253'402'300'800'000;  // the year 10000

base::Error not_a_statement(const std::string& what) {
  return {base::ErrorCode::invalid_argument, "not a statement: " + what, {}, {}};
}

// Throws what nlohmann-json throws, also for numbers that are negative or broken.
std::uint64_t number(const Json& object, const char* key) {
  const Json& value = object.at(key);
  if (!value.is_number_unsigned()) throw Json::other_error::create(501, "not a count", nullptr);
  return value.get<std::uint64_t>();
}

Json to_json(const EndView& end) {
  const EndCounts& c = end.counts;
  return {{"path", end.path},
          {"peer", end.peer},
          {"binding", end.binding},
          {"direct_suspended", end.direct_suspended},
          {"direct_sent", c.direct_sent},
          {"direct_received", c.direct_received},
          {"direct_dropped", c.direct_dropped},
          {"relay_sent", c.relay_sent},
          {"relay_received", c.relay_received}};
}

EndView end_of(const Json& json) {
  EndView end;
  end.path = json.at("path").get<std::string>();
  end.peer = json.at("peer").get<std::string>();
  end.binding = json.at("binding").get<std::string>();
  end.direct_suspended = json.at("direct_suspended").get<bool>();
  end.counts = {number(json, "direct_sent"), number(json, "direct_received"),
                number(json, "relay_sent"), number(json, "relay_received"),
                number(json, "direct_dropped")};
  return end;
}

Json to_json(const RelayView& relay) {
  return {{"packets", relay.packets},
          {"checks", relay.checks},
          {"dropped", relay.dropped},
          {"suspended", relay.suspended}};
}

RelayView relay_of(const Json& json) {
  return {number(json, "packets"), number(json, "checks"), number(json, "dropped"),
          json.at("suspended").get<bool>()};
}

// Throws what nlohmann-json throws, for what is missing or of another kind.
Statement read(const Json& json) {
  Statement s;
  const auto role = identity::parse_role(json.at("role").get<std::string>());
  if (role) s.role = *role;
  s.node = json.at("node").get<std::string>();
  s.nonce = json.at("nonce").get<std::string>();
  const auto ms = static_cast<std::int64_t>(number(json, "time_ms") % max_time_ms);
  s.at = {ms / 1000, static_cast<std::uint16_t>(ms % 1000)};
  s.session = json.at("session").get<std::string>();
  s.agent = json.at("agent").get<std::string>();
  s.connector = json.at("connector").get<std::string>();
  if (json.contains("saw")) s.end = end_of(json.at("saw"));
  if (json.contains("relayed")) s.relay = relay_of(json.at("relayed"));
  return s;
}

}  // namespace

bool is_valid_nonce(std::string_view nonce) {
  constexpr std::string_view allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !nonce.empty() && nonce.size() <= 64 &&
         nonce.find_first_not_of(allowed) == std::string_view::npos;
}

std::string prefix(identity::Role role) {
  return std::string(statement_format) + " " + std::string(identity::to_string(role));
}

std::string to_text(const Statement& s) {
  Json json = {{"format", statement_format},
               {"role", identity::to_string(s.role)},
               {"node", s.node},
               {"nonce", s.nonce},
               {"time", base::rfc3339(s.at)},
               {"time_ms", s.at.seconds * 1000 + s.at.milliseconds},
               {"session", s.session},
               {"agent", s.agent},
               {"connector", s.connector}};
  if (s.end) json["saw"] = to_json(*s.end);
  if (s.relay) json["relayed"] = to_json(*s.relay);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

base::Result<Statement> parse_statement(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || json.value("format", Json()) != Json(statement_format)) {
    return tl::unexpected(
        not_a_statement("expected a JSON object of the format " + std::string(statement_format)));
  }
  Statement statement;
  try {
    statement = read(json);
    if (!identity::parse_role(json.at("role").get<std::string>())) {
      return tl::unexpected(not_a_statement("unknown role"));
    }
  } catch (const Json::exception& error) {
    return tl::unexpected(not_a_statement(error.what()));
  }
  const bool is_relay = statement.role == identity::Role::intermediate;
  if (statement.end.has_value() == is_relay || statement.relay.has_value() != is_relay) {
    return tl::unexpected(not_a_statement("it says what its signer cannot know, or too little"));
  }
  return statement;
}

base::Result<identity::SignedText> sign(const Statement& statement,
                                        const identity::Credentials& credentials) {
  return credentials.sign(prefix(statement.role), to_text(statement));
}

base::Result<Statement> open(const identity::SignedText& text) {
  auto statement = parse_statement(text.text);
  if (!statement) return statement;
  const auto good = identity::check_signature(text, prefix(statement->role));
  if (!good) return tl::unexpected(good.error());
  return statement;
}

}  // namespace ztna::proof
