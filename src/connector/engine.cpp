#include "connector/engine.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "node/flow_record.hpp"
#include "node/notice.hpp"
#include "node/witness.hpp"

namespace ztna::connector {

using node::Uplink;
using session::Session;
using session::StreamId;
namespace proto = node::proto;

namespace {

constexpr std::string_view asked_too_often = "asked too often, try again in a while";
constexpr std::size_t max_allowances = 1024;  // remembered before the idle ones are forgotten

}  // namespace

Engine::Engine(EngineConfig config, Handler& handler, base::WallReference wall)
    : config_(std::move(config)), handler_(handler), wall_(wall) {
  for (const ServiceConfig& service : config_.services) {
    services_.emplace(service.name, ServiceView{service, true, {}, 0, 0});
  }
  config_.node.role = Session::Role::connector;
  node::NodeOwner& self = *this;
  node_ = std::make_unique<node::Node>(config_.node, self, wall);
}

Engine::~Engine() = default;

// --- uplinks and offers

void Engine::send_offer(Uplink& uplink) {
  proto::Message message;
  proto::Offer& offer = *message.mutable_offer();
  for (const auto& [name, view] : services_) {
    proto::OfferedService& service = *offer.add_services();
    service.set_name(name);
    service.set_protocol(view.config.protocol == Protocol::tcp ? proto::PROTOCOL_TCP
                                                               : proto::PROTOCOL_UDP);
    service.set_port(view.config.backend.port);
    service.set_healthy(view.healthy);
  }
  uplink.send(message);
}

void Engine::on_uplink_up(Uplink& uplink) {
  notices_.push_back(node::uplink_up(uplink));
  send_offer(uplink);
}

void Engine::on_uplink_down(Uplink& uplink, const std::string& reason) {
  for (auto& [name, view] : services_) view.refused.erase(uplink.name());
  notices_.push_back(node::uplink_down(uplink, reason));
}

void Engine::on_uplink_attempt_failed(Uplink& uplink, const std::string& reason) {
  // The 1st, 2nd, 4th, 8th … in a row: an outage is said, not shouted.
  if (std::has_single_bit(uplink.failed_attempts())) {
    notices_.push_back(node::uplink_attempt_failed(uplink, reason));
  }
}

void Engine::on_uplink_message(Uplink& uplink, const proto::Message& message) {
  if (message.body_case() == proto::Message::kRefused) {
    notices_.push_back(node::refused(uplink, message.refused().text().substr(0, 200)));
  } else if (message.body_case() == proto::Message::kOfferState) {
    on_offer_state(uplink, message.offer_state());
  } else if (message.body_case() == proto::Message::kDrain) {
    notices_.push_back(node::draining(uplink));
  } else if (message.body_case() == proto::Message::kRelayState) {
    notices_.push_back(node::relay_state(uplink));
  }
}

void Engine::on_offer_state(const Uplink& uplink, const proto::OfferState& state) {
  std::map<std::string, std::string> refused;
  for (const proto::RefusedService& each : state.refused()) {
    refused.emplace(each.name(), each.reason().substr(0, 200));
  }
  for (auto& [name, view] : services_) {
    const auto found = refused.find(name);
    if (found == refused.end()) {
      if (view.refused.erase(uplink.name()) != 0) {
        notices_.push_back(node::service_taken(uplink, name));
      }
    } else if (std::exchange(view.refused[uplink.name()], found->second) != found->second) {
      notices_.push_back(node::refused(uplink, "service " + name + ": " + found->second));
    }
  }
}

void Engine::set_health(const std::string& service, bool healthy) {
  const auto found = services_.find(service);
  if (found == services_.end() || found->second.healthy == healthy) return;
  found->second.healthy = healthy;
  notices_.push_back(
      {!healthy,
       healthy ? "Backend is healthy again" : "Backend is down: service withdrawn",
       {{"service", service}, {"backend", found->second.config.backend.to_string()}}});
  for (const auto& uplink : node_->uplinks()) {
    if (uplink->up()) send_offer(*uplink);
  }
}

// --- sessions

void Engine::on_session_relay(Session& session, bool available) {
  notices_.push_back(node::session_relay(session, available));
}

void Engine::on_session_ready(Session& session) {
  notices_.push_back(node::session_ready(session));
}

void Engine::on_path_switched(Session& session, const session::PathSwitch& change) {
  notices_.push_back(node::path_switched(session, change));
}

void Engine::on_control_message(Session& session, const session::v1::SessionMessage& message) {
  if (message.has_statement_request()) {
    state(session, message.statement_request().nonce());
  } else if (message.has_suspend_direct()) {
    suspend_direct(session, message.suspend_direct());
  }
}

proof::Allowance& Engine::allowance_of(const Session& session) {
  if (allowances_.size() > max_allowances) {
    std::erase_if(allowances_, [this](const auto& entry) { return entry.second.idle(now_); });
  }
  return allowances_[session.peer()->name];
}

void Engine::state(Session& session, const std::string& nonce) {
  base::Result<identity::SignedText> said =
      base::fail(base::ErrorCode::exhausted, std::string(asked_too_often));
  if (allowance_of(session).statements.take(1, now_)) {
    said = node::witness(session, nonce, wall_.now(now_), now_);
  }
  session::v1::SessionMessage reply;
  *reply.mutable_statement_reply() = node::to_reply(nonce, said);
  session.send_control(reply);
}

// Who asks too often is not on record either: that log is not for him to fill.
void Engine::suspend_direct(Session& session, const proof::v1::SuspendRequest& request) {
  session::v1::SessionMessage message;
  proof::v1::SuspendReply& reply = *message.mutable_suspend_reply();
  if (!allowance_of(session).suspensions.take(1, now_)) {
    reply.set_refusal(std::string(asked_too_often));
    session.send_control(message);
    return;
  }
  policy::Decision decision = config_.policy->may_suspend(*session.peer(), request.service());
  if (decision.allowed && !services_.contains(request.service())) {
    decision = {false, "this Connector has no such service"};
  }
  policy::AuditRecord record;
  record.time = wall_.now(now_);
  record.event = policy::AuditEvent::suspend;
  record.agent = session.peer()->name;
  record.connector = config_.node.credentials->self().name;
  record.service = identity::printable(request.service());
  record.session = session.config().id.hex();
  record.allowed = decision.allowed;
  record.rule = decision.rule;
  record.path = "DIRECT";
  if (!decision.allowed) {
    reply.set_refusal("policy: " + decision.rule);
  } else if (const auto granted =
                 session.suspend_direct(std::chrono::milliseconds(request.ms()), now_)) {
    record.duration = *granted;
    reply.set_ms(
        static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::milliseconds>(*granted).count()));
  } else {
    record.reason = granted.error().message();
    reply.set_refusal(record.reason);
  }
  audit_.push_back(std::move(record));
  session.send_control(message);
}

