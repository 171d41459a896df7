#include "intermediate/broker.hpp"

#include <algorithm>

#include "wire/stun.hpp"

namespace ztna::intermediate {
namespace {

// A reader at the other end takes 64 KiB a message (wire::MessageReader).
constexpr std::size_t max_directory_part = 32 * 1024;
// What one Agent is told altogether: some 20,000 instances.
constexpr std::size_t max_directory = 2 << 20;
constexpr std::size_t size_of_framing = 6;  // tag and length around a nested message
// Of one refused service: all that a Connector may offer fit in one message.
constexpr std::size_t max_reason = 128;

// In records and answers.
constexpr std::string_view no_longer_allowed = "policy no longer allows it";
constexpr std::string_view claimed = "claimed", resumed = "its connector is back";

std::string id_bytes(const base::SessionId& id) { return {id.octets.begin(), id.octets.end()}; }
std::string id_bytes(const base::IncarnationId& id) { return {id.octets.begin(), id.octets.end()}; }

std::string name_in(const std::string& uri) {
  const auto id = identity::parse_spiffe_id(uri);
  return id ? id->name : std::string();
}

std::uint32_t relay_rtt_us(const Peer& a, const Peer& b) {
  const auto sum = a.stats().smoothed_rtt + b.stats().smoothed_rtt;
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(sum).count());
}

}  // namespace

// --- offers

void Broker::refuse_offer(Peer& connector, proto::Reason reason, const std::string& text) {
  proto::Message message;
  message.mutable_refused()->set_reason(reason);
  message.mutable_refused()->set_text(text);
  connector.send(message);
}

// What is wrong in itself is said once, however often the offer repeats it.
std::vector<directory::Service> Broker::well_formed_offer(Peer& connector,
                                                          const proto::Offer& offer) const {
  std::vector<directory::Service> services;
  bool malformed = false;
  for (const proto::OfferedService& offered : offer.services()) {
    if (services.size() >= limits_.max_services_per_connector) {
      refuse_offer(connector, proto::REASON_QUOTA,
                   "more than " + std::to_string(services.size()) + " services are offered");
      break;
    }
    const bool well_formed =
        identity::is_valid_name(offered.name()) && offered.port() <= 65535 &&
        (offered.protocol() == proto::PROTOCOL_TCP || offered.protocol() == proto::PROTOCOL_UDP);
    const bool repeated = std::ranges::any_of(
        services, [&](const directory::Service& s) { return s.name == offered.name(); });
    if (!well_formed || repeated) {
      malformed = true;
      continue;
    }
    services.push_back({offered.name(), offered.protocol() == proto::PROTOCOL_UDP,
                        static_cast<std::uint16_t>(offered.port()), offered.healthy()});
  }
  if (malformed) {
    refuse_offer(connector, proto::REASON_MALFORMED, "an offered service is malformed or repeated");
  }
  return services;
}

bool Broker::contradicts(const Peer& connector, const directory::Service& service) const {
  return std::ranges::any_of(
      directory_.instances(service.name), [&](const directory::Instance& other) {
        return other.node != connector.key() && other.service.udp != service.udp;
      });
}

void Broker::offer(Peer& connector, const proto::Offer& offer, base::Time now) {
  const auto [entry, first] = offers_.try_emplace(connector.key());
  entry->second.services = well_formed_offer(connector, offer);
  const bool news = decide_offer(connector, entry->second, now);
  if (first) resume(connector, now);
  if (!news) return;
  decide_contradicting(now);
  host_.directory_changed();
}

