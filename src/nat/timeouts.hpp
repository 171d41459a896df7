// Every timer of paths, with why, and what the others use.
#pragma once

#include <array>

#include "base/time.hpp"

namespace ztna::nat::timeouts {

using namespace std::chrono_literals;

// Checks of a round to one address: the time after the one before. Eight in 2.1 s, the first ones
// close together because the peer's mapping may be a moment late. (iroh: 9 in 4 s, 33 ms doubling;
// Tailscale: one ping each.)
inline constexpr std::array<base::Duration, 8> burst{0ms,   33ms,  33ms,  67ms,
                                                     133ms, 267ms, 533ms, 1067ms};
// Between the openers of one TTL and those of the next: more than the two ends' idea of "now"
// differs by, and little enough to add nothing that a person notices.
inline constexpr base::Duration opener_gap = 10ms;
// Openers leave first; full checks follow after this and a quarter of the relay's round trip, by
// when the peer's openers have left too.
inline constexpr base::Duration opener_lead = 20ms;
// Checks of one round, openers aside, at most: with many addresses each gets fewer of the burst.
inline constexpr std::size_t round_checks = 64;
// And so many addresses get openers. (Together no more than 200 packets for both ends.)
inline constexpr std::size_t round_openers = 8;
// The Agent's checks wait for the Connector to say that its round has begun, at most so long: when
// the news is late, so are the openers that must come first.
inline constexpr base::Duration confirm_patience = 1500ms;

// From a round that found nothing to the next. The third is long enough for what a premature packet
// spoilt in a Linux gateway to be forgotten (30 s). (Tailscale: ~6 s, then 60 s; iroh: 60 s.)
inline constexpr std::array<base::Duration, 4> retry{5s, 15s, 35s, 60s};
// Rounds for news of addresses come no closer together than this.
inline constexpr base::Duration round_gap = 1s;

// Heartbeats on the direct path in use: while flows move data, and else (the Agent's alone). Idle
// ones leave room for QUIC's keep-alive (30 s, of which this is no divisor) and its
// acknowledgements, so that both together are no more than a packet in 5 s. (Tailscale: 3 s; iroh:
// 5 s.)
inline constexpr base::Duration heartbeat_active = 150ms;
inline constexpr base::Duration heartbeat_idle = 7s;
// The same on the relay: its uplinks have keep-alives of their own.
inline constexpr base::Duration relay_heartbeat_active = 1s;
inline constexpr base::Duration relay_heartbeat_idle = 15s;
// Flows that moved data this recently are active.
inline constexpr base::Duration active_for = 1s;
// A check is missed when it is not answered within two round trips and this. Two missed in a row
// are doubt. (Tailscale trusts 6.5 s; iroh 15 s.)
inline constexpr base::Duration answer_slack = 100ms;
inline constexpr int missed_is_doubt = 2;
// An answer may still come, and tell the round trip.
inline constexpr base::Duration answer_patience = 3s;
// How long session packets are taken from an address after its last authenticated check. Idle
// heartbeats come every 7 s.
inline constexpr base::Duration trust = 30s;
// A path that proved itself so recently may be moved to.
inline constexpr base::Duration fresh = 2s;

// A question for our address at an Intermediate: the requests, each so long after the one before is
// sent, and the wait for the last one's answer. RFC 8489 §6.2.1 waits 39.5 s; checks cannot.
inline constexpr std::array<base::Duration, 4> address_request{500ms, 500ms, 1s, 1s};
// From a question that was answered to the next, while there are sessions: many NATs forget a
// mapping after 30 s, and give the socket another. (Tailscale: 20 to 26 s.)
inline constexpr base::Duration address_refresh = 20s;
// From one that was not. Mostly there is no way there in that family, and will be none.
inline constexpr base::Duration address_retry = 60s;

// Where flows may take no other path, one in doubt may return for so long.
inline constexpr base::Duration required_patience = 10s;

// Between two moves to a better path.
inline constexpr base::Duration upgrade_gap = 1s;
// A path that was in doubt is left alone for so long, doubling, until it was good for hold_forget.
inline constexpr base::Duration hold_first = 1s;
inline constexpr base::Duration hold_max = 60s;
inline constexpr base::Duration hold_forget = 60s;
// And one that lost far more than the relay, for so long at least.
inline constexpr base::Duration hold_lossy = 30s;
// While a path in use loses more than this, the relay is checked as often as it, so that both are
// known when they are compared.
inline constexpr double suspicious_loss = 0.08;
// The longest silence of a sender who waits for what it sent by a slower relay to arrive, before
// its first direct packet.
inline constexpr base::Duration handover_max = 150ms;
// A validated move that is not done by now will not be: ngtcp2 itself gives up after 3 s.
inline constexpr base::Duration migration = 1500ms;

}  // namespace ztna::nat::timeouts