void Engine::on_session_closed(Session& session, const quic::CloseInfo& info) {
  notices_.push_back(node::session_closed(session, info));
  std::vector<FlowId> over;
  for (auto it = by_stream_.lower_bound({&session, -1});
       it != by_stream_.end() && it->first.first == &session; ++it) {
    over.push_back(it->second);
  }
  for (const FlowId id : over) end(id, FlowEnd::session_lost, info.reason, true);
}

// --- flows: what the Agent does

void Engine::on_flow_opened(Session& session, StreamId stream, const std::string& service,
                            Protocol protocol) {
  const FlowId id{++last_flow_};
  Flow& flow = flows_[id.value];
  flow.session = &session;
  flow.stream = stream;
  flow.service = service;
  flow.agent = session.peer()->name;
  flow.protocol = protocol;
  flow.since = now_;
  by_stream_[{&session, stream}] = id;

  const auto known = services_.find(service);
  policy::Decision decision = config_.policy->may_reach(*session.peer(), service);
  if (decision.allowed) {
    // Our own certificate and the same policy must let us serve it; nobody reaches by detour what
    // this Connector may not offer.
    const policy::Decision serve =
        config_.policy->may_serve(config_.node.credentials->self(), service);
    if (!serve.allowed) decision = serve;
  }
  const auto of_agent = std::ranges::count_if(
      flows_, [&](const auto& other) { return other.second.agent == flow.agent; });
  const bool full = flows_.size() > config_.max_flows ||
                    static_cast<std::size_t>(of_agent) > config_.max_flows_per_agent;
  flow.allowed = decision.allowed;
  audit_flow(flow, decision);
  FlowEnd why = FlowEnd::finished;
  std::string text;
  if (!decision.allowed) {
    ++counters_.flows_denied;
    why = FlowEnd::denied;
    text = decision.rule;
  } else if (known == services_.end() ||
             (has_backend(protocol) && known->second.config.protocol != protocol)) {
    why = FlowEnd::unknown_service;
    text = known == services_.end()
               ? "this Connector has no such service"
               : "the service does not speak " + std::string(session::to_string(protocol));
  } else if (full) {
    why = FlowEnd::quota;
    text = "too many flows";
  }
  if (why != FlowEnd::finished) {
    session.reject_flow(stream, why, text);
    return end(id, why, text, false);
  }
  if (protocol == Protocol::ping) {
    session.accept_flow(stream);
    session.finish(stream);
    return end(id, FlowEnd::finished, {}, false);
  }
  if (protocol == Protocol::echo) return accept_flow(id);
  ++known->second.flows_total;
  ++known->second.flows;
  flow.counted = true;
  handler_.on_flow_request(id, known->second.config);
}