bool Broker::decide_offer(Peer& connector, Offered& offered, base::Time now) {
  std::vector<directory::Service> passed;
  std::map<std::string, std::string> refused;
  offered.contradicts = false;
  for (const directory::Service& service : offered.services) {
    policy::Decision decision = host_.policy().may_serve(connector.principal(), service.name);
    if (decision.allowed && contradicts(connector, service)) {
      decision = {false, "another connector offers it with the other protocol"};
      offered.contradicts = true;
    }
    std::string why = decision.allowed ? "" : decision.rule.substr(0, max_reason);
    const auto before = offered.refused.find(service.name);
    const bool news = decision.allowed ? !directory_.offers(connector.key(), service.name)
                                       : before == offered.refused.end() || before->second != why;
    if (news && connector.may_record_offer(now)) {
      policy::AuditRecord record = record_of(connector, policy::AuditEvent::offer);
      record.service = service.name;
      record.allowed = decision.allowed;
      record.rule = decision.rule;
      host_.audit(std::move(record));
    }
    if (decision.allowed) {
      passed.push_back(service);
    } else {
      refused.emplace(service.name, std::move(why));
    }
  }
  if (refused != offered.refused) {
    proto::Message message;
    proto::OfferState& state = *message.mutable_offer_state();
    for (const auto& [name, reason] : refused) {
      proto::RefusedService& entry = *state.add_refused();
      entry.set_name(name);
      entry.set_reason(reason);
    }
    connector.send(message);
    offered.refused = std::move(refused);
  }
  return directory_.offer(connector.key(), connector.uri(), connector.incarnation(), passed);
}

void Broker::decide_contradicting(base::Time now) {
  for (auto& [key, offered] : offers_) {
    Peer* const connector = offered.contradicts ? host_.peer(key) : nullptr;
    if (connector != nullptr) decide_offer(*connector, offered, now);
  }
}

std::vector<proto::Message> Broker::directory_for(const Peer& agent) {
  std::vector<proto::Message> parts(1);
  parts.back().mutable_directory();
  std::size_t part_size = 0, size = 0;
  for (const auto& [name, instances] : directory_.all()) {
    if (!host_.policy().may_reach(agent.principal(), name).allowed) continue;
    proto::DirectoryService* service = nullptr;  // in the part being filled
    for (const directory::Instance& instance : instances) {
      if (size >= max_directory) {
        ++counters_.directories_cut;
        return parts;
      }
      if (part_size >= max_directory_part) {
        parts.back().mutable_directory()->set_more(true);
        parts.emplace_back();
        part_size = 0;
        service = nullptr;
      }
      if (service == nullptr) {
        service = parts.back().mutable_directory()->add_services();
        service->set_name(name);
        service->set_protocol(instances.front().service.udp ? proto::PROTOCOL_UDP
                                                            : proto::PROTOCOL_TCP);
        service->set_port(instances.front().service.port);
        part_size += service->ByteSizeLong() + size_of_framing;
      }
      const Peer* const connector = host_.peer(instance.node);
      proto::Instance& entry = *service->add_instances();
      entry.set_connector(instance.connector);
      entry.set_incarnation(id_bytes(instance.incarnation));
      entry.set_healthy(instance.service.healthy && connector != nullptr && !connector->silent());
      const std::size_t added = entry.ByteSizeLong() + size_of_framing;
      part_size += added;
      size += added;
    }
  }
  return parts;
}

// --- opening

Peer* Broker::choose(const std::string& service, base::BytesView incarnation) const {
  Peer* best = nullptr;
  for (const directory::Instance& instance : directory_.instances(service)) {
    Peer* const candidate = host_.peer(instance.node);
    if (candidate == nullptr || candidate->silent() || !instance.service.healthy) continue;
    const bool wanted =
        incarnation.empty() || std::ranges::equal(incarnation, instance.incarnation.octets);
    if (!wanted) continue;
    if (best == nullptr || candidate->channel_count() < best->channel_count()) best = candidate;
  }
  return best;
}

Broker::Session* Broker::between(const Peer& agent, const Peer& connector) {
  for (const auto& [channel, id] : agent.channels()) {
    Session& session = *sessions_.at(id);
    if (session.connector.is(connector)) return &session;
  }
  return nullptr;
}

void Broker::refuse_open(Peer& agent, const proto::OpenSession& open, proto::Reason reason,
                         const std::string& text) {
  ++counters_.sessions_denied;
  proto::Message message;
  auto& refused = *message.mutable_session_refused();
  refused.set_request(open.request());
  refused.set_reason(reason);
  refused.set_text(text);
  agent.send(message);
}

