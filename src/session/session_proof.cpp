// What a session says of itself to people who want proof, and the seconds without a direct path
// that they may ask for.
#include "session/session.hpp"

namespace ztna::session {
namespace {

constexpr std::string_view proof_label = "EXPORTER-ztna-proof";
constexpr std::size_t max_frame = 10;  // the length before a message, at most

}  // namespace

base::Result<base::Duration> Session::suspend_direct(base::Duration time, base::Time now) {
  if (!prober_ || state_ != State::ready) {
    return base::fail(base::ErrorCode::unavailable, "this session takes no direct paths");
  }
  auto granted = direct_lease_.ask(time, now);
  if (granted) direct_suspended_until(direct_lease_.until());
  return granted;
}

void Session::direct_suspended_until(base::Time until) {
  direct_lease_.set(until);
  direct_was_suspended_ = true;
  wake();
}

bool Session::direct_suspended(base::Time now) const { return direct_lease_.active(now); }

base::Result<proof::EndView> Session::testify(std::string_view nonce, base::Time now) const {
  if (state_ != State::ready) {
    return base::fail(base::ErrorCode::unavailable, "the session is not up");
  }
  const auto binding = connection_->export_key(proof_label, base::as_bytes(nonce));
  if (!binding) return tl::unexpected(binding.error());
  const nat::Pair* const pair = direct_pair();
  proof::EndView view;
  view.path = to_string(path_kind());
  view.peer = pair != nullptr ? pair->remote.to_string() : relay_name_;
  view.binding = base::to_hex(binding->expose());
  view.direct_suspended = direct_suspended(now);
  view.counts = {counters_.direct_packets_sent, counters_.direct_packets_received,
                 counters_.relay_packets_sent, counters_.relay_packets_received,
                 counters_.direct_suspended};
  return view;
}

bool Session::send_control(const v1::SessionMessage& message) {
  if (state_ != State::ready || !control_open_) return false;
  // Half a message would break the stream: who does not read his gets no more.
  if (connection_->writable(control_stream) < message.ByteSizeLong() + max_frame) return false;
  write_message(control_stream, message);
  wake();
  return true;
}

}  // namespace ztna::session
