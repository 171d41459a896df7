#include "sim/parts.hpp"

namespace ztna::sim {
namespace {

void resolve(node::Node& node, const std::vector<std::vector<base::Address>>& relays, Time now) {
  for (const node::ResolveRequest& request : node.take_resolve_requests()) {
    node.resolved(request.uplink, relays.at(request.uplink), {}, now);
  }
}

// As the shells do: a socket serves all of the machine's addresses, which come and go.
void set_addresses(node::Node& node, const std::vector<LocalAddress>& local,
                   std::set<base::SocketId>& known, Time now) {
  std::vector<base::Address> interfaces;
  for (const LocalAddress& one : local) {
    interfaces.push_back(one.address);
    const base::Address any = one.address.is_v4() ? base::Address::v4({}, one.address.port())
                                                  : base::Address::v6({}, one.address.port());
    if (known.insert(one.socket).second) node.add_socket(one.socket, any);
  }
  node.set_interfaces(interfaces, now);
}

void print_notices(World& world, const std::string& who, const std::vector<node::Notice>& notices) {
  for (const node::Notice& notice : notices) {
    std::string line = who + ": " + notice.text;
    for (const auto& [key, value] : notice.fields) line += " " + key + "=" + value;
    world.note(line);
  }
}

template <class T>
void append(std::vector<T>& to, std::vector<T> more) {
  for (T& entry : more) to.push_back(std::move(entry));
}

}  // namespace

// --- Intermediate

IntermediatePart::IntermediatePart(World& world, intermediate::EngineConfig config)
    : random_(world.fork()) {
  config.random = &random_;
  engine_ = std::make_unique<intermediate::Engine>(std::move(config), world.wall());
}

base::Outgoing IntermediatePart::transmit(base::MutableBytes buffer, Time now) {
  append(audit_, engine_->take_audit());
  return engine_->transmit(buffer, now);
}

const std::vector<policy::AuditRecord>& IntermediatePart::audit() {
  append(audit_, engine_->take_audit());
  return audit_;
}

// --- Connector

class ConnectorPart::Port final : public FlowPort {
 public:
  Port(connector::Engine& engine, FlowId id) : engine_(engine), id_(id) {}
  std::size_t write(base::BytesView data) override { return engine_.flow_write(id_, data); }
  void finish() override { engine_.flow_finish(id_); }
  void reset() override { engine_.flow_reset(id_); }
  void consume(std::size_t size) override { engine_.flow_consume(id_, size); }
  void datagram(base::BytesView payload) override { engine_.flow_datagram(id_, payload); }

 private:
  connector::Engine& engine_;
  FlowId id_;
};

ConnectorPart::ConnectorPart(World& world, std::string name, connector::EngineConfig config,
                             std::vector<std::vector<base::Address>> relays)
    : world_(world), name_(std::move(name)), random_(world.fork()), relays_(std::move(relays)) {
  config.node.random = &random_;
  config.node.incarnation = base::IncarnationId::make(random_);
  connector::Handler& self = *this;
  engine_ = std::make_unique<connector::Engine>(std::move(config), self, world.wall());
}

ConnectorPart::~ConnectorPart() { *alive_ = false; }

void ConnectorPart::addresses(const std::vector<LocalAddress>& local, Time now) {
  engine_->set_now(now);
  set_addresses(engine_->node(), local, sockets_, now);
}

void ConnectorPart::receive(const base::Incoming& packet, Time now) {
  engine_->set_now(now);
  engine_->node().receive(packet, now);
}

void ConnectorPart::expire(Time now) {
  engine_->set_now(now);
  engine_->node().expire(now);
  resolve(engine_->node(), relays_, now);
}

Time ConnectorPart::next_deadline() { return engine_->node().next_deadline(); }

base::Outgoing ConnectorPart::transmit(base::MutableBytes buffer, Time now) {
  engine_->set_now(now);
  const base::Outgoing out = engine_->node().transmit(buffer, now);
  print_notices(world_, name_, engine_->take_notices());
  append(audit_, engine_->take_audit());
  return out;
}

const std::vector<policy::AuditRecord>& ConnectorPart::audit() {
  append(audit_, engine_->take_audit());
  return audit_;
}

void ConnectorPart::on_flow_request(FlowId id, const connector::ServiceConfig& service) {
  if (service.name == "refused") {
    return engine_->reject_flow(id, FlowEnd::backend_refused, "connection refused");
  }
  backends_[id] = std::make_unique<Backend>(service.name, std::make_unique<Port>(*engine_, id));
  world_.after(accept_delay, [this, id, alive = alive_] {
    Backend* const found = *alive ? backend(id) : nullptr;
    if (found == nullptr) return;
    engine_->accept_flow(id);
    found->connected();
  });
}

Backend* ConnectorPart::backend(FlowId id) {
  const auto found = backends_.find(id);
  return found == backends_.end() ? nullptr : found->second.get();
}

void ConnectorPart::on_flow_data(FlowId id, base::BytesView data) {
  if (Backend* const found = backend(id)) found->on_data(data);
}
void ConnectorPart::on_flow_fin(FlowId id) {
  if (Backend* const found = backend(id)) found->on_fin();
}
void ConnectorPart::on_flow_writable(FlowId id) {
  if (Backend* const found = backend(id)) found->on_writable();
}
void ConnectorPart::on_flow_datagram(FlowId id, base::BytesView payload) {
  if (Backend* const found = backend(id)) found->on_datagram(payload);
}
void ConnectorPart::on_flow_ended(FlowId id, FlowEnd, const std::string&) { backends_.erase(id); }

// --- Agent

class AgentPart::Port final : public FlowPort {
 public:
  Port(agent::Engine& engine, FlowId id) : engine_(engine), id_(id) {}
  std::size_t write(base::BytesView data) override { return engine_.flow_write(id_, data); }
  void finish() override { engine_.flow_finish(id_); }
  void reset() override { engine_.flow_reset(id_); }
  void consume(std::size_t size) override { engine_.flow_consume(id_, size); }
  void datagram(base::BytesView payload) override { engine_.flow_datagram(id_, payload); }