void Broker::open(Peer& agent, const proto::OpenSession& open, base::Time now) {
  if (open.request() == 0 || !identity::is_valid_name(open.service())) {
    return refuse_open(agent, open, proto::REASON_MALFORMED, "malformed OpenSession");
  }
  const policy::Decision decision = host_.policy().may_reach(agent.principal(), open.service());
  policy::AuditRecord record = record_of(agent, policy::AuditEvent::session);
  record.service = open.service();
  record.allowed = decision.allowed;
  record.rule = decision.rule;
  if (!decision.allowed) {
    host_.audit(std::move(record));
    return refuse_open(agent, open, proto::REASON_DENIED, decision.rule);
  }
  Peer* const connector = choose(open.service(), base::as_bytes(open.incarnation()));
  if (connector == nullptr) {
    const bool offered = !directory_.instances(open.service()).empty();
    record.reason = offered ? "no healthy connector" : "no connector offers it";
    const std::string text = record.reason;
    host_.audit(std::move(record));
    return refuse_open(agent, open,
                       offered ? proto::REASON_UNAVAILABLE : proto::REASON_UNKNOWN_SERVICE, text);
  }
  Session* session = between(agent, *connector);
  if (session == nullptr && agent.channel_count() >= limits_.max_sessions_per_agent) {
    record.allowed = false;
    record.rule = "too many sessions";
    const std::string text = record.rule;
    if (agent.may_be_on_record(now)) host_.audit(std::move(record));
    return refuse_open(agent, open, proto::REASON_QUOTA, text);
  }
  const bool fresh = session == nullptr || !session->bound();
  if (fresh) {
    if (session != nullptr) end(session->id, nullptr, proto::REASON_REPLACED, "opened anew", now);
    session = &create(base::SessionId::make(random_), agent, *connector, now);
    ++counters_.sessions_opened;
  }
  record.connector = connector->principal().name;
  record.session = session->id.hex();
  host_.audit(std::move(record));
  // The Connector first: its packets' queue must know the channel before the Agent's Initial.
  if (fresh) announce(*session, session->connector, 0);
  announce(*session, session->agent, open.request());
}

Broker::Session& Broker::create(const base::SessionId& id, Peer& agent, Peer& connector,
                                base::Time now) {
  auto session = std::make_unique<Session>(Session{
      .id = id,
      .agent = {0, agent.uri(), agent.incarnation(), 0, {}},
      .connector = {0, connector.uri(), connector.incarnation(), 0, {}},
      .since = now,
      .half_since = base::never,
      .handshake_left = limits_.relay_off.handshake,
      .control = {limits_.relay_off.control_bytes_per_second, limits_.relay_off.control_burst},
      .checks_left = {limits_.relay_off.check_bytes_per_second, limits_.relay_off.check_burst},
      .packets = 0,
      .bytes = 0,
      .checks = 0,
      .suspended = 0,
      .lease = {}});
  bind(*session, session->agent, agent);
  bind(*session, session->connector, connector);
  return *(sessions_[id] = std::move(session));
}

void Broker::bind(Session& session, Leg& leg, Peer& peer) {
  unbind(leg);
  leg.peer = peer.key();
  leg.channel = peer.add_channel(session.id);
  leg.address = peer.address();
  if (!session.bound()) return;
  session.half_since = base::never;
  halves_.erase(session.id);
}

void Broker::unbind(Leg& leg) {
  Peer* const peer = leg.peer == 0 ? nullptr : host_.peer(leg.peer);
  if (peer != nullptr) peer->remove_channel(leg.channel);
  leg.peer = 0;
  leg.channel = 0;
}

