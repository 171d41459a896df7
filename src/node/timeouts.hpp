// Every timer of a node, with why, and what the others use.
#pragma once

#include "base/time.hpp"

namespace ztna::node::timeouts {

using namespace std::chrono_literals;

// A Connector is heard every second, so that a restarted Intermediate (which answers the unknown
// connection id with a stateless reset) has its services back within two. An Agent does the same
// while it has sessions. (DERP: 60 s; iroh's relay ping: 15 s.)
inline constexpr base::Duration uplink_keep_alive = 1s;
// An Agent without sessions only keeps its NAT binding: RFC 4787 REQ-5 wants ≥ 2 min of NATs, many
// give 30 s.
inline constexpr base::Duration uplink_keep_alive_idle = 10s;
// Nothing heard for so long although we asked every second: dead, dial again. (iroh: 5 s.)
inline constexpr base::Duration uplink_dead = 3s;
inline constexpr base::Duration uplink_idle = 30s;  // QUIC's max_idle_timeout on uplinks

// Attempts to connect, one after the other and from the start again. Most are short: QUIC repeats
// its first packet at ever longer intervals, and a new attempt knocks at once, so that service is
// back soon after an Intermediate is. The longer ones are for slow links.
inline constexpr std::array<base::Duration, 8> connect_attempts{1500ms, 3s, 1500ms, 1500ms,
                                                                1500ms, 6s, 1500ms, 1500ms};
// Pause before the next attempt, jittered by ±50 %: within 100 ms at first, doubling. While an
// outage is young the pause stays short, so that service is back soon after a restart.
inline constexpr base::Duration retry_first = 70ms;
inline constexpr base::Duration retry_young = 600ms;
inline constexpr base::Duration retry_max = 5s;
// The same after the news that another of our uplinks leads to that very Intermediate.
inline constexpr base::Duration duplicate = 30s;
inline constexpr base::Duration outage_young = 10min;
// After a renewal of our certificate the uplinks are dialled anew one after the other, so that one
// of several is always up.
inline constexpr base::Duration renewal_stagger = 5s;
// A resolver that does not answer.
inline constexpr base::Duration resolve = 5s;
// Registered must follow Register.
inline constexpr base::Duration registration = 5s;

// A session whose relay channel is gone waits this long for another before it ends. Longer than
// any restart of an Intermediate should take.
inline constexpr base::Duration relay_lost = 60s;
// And so long once an Intermediate has been asked for one: it gives the other end's uplink 15 s.
inline constexpr base::Duration claim_answer = 20s;
// A relay's round trip that measures more is a process that was stopped, or a network that was
// away. A session that believed it would repeat its first lost packet after seconds only; one that
// is too hopeful repeats too early, once.
inline constexpr base::Duration believable_rtt = 500ms;
// An Agent asked for a session and nobody answered.
inline constexpr base::Duration open_session = 5s;
// A flow that waits for an uplink that was up a moment ago, or is being dialled for the first time.
inline constexpr base::Duration flow_waits_for_uplink = 3s;
// A flow that waits for its session's relay to come back while an Intermediate is up. The Connector
// pauses up to retry_young before it dials, and needs a few round trips then.
inline constexpr base::Duration flow_waits_for_relay = 2s;
// A flow that may only go directly. Long enough for the second round of checks.
inline constexpr base::Duration flow_waits_for_direct = 10s;
// A Connector that says nothing at all after a FlowOpen, not even that it came, and that its
// Intermediate does not hear either: it is gone. Asked for after the first of these, then again.
inline constexpr base::Duration flow_unheard = 3s;
inline constexpr base::Duration flow_unheard_again = 250ms;
inline constexpr base::Duration flow_given_up = 1s;
// A flow's FlowReply; the Connector's own connect time-out (5 s) should come first.
inline constexpr base::Duration flow_reply = 8s;
// A Connector instance that failed a flow is used last for so long.
inline constexpr base::Duration instance_penalty = 10s;
// Nobody called this node for so long while it had sessions, whose uplinks want it every second:
// the machine slept. An Intermediate gives a silent node up after 8 s and tells the other ends.
inline constexpr base::Duration asleep = 12s;
// How often live connections are held against the calendar.
inline constexpr base::Duration expiry_check = 10s;
// An Agent closes a session that had no flow for this long.
inline constexpr base::Duration session_unused = 10min;

}  // namespace ztna::node::timeouts