 private:
  agent::Engine& engine_;
  FlowId id_;
};

AgentPart::AgentPart(World& world, std::string name, agent::EngineConfig config,
                     std::vector<std::vector<base::Address>> relays)
    : world_(world), name_(std::move(name)), random_(world.fork()), relays_(std::move(relays)) {
  config.node.random = &random_;
  config.node.incarnation = base::IncarnationId::make(random_);
  agent::Handler& self = *this;
  engine_ = std::make_unique<agent::Engine>(std::move(config), self, world.wall());
}

AgentPart::~AgentPart() {
  for (const auto& [id, client] : std::exchange(clients_, {})) client->lost();
}

void AgentPart::addresses(const std::vector<LocalAddress>& local, Time now) {
  engine_->set_now(now);
  set_addresses(engine_->node(), local, sockets_, now);
}

void AgentPart::receive(const base::Incoming& packet, Time now) {
  engine_->set_now(now);
  engine_->node().receive(packet, now);
}

void AgentPart::expire(Time now) {
  engine_->set_now(now);
  engine_->node().expire(now);
  resolve(engine_->node(), relays_, now);
  engine_->expire(now);
}

Time AgentPart::next_deadline() {
  return std::min(engine_->node().next_deadline(), engine_->next_deadline());
}

base::Outgoing AgentPart::transmit(base::MutableBytes buffer, Time now) {
  engine_->set_now(now);
  const base::Outgoing out = engine_->node().transmit(buffer, now);
  print_notices(world_, name_, engine_->take_notices());
  return out;
}

void AgentPart::open(Client& client, Time now) {
  const FlowId id = engine_->open_flow(client.plan().service, client.plan().protocol, now);
  clients_[id] = &client;
  client.attach(std::make_unique<Port>(*engine_, id));
}

Client* AgentPart::client(FlowId id) {
  const auto found = clients_.find(id);
  return found == clients_.end() ? nullptr : found->second;
}

void AgentPart::on_flow_accepted(FlowId id) {
  if (Client* const found = client(id)) found->on_accepted();
}
void AgentPart::on_flow_data(FlowId id, base::BytesView data) {
  if (Client* const found = client(id)) found->on_data(data);
}
void AgentPart::on_flow_fin(FlowId id) {
  if (Client* const found = client(id)) found->on_fin();
}
void AgentPart::on_flow_writable(FlowId id) {
  if (Client* const found = client(id)) found->on_writable();
}
void AgentPart::on_flow_datagram(FlowId id, base::BytesView payload) {
  if (Client* const found = client(id)) found->on_datagram(payload);
}
void AgentPart::on_flow_ended(FlowId id, FlowEnd end, const std::string& text) {
  Client* const found = client(id);
  clients_.erase(id);
  if (found != nullptr) found->on_ended(end, text);
}

}  // namespace ztna::sim