void Engine::on_flow_data(Session& session, StreamId stream, base::BytesView data) {
  const FlowId id = id_of(session, stream);
  Flow* const flow = find(id);
  if (flow == nullptr) return session.consume(stream, data.size());
  flow->counters.to_backend += data.size();
  counters_.bytes_to_backend += data.size();
  handler_.on_flow_data(id, data);
}

void Engine::on_flow_fin(Session& session, StreamId stream) {
  const FlowId id = id_of(session, stream);
  const Flow* const flow = find(id);
  if (flow == nullptr) return;
  if (has_datagrams(flow->protocol)) {  // the association is over
    session.finish(stream);
    return;
  }
  handler_.on_flow_fin(id);
}

void Engine::on_flow_writable(Session& session, StreamId stream) {
  const FlowId id = id_of(session, stream);
  if (find(id) != nullptr) handler_.on_flow_writable(id);
}

void Engine::on_flow_datagram(Session& session, StreamId stream, base::BytesView payload) {
  const FlowId id = id_of(session, stream);
  Flow* const flow = find(id);
  if (flow == nullptr) return;
  if (flow->protocol == Protocol::echo) {
    std::ignore = session.send_datagram(stream, payload);
    return;
  }
  flow->counters.to_backend += payload.size();
  counters_.bytes_to_backend += payload.size();
  handler_.on_flow_datagram(id, payload);
}

void Engine::on_flow_reset(Session& session, StreamId stream) {
  end(id_of(session, stream), FlowEnd::reset, "reset by the Agent's side", true);
}

void Engine::on_flow_closed(Session& session, StreamId stream) {
  end(id_of(session, stream), FlowEnd::finished, {}, true);
}

// --- flows: what the backend does

void Engine::accept_flow(FlowId id) {
  Flow* const flow = find(id);
  if (flow == nullptr || flow->accepted) return;
  flow->accepted = true;
  ++counters_.flows_accepted;
  flow->session->accept_flow(flow->stream);
}

void Engine::reject_flow(FlowId id, FlowEnd why, std::string_view text) {
  Flow* const flow = find(id);
  if (flow == nullptr || flow->accepted) return;
  ++counters_.flows_failed;
  flow->session->reject_flow(flow->stream, why, text);
  end(id, why, std::string(text), false);
}

std::size_t Engine::flow_writable(FlowId id) {
  const Flow* const flow = find(id);
  return flow == nullptr || flow->session == nullptr ? 0 : flow->session->writable(flow->stream);
}

std::size_t Engine::flow_write(FlowId id, base::BytesView data) {
  Flow* const flow = find(id);
  if (flow == nullptr) return 0;
  const std::size_t taken = flow->session->write(flow->stream, data);
  flow->counters.from_backend += taken;
  counters_.bytes_from_backend += taken;
  return taken;
}

void Engine::flow_finish(FlowId id) {
  if (const Flow* const flow = find(id)) flow->session->finish(flow->stream);
}

