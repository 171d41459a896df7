#include "agent/shell_flows.hpp"

#include "agent/shell_prove.hpp"

namespace ztna::agent {

void Graveyard::bury(std::shared_ptr<void> object) {
  objects_.push_back(std::move(object));
  if (objects_.size() > 1) return;  // asked for already
  loop_.post([this, alive = alive_] {
    if (*alive) std::exchange(objects_, {}).clear();
  });
}

// The engine's idea of the present, before each call into it.
Engine& EngineFlows::engine() {
  engine_->set_now(io::Loop::now());
  return *engine_;
}

session::FlowHandler* EngineFlows::user_of(FlowId id) const {
  const auto found = users_.find(id.value);
  return found == users_.end() ? nullptr : found->second;
}

// --- from local programs

FlowId EngineFlows::open(const std::string& service, Protocol protocol,
                         session::FlowHandler& user) {
  const FlowId id = engine_->open_flow(service, protocol, io::Loop::now());
  users_[id.value] = &user;
  return id;
}

void EngineFlows::hand_over(FlowId id, session::FlowHandler* user) {
  if (user == nullptr) {
    users_.erase(id.value);
  } else if (const auto found = users_.find(id.value); found != users_.end()) {
    found->second = user;
  }
}

std::size_t EngineFlows::flow_writable(FlowId id) { return engine().flow_writable(id); }
std::size_t EngineFlows::flow_write(FlowId id, base::BytesView data) {
  return engine().flow_write(id, data);
}
void EngineFlows::flow_finish(FlowId id) { engine().flow_finish(id); }
void EngineFlows::flow_reset(FlowId id) { engine().flow_reset(id); }
void EngineFlows::flow_consume(FlowId id, std::size_t size) { engine().flow_consume(id, size); }
void EngineFlows::flow_datagram(FlowId id, base::BytesView payload) {
  engine().flow_datagram(id, payload);
}

// --- from the engine

void EngineFlows::on_flow_accepted(FlowId id) {
  if (auto* const user = user_of(id)) user->on_flow_accepted(id);
}

void EngineFlows::on_flow_data(FlowId id, base::BytesView data) {
  if (auto* const user = user_of(id)) return user->on_flow_data(id, data);
  engine_->flow_consume(id, data.size());
}

void EngineFlows::on_flow_fin(FlowId id) {
  if (auto* const user = user_of(id)) user->on_flow_fin(id);
}

void EngineFlows::on_flow_writable(FlowId id) {
  if (auto* const user = user_of(id)) user->on_flow_writable(id);
}

void EngineFlows::on_flow_datagram(FlowId id, base::BytesView payload) {
  if (auto* const user = user_of(id)) user->on_flow_datagram(id, payload);
}

void EngineFlows::on_flow_ended(FlowId id, FlowEnd end, const std::string& text) {
  const auto found = users_.find(id.value);
  if (found == users_.end()) return;
  session::FlowHandler* const user = found->second;
  users_.erase(found);
  user->on_flow_ended(id, end, text);
}

void EngineFlows::on_statement(const base::SessionId& session, identity::Role from,
                               const std::string& nonce,
                               const base::Result<identity::SignedText>& statement) {
  if (proofs_ != nullptr) proofs_->on_statement(session, from, nonce, statement);
}

void EngineFlows::on_suspended(const base::SessionId& session, session::PathKind path,
                               const base::Result<base::Duration>& granted) {
  if (proofs_ != nullptr) proofs_->on_suspended(session, path, granted);
}

}  // namespace ztna::agent
