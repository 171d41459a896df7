#include "agent/engine.hpp"

#include <algorithm>
#include <bit>

#include "node/timeouts.hpp"

namespace ztna::agent {

namespace timeouts = node::timeouts;
namespace proto = node::proto;
using node::Uplink;
using session::Session;

Engine::Engine(EngineConfig config, Handler& handler, base::WallReference wall)
    : config_(std::move(config)),
      handler_(handler),
      wall_(wall),
      spread_(config_.node.random->u64()) {
  config_.node.role = Session::Role::agent;
  node::NodeOwner& self = *this;
  node_ = std::make_unique<node::Node>(config_.node, self, wall);
}

Engine::~Engine() = default;

// --- time

void Engine::expire(base::Time now) {
  now_ = now;
  for (const FlowId id : std::exchange(to_advance_, {})) advance(id);
  for (const FlowId id : std::exchange(to_start_, {})) {
    Flow* const flow = find(id);
    if (flow == nullptr || flow->state != State::for_direct) continue;
    if (!flow->waits_on->holds_flows()) start_on(*flow, *flow->waits_on);
  }
  std::uint64_t value = 0;
  while (deadlines_.pop_due(now, value)) {
    Flow* const flow = find(FlowId{value});
    if (flow == nullptr) continue;
    switch (flow->state) {
      case State::for_uplink: end(flow->id, FlowEnd::unavailable, uplink_trouble()); break;
      case State::for_relay:
        flow->waited_for_relay = true;
        advance(flow->id);
        break;
      case State::for_session:
        end(flow->id, FlowEnd::timed_out, "no session came up in time");
        break;
      case State::for_direct:
        end(flow->id, FlowEnd::unavailable,
            "no direct path to the Connector was found, and " + no_relay(*flow->waits_on));
        break;
      case State::opening:
        if (now < flow->opened + timeouts::flow_reply && !looks_gone(*flow)) {
          deadlines_.set(flow->id.value, now + timeouts::flow_unheard_again);
          break;
        }
        end_unanswered(*flow);
        break;
      case State::open: break;
    }
  }
  for (auto it = unused_since_.begin(); it != unused_since_.end();) {
    Session* const session = it->first;
    if (now - it->second >= timeouts::session_unused) {
      it = unused_since_.erase(it);
      node_->close_session(*session, session::close_idle, "unused", now);
    } else {
      ++it;
    }
  }
}

base::Time Engine::next_deadline() const {
  base::Time at = deadlines_.next();
  if (!to_advance_.empty() || !to_start_.empty()) return base::Time{};
  for (const auto& [session, since] : unused_since_) {
    at = std::min(at, since + timeouts::session_unused);
  }
  return at;
}

// --- uplinks

void Engine::on_uplink_up(Uplink& uplink) {
  notices_.push_back(node::uplink_up(uplink));
  advance_all();
}

void Engine::on_uplink_registering(Uplink&) { advance_all(); }

void Engine::on_uplink_down(Uplink& uplink, const std::string& reason) {
  notices_.push_back(node::uplink_down(uplink, reason));
  catalog_.forget_uplink(uplink.index());
  handler_.on_services_changed();
  ask_again(uplink);
}

void Engine::ask_again(const Uplink& uplink) {
  std::vector<FlowId> waiting;
  for (auto it = requests_.begin(); it != requests_.end();) {
    if (it->second.uplink != uplink.index()) {
      ++it;
      continue;
    }
    waiting.insert(waiting.end(), it->second.flows.begin(), it->second.flows.end());
    it = requests_.erase(it);
  }
  for (const FlowId id : waiting) {
    if (Flow* const flow = find(id)) begin_anew(*flow);
  }
}

void Engine::on_uplink_attempt_failed(Uplink& uplink, const std::string& reason) {
  // The 1st, 2nd, 4th, 8th … in a row: an outage is said, not shouted.
  if (std::has_single_bit(uplink.failed_attempts())) {
    notices_.push_back(node::uplink_attempt_failed(uplink, reason));
  }
  ask_again(uplink);
  for (const auto& [value, flow] : flows_) {
    if (flow.state == State::for_uplink) to_advance_.push_back(flow.id);
  }
}

void Engine::on_uplink_message(Uplink& uplink, const proto::Message& message) {
  switch (message.body_case()) {
    case proto::Message::kDirectory:
      catalog_.update(uplink.index(), message.directory());
      advance_all();
      handler_.on_services_changed();
      break;
    case proto::Message::kRefused:
      notices_.push_back(node::refused(uplink, message.refused().text().substr(0, 200)));
      break;
    case proto::Message::kDrain: notices_.push_back(node::draining(uplink)); break;
    case proto::Message::kRelayState:
      notices_.push_back(node::relay_state(uplink));
      for (const Session* const session : node_->sessions()) start_waiting(*session);
      break;
    case proto::Message::kStatementReply:
      on_relay_statement(uplink, message.statement_reply());
      break;
    case proto::Message::kSuspendReply: on_relay_suspended(uplink, message.suspend_reply()); break;
    default: break;
  }
}

void Engine::on_session_relay(Session& session, bool available) {
  notices_.push_back(node::session_relay(session, available));
  if (!available) return;
  start_waiting(session);
  std::vector<FlowId> waiting;
  for (const auto& [value, flow] : flows_) {
    if (flow.state != State::for_relay) continue;
    const auto choice = catalog_.choose(flow.service, candidates(), flow.tried, spread_, now_);
    if (fits(flow, session, choice)) waiting.push_back(flow.id);
  }
  for (const FlowId id : waiting) {
    if (Flow* const flow = find(id)) start_or_wait(*flow, session);
  }
}

std::string Engine::uplink_trouble() const {
  std::string text = "no Intermediate is reachable";
  for (const auto& uplink : node_->uplinks()) {
    if (!uplink->last_error().empty()) text += "; " + uplink->name() + ": " + uplink->last_error();
  }
  return text;
}

std::vector<Candidate> Engine::candidates() const {
  std::vector<Candidate> all;
  for (const Session* const session : node_->sessions()) {
    if (session->state() != Session::State::ready || !session->has_path()) continue;
    all.push_back({session->config().peer_incarnation, session->stats().smoothed_rtt});
  }
  return all;
}

Session* Engine::session_with(const base::IncarnationId& instance) const {
  for (Session* const session : node_->sessions()) {
    if (session->state() == Session::State::ready && session->has_path() &&
        session->config().peer_incarnation == instance) {
      return session;
    }
  }
  return nullptr;
}

// --- operators

void Engine::reload(std::shared_ptr<const identity::Credentials> credentials, base::Time now) {
  now_ = now;
  node_->set_credentials(std::move(credentials), now);
}

std::vector<node::Notice> Engine::take_notices() { return std::exchange(notices_, {}); }

std::vector<policy::AuditRecord> Engine::take_audit() { return std::exchange(audit_, {}); }

std::vector<Engine::FlowView> Engine::flows() const {
  static constexpr std::string_view names[] = {"waiting for an uplink",
                                               "waiting for the relay",
                                               "waiting for a session",
                                               "waiting for a direct path",
                                               "opening",
                                               "open"};
  std::vector<FlowView> views;
  for (const auto& [value, flow] : flows_) {
    const bool held = flow.session != nullptr && flow.session->holds_flows();
    FlowView view;
    view.id = flow.id;
    view.service = flow.service;
    view.state = names[static_cast<std::size_t>(held ? State::for_direct : flow.state)];
    if (flow.session != nullptr) {
      view.connector = flow.session->config().peer_uri;
      view.session = flow.session->config().id.hex();
      view.stream = flow.stream;
    }
    view.protocol = flow.protocol;
    view.counters = flow.counters;
    view.since = flow.since;
    views.push_back(std::move(view));
  }
  return views;
}

}  // namespace ztna::agent