void Engine::flow_reset(FlowId id) {
  const Flow* const flow = find(id);
  if (flow == nullptr) return;
  flow->session->reset(flow->stream);
  end(id, FlowEnd::reset, "reset by the backend", false);
}

void Engine::flow_consume(FlowId id, std::size_t size) {
  if (const Flow* const flow = find(id)) flow->session->consume(flow->stream, size);
}

void Engine::flow_datagram(FlowId id, base::BytesView payload) {
  Flow* const flow = find(id);
  if (flow == nullptr || !flow->session->send_datagram(flow->stream, payload)) return;
  flow->counters.from_backend += payload.size();
  counters_.bytes_from_backend += payload.size();
}

// --- the end of flows

Engine::Flow* Engine::find(FlowId id) {
  const auto found = flows_.find(id.value);
  return found == flows_.end() ? nullptr : &found->second;
}

FlowId Engine::id_of(const Session& session, StreamId stream) const {
  const auto found = by_stream_.find({const_cast<Session*>(&session), stream});
  return found == by_stream_.end() ? FlowId{} : found->second;
}

void Engine::end(FlowId id, FlowEnd why, const std::string& text, bool tell_shell) {
  const auto found = flows_.find(id.value);
  if (found == flows_.end()) return;
  const Flow flow = std::move(found->second);
  flows_.erase(found);
  by_stream_.erase({flow.session, flow.stream});
  if (const auto service = services_.find(flow.service); service != services_.end()) {
    if (flow.counted) --service->second.flows;
  }
  if (flow.allowed) {
    policy::AuditRecord record = record_of(flow, policy::AuditEvent::flow_closed);
    node::put_end(record, why, text);
    node::put_traffic(record, *flow.session, flow.counters, now_ - flow.since);
    audit_.push_back(std::move(record));
  }
  if (tell_shell) handler_.on_flow_ended(id, why, text);
}

policy::AuditRecord Engine::record_of(const Flow& flow, policy::AuditEvent event) const {
  policy::AuditRecord record =
      node::flow_record(event, flow.service, flow.protocol, flow.session, flow.stream);
  record.time = wall_.now(now_);
  record.agent = flow.agent;
  record.connector = config_.node.credentials->self().name;
  return record;
}

void Engine::audit_flow(const Flow& flow, const policy::Decision& decision) {
  policy::AuditRecord record = record_of(flow, policy::AuditEvent::flow);
  record.allowed = decision.allowed;
  record.rule = decision.rule;
  audit_.push_back(std::move(record));
}

// --- operators

void Engine::reload(std::shared_ptr<const identity::Credentials> credentials,
                    std::shared_ptr<const policy::Policy> policy, base::Time now) {
  now_ = now;
  config_.policy = std::move(policy);
  config_.node.credentials = credentials;
  node_->set_credentials(std::move(credentials), now);
  for (Session* const session : node_->sessions()) {
    const identity::Principal* const peer = session->peer();
    if (peer == nullptr || session->state() != Session::State::ready) continue;
    const auto revoked = config_.policy->revoked_by(peer->spki);
    if (revoked) node_->close_session(*session, session::close_denied, *revoked, now);
  }
  std::vector<std::pair<FlowId, std::string>> denied;
  for (const auto& [value, flow] : flows_) {
    const auto reach = config_.policy->may_reach(*flow.session->peer(), flow.service);
    const auto serve = config_.policy->may_serve(config_.node.credentials->self(), flow.service);
    if (!reach.allowed || !serve.allowed) {
      denied.emplace_back(FlowId{value}, reach.allowed ? serve.rule : reach.rule);
    }
  }
  for (const auto& [id, rule] : denied) {
    const Flow& flow = flows_.at(id.value);
    flow.session->reset(flow.stream);
    end(id, FlowEnd::denied, "policy changed: " + rule, true);
  }
}

std::vector<policy::AuditRecord> Engine::take_audit() { return std::exchange(audit_, {}); }
std::vector<node::Notice> Engine::take_notices() { return std::exchange(notices_, {}); }

std::vector<Engine::ServiceView> Engine::services() const {
  std::vector<ServiceView> views;
  for (const auto& [name, view] : services_) views.push_back(view);
  return views;
}

}  // namespace ztna::connector