void Broker::announce(Session& session, Leg& leg, std::uint64_t request) {
  Peer* const peer = host_.peer(leg.peer);
  if (peer == nullptr) return;
  const Leg& other = session.other(leg);
  proto::Message message;
  auto& ready = *message.mutable_session_ready();
  ready.set_request(request);
  ready.set_session_id(id_bytes(session.id));
  ready.set_channel(leg.channel);
  ready.set_peer(other.uri);
  ready.set_peer_incarnation(id_bytes(other.incarnation));
  if (const Peer* const far = host_.peer(other.peer)) {
    ready.set_relay_rtt_us(relay_rtt_us(*peer, *far));
  }
  peer->send(message);
}

// --- claims

policy::Decision Broker::decide(const Peer& agent, const Peer& connector) const {
  for (const std::string& service : directory_.offered_by(connector.key())) {
    const bool served = host_.policy().may_serve(connector.principal(), service).allowed;
    policy::Decision reach = host_.policy().may_reach(agent.principal(), service);
    if (served && reach.allowed) return reach;
  }
  return {false, std::string(no_longer_allowed)};
}

void Broker::refuse_claim(Peer& peer, const std::string& id, proto::Reason reason,
                          const std::string& text) {
  proto::Message message;
  auto& refused = *message.mutable_session_refused();
  // Nothing of another length goes back: it is not the peer's to say how large an answer is.
  if (id.size() == base::SessionId{}.octets.size()) refused.set_session_id(id);
  refused.set_reason(reason);
  refused.set_text(text);
  peer.send(message);
}

void Broker::deny_claim(Peer& peer, const proto::ClaimSession& claim, proto::Reason reason,
                        const std::string& text, base::Time now) {
  policy::AuditRecord record = record_of(peer, policy::AuditEvent::session);
  const bool is_agent = peer.principal().role == identity::Role::agent;
  (is_agent ? record.connector : record.agent) = name_in(claim.peer());
  record.session = base::to_hex(base::as_bytes(claim.session_id()));
  record.allowed = false;
  record.rule = text;
  record.reason = claimed;
  if (reason != proto::REASON_QUOTA || peer.may_be_on_record(now)) host_.audit(std::move(record));
  refuse_claim(peer, claim.session_id(), reason, text);
}

policy::AuditRecord Broker::record_of_session(const Session& session, policy::AuditEvent event) {
  policy::AuditRecord record;
  record.event = event;
  record.agent = name_in(session.agent.uri);
  record.connector = name_in(session.connector.uri);
  record.session = session.id.hex();
  return record;
}

// `decision`: none where the other end is away; the policy will be asked when that is back.
void Broker::audit_claim(const Session& session, std::string_view how,
                         const std::optional<policy::Decision>& decision) {
  policy::AuditRecord record = record_of_session(session, policy::AuditEvent::session);
  record.reason = how;
  if (decision) {
    record.allowed = decision->allowed;
    record.rule = decision->rule;
  }
  host_.audit(std::move(record));
}

void Broker::not_owner(Peer& peer, const std::string& id, std::string_view what) {
  ++counters_.not_owner;
  policy::AuditRecord record = record_of(peer, policy::AuditEvent::not_owner);
  record.session = base::to_hex(base::as_bytes(id));
  record.allowed = false;
  record.reason = std::string(what) + " of a session that is not the sender's";
  host_.audit(std::move(record));
  refuse_claim(peer, id, proto::REASON_NOT_OWNER, "that session is not yours");
}

// Is there room for one more claim of this node's to wait for its other end?
bool Broker::may_wait(const Peer& peer) const {
  if (claims_.size() >= limits_.max_pending_claims) return false;
  const bool is_agent = peer.principal().role == identity::Role::agent;
  const std::size_t limit =
      is_agent ? limits_.max_sessions_per_agent : limits_.max_claims_per_connector;
  std::size_t waiting = 0;
  for (auto at = claims_.lower_bound({peer.uri(), {}, {}});
       at != claims_.end() && at->first.uri == peer.uri(); ++at) {
    if (++waiting >= limit) return false;
  }
  return true;
}

