// The Agent's flows: from the wish for one over a session that may carry it to its end.
#include <algorithm>

#include "agent/engine.hpp"
#include "node/flow_record.hpp"
#include "node/timeouts.hpp"

namespace ztna::agent {

namespace timeouts = node::timeouts;
namespace proto = node::proto;
using node::Uplink;
using session::Session;
using session::StreamId;

namespace {

constexpr std::size_t max_early_datagrams = 32;
constexpr std::size_t max_failures = 64;
constexpr std::size_t max_tries = 3;

FlowEnd from_reason(proto::Reason reason) {
  switch (reason) {
    case proto::REASON_DENIED:
    case proto::REASON_REVOKED: return FlowEnd::denied;
    case proto::REASON_UNKNOWN_SERVICE: return FlowEnd::unknown_service;
    case proto::REASON_QUOTA: return FlowEnd::quota;
    case proto::REASON_MALFORMED: return FlowEnd::protocol_error;
    default: return FlowEnd::unavailable;
  }
}

// Failures that speak against this service of the Connector instance, and no other of it.
bool blames_service(FlowEnd why) {
  switch (why) {
    case FlowEnd::backend_refused:
    case FlowEnd::backend_unreachable:
    case FlowEnd::backend_timeout:
    case FlowEnd::untrusted:
    case FlowEnd::unknown_service: return true;
    default: return false;
  }
}

// Failures that speak against the Connector instance rather than against the request.
bool blames_instance(FlowEnd why) {
  switch (why) {
    case FlowEnd::session_lost:
    case FlowEnd::timed_out:
    case FlowEnd::shutting_down: return true;
    default: return blames_service(why);
  }
}

// Somebody decided against the flow; it did not just fail.
bool is_verdict(FlowEnd why) {
  return why == FlowEnd::denied || why == FlowEnd::unknown_service || why == FlowEnd::untrusted ||
         why == FlowEnd::quota;
}

}  // namespace

// --- opening

FlowId Engine::open_flow(const std::string& service, Protocol protocol, base::Time now) {
  now_ = now;
  const FlowId id{++last_flow_};
  Flow& flow = flows_[id.value];
  flow.id = id;
  flow.service = service;
  flow.protocol = protocol;
  flow.since = now;
  ++counters_.flows_opened;
  deadlines_.set(id.value, now + timeouts::flow_waits_for_uplink);
  to_advance_.push_back(id);
  return id;
}

void Engine::advance(FlowId id) {
  Flow* const flow = find(id);
  if (flow == nullptr) return;
  if (flow->state != State::for_uplink && flow->state != State::for_relay) return;
  if (flows_.size() > config_.max_flows) {
    return end(id, FlowEnd::quota, "too many flows on this Agent");
  }
  // A live session serves even while its Intermediate is away for a moment.
  const auto choice = catalog_.choose(flow->service, candidates(), flow->tried, spread_, now_);
  if (choice) {
    if (Session* const live = session_with(choice->incarnation)) {
      return start_or_wait(*flow, *live);
    }
  }
  if (uplink_for(0) == nullptr) {
    // Nobody says who serves it, but a session that goes directly may know.
    for (Session* const session : node_->sessions()) {
      if (session->has_path() && fits(*flow, *session, choice)) {
        return start_or_wait(*flow, *session);
      }
    }
    const bool hope = std::ranges::any_of(
        node_->uplinks(), [&](const auto& uplink) { return uplink->hopeful(now_); });
    if (!hope) return end(id, FlowEnd::unavailable, uplink_trouble());
    if (flow->state == State::for_relay) begin_anew(*flow);
    return;
  }
  const bool relay_may_return = !flow->waited_for_relay &&
                                std::ranges::any_of(node_->sessions(), [&](const Session* session) {
                                  return !session->has_path() && fits(*flow, *session, choice);
                                });
  if (relay_may_return) {
    if (flow->state == State::for_relay) return;
    flow->state = State::for_relay;
    deadlines_.set(id.value, now_ + timeouts::flow_waits_for_relay);
    return;
  }
  ask_for_session(*flow);
}

bool Engine::fits(const Flow& flow, const Session& session, const std::optional<Instance>& choice) {
  if (session.state() != Session::State::ready) return false;
  const base::IncarnationId& instance = session.config().peer_incarnation;
  if (choice) return instance == choice->incarnation;
  return session.peer()->may_serve(flow.service) &&
         std::ranges::find(flow.tried, instance) == flow.tried.end();
}

void Engine::begin_anew(Flow& flow) {
  flow.state = State::for_uplink;
  flow.waits_on = nullptr;
  deadlines_.set(flow.id.value, now_ + timeouts::flow_waits_for_uplink);
  to_advance_.push_back(flow.id);
}

void Engine::advance_all() {
  std::vector<FlowId> waiting;
  for (const auto& [value, flow] : flows_) {
    if (flow.state == State::for_uplink || flow.state == State::for_relay) {
      waiting.push_back(flow.id);
    }
  }
  for (const FlowId id : waiting) advance(id);
}

Uplink* Engine::uplink_for(std::uint32_t preferred) const {
  const auto& uplinks = node_->uplinks();
  if (preferred < uplinks.size() && uplinks[preferred]->up()) return uplinks[preferred].get();
  Uplink* best = nullptr;
  for (const auto& uplink : uplinks) {
    if (!uplink->may_ask()) continue;
    const bool better =
        best == nullptr || (uplink->up() && !best->up()) ||
        (uplink->up() == best->up() && uplink->stats().smoothed_rtt < best->stats().smoothed_rtt);
    if (better) best = uplink.get();
  }
  return best;
}

void Engine::ask_for_session(Flow& flow) {
  const auto choice = catalog_.choose(flow.service, candidates(), flow.tried, spread_, now_);
  const base::IncarnationId wanted = choice ? choice->incarnation : base::IncarnationId{};
  flow.state = State::for_session;
  deadlines_.set(flow.id.value, now_ + timeouts::open_session);
  // A session with that instance is being set up: wait with the others.
  for (auto& [number, request] : requests_) {
    const bool same = choice ? request.incarnation == wanted : request.service == flow.service;
    if (!same) continue;
    request.flows.push_back(flow.id);
    return;
  }
  Uplink* const uplink = uplink_for(choice ? choice->uplink : 0);
  const std::uint64_t number = ++last_request_;
  const base::BytesView incarnation = choice ? base::BytesView(wanted.octets) : base::BytesView{};
  if (uplink == nullptr || !node_->open_session(*uplink, number, flow.service, incarnation)) {
    return end(flow.id, FlowEnd::unavailable, uplink_trouble());
  }
  requests_[number] = {uplink->index(), flow.service, wanted, {flow.id}};
}

void Engine::on_session_opened(std::uint64_t number, Session& session) {
  const auto found = requests_.find(number);
  if (found == requests_.end()) return;
  found->second.incarnation = session.config().peer_incarnation;
  if (session.state() == Session::State::ready) on_session_ready(session);
}

void Engine::on_session_refused(std::uint64_t number, proto::Reason reason,
                                const std::string& text) {
  const auto found = requests_.find(number);
  if (found == requests_.end()) return;
  const Request request = std::move(found->second);
  requests_.erase(found);
  const bool chose = request.incarnation != base::IncarnationId{};
  for (const FlowId id : request.flows) {
    Flow* const flow = find(id);
    if (flow == nullptr) continue;
    // The instance that we chose may just have gone; there may be another.
    const FlowEnd why = from_reason(reason);
    const bool again = chose && flow->tried.size() + 1 < max_tries &&
                       (why == FlowEnd::unavailable || why == FlowEnd::unknown_service);
    if (again) {
      flow->tried.push_back(request.incarnation);
      begin_anew(*flow);
    } else {
      end(id, why, text.substr(0, 200));
    }
  }
}

void Engine::on_session_ready(Session& session) {
  notices_.push_back(node::session_ready(session));
  for (auto it = requests_.begin(); it != requests_.end();) {
    if (it->second.incarnation != session.config().peer_incarnation) {
      ++it;
      continue;
    }
    const std::vector<FlowId> waiting = std::move(it->second.flows);
    it = requests_.erase(it);
    for (const FlowId id : waiting) {
      if (Flow* const flow = find(id)) start_or_wait(*flow, session);
    }
  }
}

void Engine::on_path_switched(Session& session, const session::PathSwitch& change) {
  notices_.push_back(node::path_switched(session, change));
  if (change.to == session::PathKind::direct) start_waiting(session);
}

// Why flows may not take the relay of this session.
std::string Engine::no_relay(const Session& session) const {
  if (config_.node.direct_only) return "--direct-only is set";
  return "the relay at " + session.relay_name() + " is off";
}

// Nothing came from it since, not even an acknowledgement, and its Intermediate hears nothing
// either.
bool Engine::looks_gone(const Flow& flow) const {
  return flow.session->last_heard() < flow.opened &&
         !catalog_.is_healthy(flow.session->config().peer_incarnation);
}

void Engine::end_unanswered(const Flow& flow) {
  Session& session = *flow.session;
  session.reset(flow.stream);
  catalog_.penalise(session.config().peer_incarnation, {}, now_);
  const std::string text = "the Connector did not answer in time";
  if (!session.relay_off()) return end(flow.id, FlowEnd::timed_out, text);
  // The way there is to blame, not the Connector.
  end(flow.id, FlowEnd::unavailable, text + ", and " + no_relay(session));
}

void Engine::start_waiting(const Session& session) {
  for (const auto& [value, flow] : flows_) {
    if (flow.state == State::for_direct && flow.waits_on == &session) to_start_.push_back(flow.id);
  }
}

void Engine::start_or_wait(Flow& flow, Session& session) {
  if (!session.holds_flows()) return start_on(flow, session);
  const bool first = std::ranges::none_of(
      flows_, [&](const auto& entry) { return entry.second.waits_on == &session; });
  if (first) session.seek_direct(now_);
  flow.state = State::for_direct;
  flow.waits_on = &session;
  deadlines_.set(flow.id.value, now_ + timeouts::flow_waits_for_direct);
}

void Engine::start_on(Flow& flow, Session& session) {
  // For every flow: the Connector's certificate must name the service, whatever any Intermediate
  // said about who serves it.
  if (!session.peer()->may_serve(flow.service)) {
    catalog_.penalise(session.config().peer_incarnation, flow.service, now_);
    return end(flow.id, FlowEnd::untrusted,
               session.peer()->uri() + " has no certificate for " + flow.service);
  }
  const auto stream = session.open_flow(flow.service, flow.protocol);
  if (!stream) return end(flow.id, FlowEnd::quota, stream.error().message());
  flow.session = &session;
  flow.waits_on = nullptr;
  flow.stream = *stream;
  audit_start(flow);
  flow.state = State::opening;
  by_stream_[{&session, *stream}] = flow.id;
  unused_since_.erase(&session);
  flow.opened = now_;
  // Where its Intermediate has given it up already, it has a moment to show that it is there.
  const bool given_up = !catalog_.is_healthy(session.config().peer_incarnation);
  deadlines_.set(flow.id.value,
                 now_ + (given_up ? timeouts::flow_given_up : timeouts::flow_unheard));
  catalog_.used(flow.service, session.config().peer_incarnation);
  for (const base::Bytes& payload : std::exchange(flow.early, {})) {
    flow.counters.to_backend += payload.size();
    session.send_datagram(*stream, payload);
  }
  if (flow.finish_early) session.finish(*stream);
  handler_.on_flow_writable(flow.id);
}

// --- what the Connector does

Engine::Flow* Engine::find(FlowId id) {
  const auto found = flows_.find(id.value);
  return found == flows_.end() ? nullptr : &found->second;
}

const Session* Engine::session_of(FlowId id) const {
  const auto found = flows_.find(id.value);
  return found == flows_.end() ? nullptr : found->second.session;
}

Engine::Flow* Engine::find(const Session& session, StreamId stream) {
  const auto found = by_stream_.find({const_cast<Session*>(&session), stream});
  return found == by_stream_.end() ? nullptr : find(found->second);
}

void Engine::on_flow_accepted(Session& session, StreamId stream) {
  Flow* const flow = find(session, stream);
  if (flow == nullptr) return;
  flow->state = State::open;
  deadlines_.remove(flow->id.value);
  ++counters_.flows_accepted;
  handler_.on_flow_accepted(flow->id);
}

void Engine::on_flow_rejected(Session& session, StreamId stream, FlowEnd why,
                              const std::string& text) {
  const Flow* const flow = find(session, stream);
  if (flow != nullptr) end(flow->id, why, text);
}

void Engine::on_flow_data(Session& session, StreamId stream, base::BytesView data) {
  Flow* const flow = find(session, stream);
  if (flow == nullptr) return session.consume(stream, data.size());
  flow->counters.from_backend += data.size();
  counters_.bytes_from_backend += data.size();
  handler_.on_flow_data(flow->id, data);
}

void Engine::on_flow_fin(Session& session, StreamId stream) {
  const Flow* const flow = find(session, stream);
  if (flow == nullptr) return;
  if (has_datagrams(flow->protocol)) return session.finish(stream);
  handler_.on_flow_fin(flow->id);
}

void Engine::on_flow_writable(Session& session, StreamId stream) {
  if (const Flow* const flow = find(session, stream)) handler_.on_flow_writable(flow->id);
}

void Engine::on_flow_datagram(Session& session, StreamId stream, base::BytesView payload) {
  Flow* const flow = find(session, stream);
  if (flow == nullptr) return;
  flow->counters.from_backend += payload.size();
  counters_.bytes_from_backend += payload.size();
  handler_.on_flow_datagram(flow->id, payload);
}

void Engine::on_flow_reset(Session& session, StreamId stream) {
  const Flow* const flow = find(session, stream);
  if (flow != nullptr) end(flow->id, FlowEnd::reset, "reset by the service's side");
}

void Engine::on_flow_closed(Session& session, StreamId stream) {
  const Flow* const flow = find(session, stream);
  if (flow != nullptr) end(flow->id, FlowEnd::finished, {});
}

std::vector<FlowId> Engine::flows_on(Session& session) const {
  std::vector<FlowId> all;
  for (auto it = by_stream_.lower_bound({&session, -1});
       it != by_stream_.end() && it->first.first == &session; ++it) {
    all.push_back(it->second);
  }
  return all;
}

void Engine::on_session_closed(Session& session, const quic::CloseInfo& info) {
  notices_.push_back(node::session_closed(session, info));
  unused_since_.erase(&session);
  forget_questions(session.config().id);
  const base::IncarnationId instance = session.config().peer_incarnation;
  for (const FlowId id : flows_on(session)) end(id, FlowEnd::session_lost, info.reason);
  for (auto& [value, flow] : flows_) {
    if (flow.waits_on == &session) begin_anew(flow);
  }
  // Those that waited for its handshake may find another Connector.
  std::vector<FlowId> waiting;
  for (auto it = requests_.begin(); it != requests_.end();) {
    if (it->second.incarnation != instance) {
      ++it;
      continue;
    }
    waiting.insert(waiting.end(), it->second.flows.begin(), it->second.flows.end());
    it = requests_.erase(it);
  }
  if (!waiting.empty()) catalog_.penalise(instance, {}, now_);
  // A TLS alert (RFC 9001 §4.8): one end does not take the other for what it should be.
  const bool refused = info.cause == quic::CloseCause::handshake && !info.application &&
                       info.code >= 0x100 && info.code <= 0x1ff;
  for (const FlowId id : waiting) {
    Flow* const flow = find(id);
    if (flow == nullptr) continue;
    flow->tried.push_back(instance);
    if (refused) {
      end(id, FlowEnd::untrusted, "the session was refused: " + info.reason);
    } else if (flow->tried.size() >= max_tries) {
      end(id, FlowEnd::unavailable, "no session came up: " + info.reason);
    } else {
      begin_anew(*flow);
    }
  }
}

// --- what the local program does

std::size_t Engine::flow_writable(FlowId id) {
  const Flow* const flow = find(id);
  return flow == nullptr || flow->session == nullptr ? 0 : flow->session->writable(flow->stream);
}

std::size_t Engine::flow_write(FlowId id, base::BytesView data) {
  Flow* const flow = find(id);
  if (flow == nullptr || flow->session == nullptr) return 0;
  const std::size_t taken = flow->session->write(flow->stream, data);
  flow->counters.to_backend += taken;
  counters_.bytes_to_backend += taken;
  return taken;
}

void Engine::flow_finish(FlowId id) {
  Flow* const flow = find(id);
  if (flow == nullptr) return;
  if (flow->session == nullptr) {
    flow->finish_early = true;
  } else {
    flow->session->finish(flow->stream);
  }
}

void Engine::flow_reset(FlowId id) {
  const Flow* const flow = find(id);
  if (flow == nullptr) return;
  if (flow->session != nullptr) flow->session->reset(flow->stream);
  end(id, FlowEnd::reset, "reset by the local program");
}

void Engine::flow_consume(FlowId id, std::size_t size) {
  const Flow* const flow = find(id);
  if (flow != nullptr && flow->session != nullptr) flow->session->consume(flow->stream, size);
}

void Engine::flow_datagram(FlowId id, base::BytesView payload) {
  Flow* const flow = find(id);
  if (flow == nullptr) return;
  if (flow->session == nullptr) {
    if (flow->early.size() < max_early_datagrams) {
      flow->early.emplace_back(payload.begin(), payload.end());
    }
    return;
  }
  if (!flow->session->send_datagram(flow->stream, payload)) return;
  flow->counters.to_backend += payload.size();
  counters_.bytes_to_backend += payload.size();
}

// --- the end of flows

void Engine::end(FlowId id, FlowEnd why, const std::string& text) {
  const auto found = flows_.find(id.value);
  if (found == flows_.end()) return;
  const Flow flow = std::move(found->second);
  flows_.erase(found);
  deadlines_.remove(id.value);
  ++counters_.ended[why];
  for (auto& [number, request] : requests_) std::erase(request.flows, id);
  if (flow.session != nullptr) {
    by_stream_.erase({flow.session, flow.stream});
    const auto other = by_stream_.lower_bound({flow.session, -1});
    const bool unused = other == by_stream_.end() || other->first.first != flow.session;
    if (unused && flow.session->state() == Session::State::ready) {
      unused_since_[flow.session] = now_;
    }
    if (blames_instance(why)) {
      catalog_.penalise(flow.session->config().peer_incarnation,
                        blames_service(why) ? flow.service : std::string(), now_);
    }
  }
  audit_end(flow, why, text);
  if (why != FlowEnd::finished && why != FlowEnd::reset) {
    failures_.push_back({id, flow.service, text, why, now_});
    if (failures_.size() > max_failures) failures_.pop_front();
    tell_failure(flow.service, why, text);
  }
  handler_.on_flow_ended(id, why, text);
}

policy::AuditRecord Engine::record_of(const Flow& flow, policy::AuditEvent event) const {
  policy::AuditRecord record =
      node::flow_record(event, flow.service, flow.protocol, flow.session, flow.stream);
  record.time = wall_.now(now_);
  record.agent = config_.node.credentials->self().name;
  if (flow.session != nullptr) record.connector = flow.session->peer()->name;
  return record;
}

void Engine::audit_start(const Flow& flow) {
  policy::AuditRecord record = record_of(flow, policy::AuditEvent::flow);
  record.allowed = true;
  record.rule = "the Connector's certificate";
  audit_.push_back(std::move(record));
}

// A flow that never got a session was refused, by us or by an Intermediate, found nobody, or was
// given up by the local program.
void Engine::audit_end(const Flow& flow, FlowEnd why, const std::string& text) {
  const bool had_session = flow.session != nullptr;
  policy::AuditRecord record =
      record_of(flow, had_session ? policy::AuditEvent::flow_closed : policy::AuditEvent::flow);
  node::put_end(record, why, text);
  if (had_session) {
    node::put_traffic(record, *flow.session, flow.counters, now_ - flow.since);
  } else if (is_verdict(why)) {
    record.allowed = false;
  }
  audit_.push_back(std::move(record));
}

// A program that does not give up, or many at once, must not fill the log.
void Engine::tell_failure(const std::string& service, FlowEnd why, const std::string& text) {
  if (!failure_notices_.take(1, now_)) {
    ++failures_untold_;
    return;
  }
  node::Notice notice{
      true,
      "Flow failed",
      {{"service", service}, {"reason", std::string(to_string(why))}, {"detail", text}}};
  if (failures_untold_ > 0) {
    notice.fields.emplace_back("suppressed", std::to_string(std::exchange(failures_untold_, 0)));
  }
  notices_.push_back(std::move(notice));
}

}  // namespace ztna::agent
