#include "agent/shell_quality.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "io/json_response.hpp"

namespace ztna::agent {
namespace {

using Json = nlohmann::ordered_json;

constexpr base::Duration last_wait = std::chrono::seconds(1);
constexpr std::size_t number_size = 4;

// `otherwise` where it is not given; none for what is no number within the limits.
std::optional<std::uint32_t> number(const io::HttpRequest& request, std::string_view name,
                                    std::uint32_t least, std::uint32_t most,
                                    std::uint32_t otherwise) {
  const std::string_view text = request.param(name);
  if (text.empty()) return otherwise;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value >= least && value <= most ? std::optional(value) : std::nullopt;
}

}  // namespace

void QualityProbes::ask(const io::HttpRequest& request, const io::HttpReply& reply) {
  const std::string service(request.param("service"));
  const auto count = number(request, "count", 1, 1000, 50);
  const auto interval = number(request, "interval_ms", 2, 1000, 20);
  const auto size = number(request, "size", 8, 1400, 100);
  if (!identity::is_valid_name(service) || !count || !interval || !size) {
    return reply.send(
        {400, "text/plain; charset=utf-8",
         "expected ?service=NAME, count (1 to 1000), interval_ms (2 to 1000) and size "
         "(8 to 1400)\n"});
  }
  rounds_.push_back({service,
                     reply,
                     *count,
                     *size,
                     std::chrono::milliseconds(*interval),
                     flows_.open(service, Protocol::echo, *this),
                     nullptr,
                     {},
                     0,
                     {},
                     {}});
  const auto round = std::prev(rounds_.end());
  round->probes.reserve(round->count);
  round->timer = std::make_unique<io::Timer>(loop_, [this, round] { go_on(round); });
  flows_.pump();
}

QualityProbes::At QualityProbes::find(FlowId id) {
  return std::ranges::find(rounds_, id, &Round::flow);
}

void QualityProbes::on_flow_accepted(FlowId id) {
  const auto round = find(id);
  if (round == rounds_.end()) return;
  if (const session::Session* const session = session_of_(id)) {
    round->connector = session->config().peer_uri;
    round->session = session->config().id.hex();
  }
  round->timer->set(io::Loop::now());
}

// The next one is due; or none is, and the last ones have had their time.
void QualityProbes::go_on(At round) {
  if (!round->reply.alive() || round->probes.size() == round->count) return finish(round);
  const base::Time now = io::Loop::now();
  send(*round, now);
  const bool last = round->probes.size() == round->count;
  round->timer->set(last ? now + last_wait
                         : round->probes.front().sent +
                               static_cast<std::int64_t>(round->probes.size()) * round->interval);
}

void QualityProbes::send(Round& round, base::Time now) {
  const session::Session* const session = session_of_(round.flow);
  base::Bytes payload(round.size);
  base::store_be32(payload.data(), static_cast<std::uint32_t>(round.probes.size()));
  round.probes.push_back(
      {now, session != nullptr ? session->path_kind() : session::PathKind::relay, std::nullopt});
  flows_.flow_datagram(round.flow, payload);
  flows_.pump();
}

void QualityProbes::on_flow_datagram(FlowId id, base::BytesView payload) {
  const auto round = find(id);
  if (round == rounds_.end() || payload.size() < number_size) return;
  const std::size_t number = base::load_be32(payload.data());
  if (number >= round->probes.size() || round->probes[number].round_trip) return;
  round->probes[number].round_trip = io::Loop::now() - round->probes[number].sent;
  // Not from inside this call: the flow goes with it.
  if (++round->answered == round->count) round->timer->set(io::Loop::now());
}

// The Connector has nothing to say on the stream.
void QualityProbes::on_flow_data(FlowId id, base::BytesView data) {
  flows_.flow_consume(id, data.size());
}

void QualityProbes::on_flow_ended(FlowId id, FlowEnd end, const std::string& text) {
  const auto round = find(id);
  if (round != rounds_.end()) answer(round, end, text);
}

void QualityProbes::finish(At round) {
  flows_.hand_over(round->flow, nullptr);
  flows_.flow_finish(round->flow);
  flows_.pump();
  answer(round, std::nullopt, {});
}

void QualityProbes::answer(At round, std::optional<FlowEnd> end, const std::string& text) {
  Json json = {{"service", round->service}};
  if (!round->connector.empty()) {
    json["connector"] = round->connector;
    json["session"] = round->session;
  }
  if (end) {
    json["error"] = session::to_string(*end);
    json["text"] = text;
  }
  Json& probes = json["probes"] = Json::array();
  for (const Probe& probe : round->probes) {
    probes.push_back(
        {{"at_ms", base::to_ms(probe.sent - round->probes.front().sent)},
         {"via", session::to_string(probe.via)},
         {"rtt_ms", probe.round_trip ? Json(base::to_ms(*probe.round_trip)) : Json()}});
  }
  const io::HttpReply reply = std::move(round->reply);
  rounds_.erase(round);
  reply.send(io::json_response(json));
}

}  // namespace ztna::agent