void Broker::claim(Peer& peer, const proto::ClaimSession& claim, base::Time now) {
  base::SessionId id;
  base::IncarnationId other;
  if (!base::SessionId::from(base::as_bytes(claim.session_id()), id) ||
      !base::IncarnationId::from(base::as_bytes(claim.peer_incarnation()), other) ||
      !identity::parse_spiffe_id(claim.peer())) {
    return refuse_claim(peer, claim.session_id(), proto::REASON_MALFORMED, "malformed claim");
  }
  if (const auto known = sessions_.find(id); known != sessions_.end()) {
    return claim_known(*known->second, peer, claimed, now);
  }
  const auto match = claims_.find({claim.peer(), other, id});
  Peer* const counterpart = match == claims_.end() ? nullptr : host_.peer(match->second.peer);
  const bool meets = counterpart != nullptr && match->second.peer_uri == peer.uri() &&
                     match->second.peer_incarnation == peer.incarnation() &&
                     counterpart->principal().role != peer.principal().role;
  if (!meets) {
    if (!may_wait(peer)) {
      return deny_claim(peer, claim, proto::REASON_QUOTA, "too many claims", now);
    }
    claims_[{peer.uri(), peer.incarnation(), id}] = {peer.key(), claim.peer(), other,
                                                     now + limits_.unknown_claim_grace};
    return;
  }
  claims_.erase(match);
  const bool peer_is_agent = peer.principal().role == identity::Role::agent;
  Peer& agent = peer_is_agent ? peer : *counterpart;
  Peer& connector = peer_is_agent ? *counterpart : peer;
  const policy::Decision decision = decide(agent, connector);
  const auto refuse = [&](proto::Reason reason, const std::string& text) {
    deny_claim(peer, claim, reason, text, now);
    refuse_claim(*counterpart, claim.session_id(), reason, text);
  };
  if (!decision.allowed) return refuse(proto::REASON_DENIED, decision.rule);
  if (agent.channel_count() >= limits_.max_sessions_per_agent) {
    return refuse(proto::REASON_QUOTA, "too many sessions");
  }
  Session& session = create(id, agent, connector, now);
  ++counters_.sessions_reclaimed;
  audit_claim(session, claimed, decision);
  announce(session, session.connector, 0);
  announce(session, session.agent, 0);
}

void Broker::resume(Peer& connector, base::Time now) {
  std::vector<Session*> lost;
  for (const base::SessionId& id : halves_) {
    Session& session = *sessions_.at(id);
    if (session.connector.peer == 0 && session.connector.is(connector)) lost.push_back(&session);
  }
  for (Session* const session : lost) claim_known(*session, connector, resumed, now);
}

void Broker::claim_known(Session& session, Peer& peer, std::string_view how, base::Time now) {
  Leg* const leg = session.leg_of(peer);
  if (leg == nullptr) return not_owner(peer, id_bytes(session.id), "claim");
  if (leg->peer == peer.key()) return announce(session, *leg, 0);  // bound already
  const Peer* const other = host_.peer(session.other(*leg).peer);
  std::optional<policy::Decision> decision;  // none while the other end is away
  if (other != nullptr) {
    const bool peer_is_agent = leg == &session.agent;
    decision = decide(peer_is_agent ? peer : *other, peer_is_agent ? *other : peer);
  }
  audit_claim(session, how, decision);
  if (decision && !decision->allowed) {
    // The claimer has no leg that end() could tell.
    refuse_claim(peer, id_bytes(session.id), proto::REASON_DENIED, decision->rule);
    return end(session.id, nullptr, proto::REASON_DENIED, decision->rule, now);
  }
  bind(session, *leg, peer);
  ++counters_.sessions_reclaimed;
  announce(session, *leg, 0);
}

// --- ends

void Broker::close(Peer& peer, const proto::CloseSession& close, base::Time now) {
  base::SessionId id;
  if (!base::SessionId::from(base::as_bytes(close.session_id()), id)) return;
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;  // both ends close: the second finds nothing
  const Leg* const leg = found->second->leg_of(peer);
  if (leg == nullptr) return not_owner(peer, close.session_id(), "close");
  end(id, leg, proto::REASON_PEER_GONE, "closed by the other end", now);
}

