// What the two ends of a session tell each other on its control stream.
#include <tuple>

#include "session.pb.h"
#include "session/session.hpp"

namespace ztna::session {
namespace {

namespace proto = ztna::session::v1;

proto::CandidateKind to_wire(nat::CandidateKind kind) {
  switch (kind) {
    case nat::CandidateKind::advertised: return proto::CANDIDATE_KIND_ADVERTISED;
    case nat::CandidateKind::host: return proto::CANDIDATE_KIND_HOST;
    default: return proto::CANDIDATE_KIND_REFLEXIVE;
  }
}

nat::CandidateKind from_wire(proto::CandidateKind kind) {
  switch (kind) {
    case proto::CANDIDATE_KIND_ADVERTISED: return nat::CandidateKind::advertised;
    case proto::CANDIDATE_KIND_HOST: return nat::CandidateKind::host;
    default: return nat::CandidateKind::reflexive;
  }
}

std::vector<nat::Candidate> read(const proto::Candidates& message) {
  std::vector<nat::Candidate> out;
  for (const proto::Candidate& candidate : message.candidates()) {
    const auto address = base::Address::parse(candidate.address());
    if (address) out.push_back({from_wire(candidate.kind()), *address});
  }
  return out;
}

}  // namespace

void Session::open_control() {
  connection_->set_urgent(control_stream);
  control_open_ = true;
  proto::SessionMessage hello;
  hello.mutable_hello()->set_version(config_.version);
  write_message(control_stream, hello);
  if (!candidates_.empty()) send_candidates();
}

void Session::send_candidates() {
  if (!prober_ || !control_open_) return;
  proto::SessionMessage message;
  proto::Candidates& body = *message.mutable_candidates();
  for (const nat::Candidate& candidate : candidates_) {
    proto::Candidate& one = *body.add_candidates();
    one.set_address(candidate.address.to_string());
    one.set_kind(to_wire(candidate.kind));
  }
  write_message(control_stream, message);
  wake();
}

void Session::on_control_data(base::BytesView data) {
  connection_->consume(control_stream, data.size());
  control_.feed(data);
  while (const auto payload = control_.next()) {
    proto::SessionMessage message;
    // Hello is for people, and unknown messages are ignored.
    if (!wire::parse_message(*payload, message)) continue;
    handler_.on_control_message(*this, message);
    if (!prober_) continue;
    if (message.has_candidates()) {
      prober_->set_remote(read(message.candidates()), now_);
    } else if (message.has_punch() && role_ == Role::connector) {
      if (prober_->start_round(now_)) send_punch(message.punch().round());
    } else if (message.has_punch()) {
      prober_->confirm_round(message.punch().round(), now_);
    }
    watch_paths(now_);
  }
}

// The Connector hears of it half a round trip from now: both ends begin at about the same time.
void Session::begin_round(base::Time now) {
  send_punch(prober_->rounds());
  const base::Duration round_trip = prober_->relay_health().proven()
                                        ? prober_->relay_health().quality().rtt
                                        : connection_->stats().smoothed_rtt;
  std::ignore = prober_->start_round(now + round_trip / 2);
  wake();
}

void Session::send_punch(std::uint32_t round) {
  proto::SessionMessage message;
  message.mutable_punch()->set_round(round);
  write_message(control_stream, message);
}

}  // namespace ztna::session