void Broker::audit_end(const Session& session, const std::string& reason, base::Time now) {
  policy::AuditRecord record = record_of_session(session, policy::AuditEvent::session_closed);
  record.reason = reason;
  record.bytes_relayed = session.bytes;
  record.duration = now - session.since;
  host_.audit(std::move(record));
}

void Broker::record_ends(const std::string& reason, base::Time now) {
  for (const auto& [id, session] : sessions_) audit_end(*session, reason, now);
}

void Broker::end(const base::SessionId& id, const Leg* except, proto::Reason reason,
                 const std::string& text, base::Time now) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  const std::unique_ptr<Session> session = std::move(found->second);
  sessions_.erase(found);
  halves_.erase(session->id);
  audit_end(*session, text, now);
  for (Leg* const leg : {&session->agent, &session->connector}) {
    Peer* const peer = leg->peer == 0 ? nullptr : host_.peer(leg->peer);
    if (peer != nullptr && leg != except) {
      proto::Message message;
      auto& closed = *message.mutable_session_closed();
      closed.set_session_id(id_bytes(session->id));
      closed.set_reason(reason);
      closed.set_text(text);
      peer->send(message);
    }
    unbind(*leg);
  }
}

void Broker::peer_lost(Peer& peer, bool gone, const std::string& text, base::Time now) {
  std::vector<base::SessionId> its;
  for (const auto& [channel, id] : peer.channels()) its.push_back(id);
  for (const base::SessionId& id : its) {
    Session& session = *sessions_.at(id);
    for (Leg* const leg : {&session.agent, &session.connector}) {
      if (leg->peer == peer.key()) unbind(*leg);
    }
    session.half_since = now;
    halves_.insert(id);
  }
  if (gone) {
    for (const base::SessionId& id : its) end(id, nullptr, proto::REASON_PEER_GONE, text, now);
  }
  auto claim = claims_.lower_bound({peer.uri(), peer.incarnation(), {}});
  while (claim != claims_.end() && claim->first.uri == peer.uri() &&
         claim->first.incarnation == peer.incarnation()) {
    claim = claim->second.peer == peer.key() ? claims_.erase(claim) : std::next(claim);
  }
  const bool offered = !directory_.offered_by(peer.key()).empty();
  directory_.withdraw(peer.key());
  offers_.erase(peer.key());
  if (!offered) return;
  decide_contradicting(now);
  host_.directory_changed();
}

void Broker::peer_restarted(const Peer& peer, base::Time now) {
  std::vector<base::SessionId> over;
  for (const base::SessionId& id : halves_) {
    const Session& session = *sessions_.at(id);
    for (const Leg* const leg : {&session.agent, &session.connector}) {
      const bool earlier_run = leg->peer == 0 && leg->uri == peer.uri() &&
                               leg->incarnation != peer.incarnation() &&
                               leg->address == peer.address();
      if (earlier_run) over.push_back(id);
    }
  }
  for (const base::SessionId& id : over) {
    end(id, nullptr, proto::REASON_PEER_GONE, "the node was restarted", now);
  }
}

void Broker::peer_silent() { host_.directory_changed(); }

void Broker::reevaluate(base::Time now) {
  // First what nobody may serve any more: it contradicts nothing.
  for (const auto& [key, offered] : offers_) {
    Peer* const connector = host_.peer(key);
    if (connector == nullptr) continue;
    std::vector<directory::Service> standing = offered.services;
    std::erase_if(standing, [&](const directory::Service& service) {
      return !directory_.offers(key, service.name) ||
             !host_.policy().may_serve(connector->principal(), service.name).allowed;
    });
    directory_.offer(key, connector->uri(), connector->incarnation(), standing);
  }
  for (auto& [key, offered] : offers_) {
    if (Peer* const connector = host_.peer(key)) decide_offer(*connector, offered, now);
  }
  std::vector<base::SessionId> over;
  for (const auto& [id, session] : sessions_) {
    const Peer* const agent = host_.peer(session->agent.peer);
    const Peer* const connector = host_.peer(session->connector.peer);
    if (agent != nullptr && connector != nullptr && !decide(*agent, *connector).allowed) {
      over.push_back(id);
    }
  }
  for (const base::SessionId& id : over) {
    end(id, nullptr, proto::REASON_DENIED, std::string(no_longer_allowed), now);
  }
  host_.directory_changed();
}

void Broker::expire(base::Time now) {
  std::erase_if(claims_, [&](const auto& claim) { return claim.second.until <= now; });
  std::vector<base::SessionId> over;
  for (const base::SessionId& id : halves_) {
    if (now - sessions_.at(id)->half_since >= limits_.claim_grace) over.push_back(id);
  }
  for (const base::SessionId& id : over) {
    end(id, nullptr, proto::REASON_PEER_GONE, "the other end's uplink did not come back", now);
  }
}

// --- the data path

bool Broker::relay(Peer& from, const wire::RelayPacket& packet, base::Time now) {
  const base::SessionId* const id = from.session_of(packet.header.channel);
  if (id == nullptr) {
    ++counters_.dropped_unknown_channel;
    return false;
  }
  Session& session = *sessions_.at(*id);
  const bool from_agent = session.agent.peer == from.key();
  Leg& to = from_agent ? session.connector : session.agent;
  Peer* const peer = to.peer == 0 ? nullptr : host_.peer(to.peer);
  if (peer == nullptr) {
    ++counters_.dropped_peer_away;
    return false;
  }
  const PacketKind kind = kind_of(packet);
  if (!may_relay(session, packet.payload.size(), kind, now)) return false;
  if (!peer->push_relayed(to.channel, packet.header, packet.payload)) return false;
  ++(kind == PacketKind::check ? session.checks : session.packets);
  session.bytes += packet.payload.size();
  ++counters_.relayed_packets;
  counters_.relayed_bytes += packet.payload.size();
  return true;
}

// A half says nothing of what it is of; but what control needs is not cut.
Broker::PacketKind Broker::kind_of(const wire::RelayPacket& packet) {
  constexpr std::uint8_t long_header = 0x80;
  if (packet.header.fragment) return PacketKind::handshake;
  if (wire::stun::is_stun(packet.payload)) return PacketKind::check;
  const bool has_long = !packet.payload.empty() && (packet.payload[0] & long_header) != 0;
  return has_long ? PacketKind::handshake : PacketKind::other;
}

bool Broker::may_relay(Session& session, std::size_t size, PacketKind kind, base::Time now) {
  const bool suspended = session.lease.active(now);
  if (suspended && kind != PacketKind::check) {
    ++session.suspended;
    ++counters_.dropped_suspended;
    return false;
  }
  if (relay_on_ && !suspended) return true;
  if (may_pass_off(session, size, kind, now)) return true;
  ++counters_.dropped_relay_off;
  return false;
}

bool Broker::may_pass_off(Session& session, std::size_t size, PacketKind kind,
                          base::Time now) const {
  const RelayOffLimits& limits = limits_.relay_off;
  if (kind == PacketKind::handshake) {
    if (size > session.handshake_left) return false;
    session.handshake_left -= size;
    return true;
  }
  const auto octets = static_cast<double>(size);
  if (kind == PacketKind::check || size <= limits.tiny_packet) {
    return session.checks_left.take(octets, now);
  }
  return size < limits.full_packet && session.control.take(octets, now);
}

std::vector<Broker::SessionView> Broker::sessions() const {
  std::vector<SessionView> views;
  views.reserve(sessions_.size());
  for (const auto& [id, session] : sessions_) {
    views.push_back({id.hex(), session->agent.uri, session->connector.uri, session->bound(),
                     session->packets, session->bytes, session->checks, session->since});
  }
  return views;
}

}  // namespace ztna::intermediate
