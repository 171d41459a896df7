"""Scenarios in which something happens: paths die and come back, routers forget and restart, the
relay is switched off. `scenarios` has them in its list."""

from __future__ import annotations

import time

from .capture import Capture, count
from .namespaces import wait_for
from .scene import Plan, Scene, home
from .wan import INTERMEDIATE, Site

MEGA = 1_000_000
# Between two answers of a stream, or two pieces of a download, while the session moves. What the
# bench measures on a quiet machine is half of it.
GAP = 1.5


def blocked_download(scene: Scene):
    """The direct path dies silently in mid-download, and comes back later."""
    size = 500 * MEGA
    scene.start()
    scene.hello()
    scene.expect_direct()
    for _ in range(3):
        download = scene.download(size)
        wait_for(lambda: download.received > 10 * MEGA, "10 MB by the direct path", 60)
        scene.wan.forbid_udp(scene.agent_site, scene.connector_site)
        at = download.received
        if at < size:
            break
        scene.wan.permit_udp()  # on a busy machine it was over before the cut
        scene.expect_direct(timeout=70)
    took = scene.wait_path("relay", 10)
    scene.expect(not download.done, f"direct path cut at {at / MEGA:.0f} MB: both ends are on RELAY "
                 f"after {took:.2f} s, because of {scene.ends()[0]['path_reason']}")
    moved = download.received
    wait_for(lambda: download.done or download.received > moved + 20 * MEGA,
             "20 MB more by the relay", 60)
    scene.wan.permit_udp()
    error = download.result(240)
    scene.expect(not error, f"{size // MEGA} MB, SHA-256 as it must be{error and ': ' + error}")
    scene.expect(download.worst_gap <= GAP, f"longest pause {1000 * download.worst_gap:.0f} ms")
    took = scene.expect_direct(timeout=70)


NARROW = 1300
IP_AND_UDP = 28


def _small(scene: Scene):
    sizes = [end["mtu"] for end in scene.ends()]
    scene.expect(scene.on("direct") and max(sizes) + IP_AND_UDP <= NARROW,
                 f"on DIRECT, with packets of {sizes[0]} octets and {sizes[1]}")


def black_hole(scene: Scene):
    """Large packets vanish from the direct path in mid-download, as behind a tunnel that nobody has
    told: checks still pass, data does not."""
    scene.start()
    scene.hello()
    scene.expect_direct()
    download = scene.download(300 * MEGA)
    wait_for(lambda: download.received > 20 * MEGA, "20 MB by the direct path", 60)
    scene.wan.forbid_udp(scene.agent_site, scene.connector_site, larger_than=NARROW)
    took = scene.wait_path("relay", 10)
    scene.expect(not download.done, f"packets of more than {NARROW} octets vanish: both ends are on RELAY "
                 f"after {took:.2f} s, because of {scene.ends()[0]['path_reason']}")
    error = download.result(120)
    scene.expect(not error, f"300 MB, SHA-256 as it must be{error and ': ' + error}")
    scene.expect(download.worst_gap <= GAP, f"longest pause {1000 * download.worst_gap:.0f} ms")
    scene.expect_direct(timeout=70)
    _small(scene)


def narrow(scene: Scene):
    """The same from the start: a path that never passed large packets is used with small ones."""
    scene.start()
    scene.wan.forbid_udp(scene.agent_site, scene.connector_site, larger_than=NARROW)
    scene.hello()
    scene.expect_direct()
    scene.exact(20 * MEGA)
    _small(scene)


def flushed_game(scene: Scene):
    """conntrack -F on both routers while a game runs."""
    scene.start()
    scene.hello()
    scene.expect_direct()
    session = scene.ends()[0]["id"]
    game = scene.game()
    time.sleep(1)
    for site in (scene.agent_site, scene.connector_site):
        scene.flush_nat(site.outermost)
    scene.say("both routers have forgotten every connection")
    time.sleep(3)
    report = game.stop()
    scene.expect(report.worst_gap <= GAP, f"longest pause of the game {1000 * report.worst_gap:.0f} ms, "
                 f"{report.sent - report.answered} of {report.sent} datagrams lost")
    scene.expect_direct(timeout=30)
    scene.expect(scene.ends()[0]["id"] == session, "it is still the same session")


def rebooted(scene: Scene, site: Site):
    """The router restarts with a new public address in mid-download."""
    scene.start()
    scene.hello()
    scene.expect_direct(scene.agent_site.outside_address, scene.connector_site.outside_address)
    session = scene.ends()[0]["id"]
    download = scene.download(300 * MEGA)
    wait_for(lambda: download.received > 20 * MEGA, "20 MB", 60)
    old = site.outside_address
    scene.wan.reboot(site)
    scene.say(f"the router was away for 1 s; {old} is now {site.outside_address}")
    error = download.result(120)
    scene.expect(not error, f"300 MB, SHA-256 as it must be{error and ': ' + error}, "
                 f"longest pause {download.worst_gap:.1f} s")
    scene.expect_direct(scene.agent_site.outside_address, scene.connector_site.outside_address,
                        timeout=70)
    scene.expect(scene.ends()[0]["id"] == session, "it is still the same session")


def relay_switched_off(scene: Scene):
    """The Intermediate's admin forbids relaying while the direct path works, and allows it again."""
    scene.start()
    scene.hello()
    scene.expect_direct()
    scene.relay_switch("off")
    scene.expect(not scene.intermediate.status()["relay"]["on"], "the admin has switched the relay off")
    scene.exact(50 * MEGA)
    scene.expect(scene.on("direct"), "the session is still on DIRECT")
    scene.relay_switch("on")
    game = scene.game()
    time.sleep(2.5)  # the relay's checks, once a second, find it alive again
    scene.wan.forbid_udp(scene.agent_site, scene.connector_site)
    took = scene.wait_path("relay", 15)
    report = game.stop()
    scene.say(f"switched on, and the direct path cut: on RELAY after {took:.2f} s, longest pause "
              f"{1000 * report.worst_gap:.0f} ms")
    scene.exact()


# --- where the octets went


def captured(scene: Scene, direct: bool):
    """tcpdump at the Intermediate and at both peers, against the counters of all three."""
    scene.start()
    scene.hello()
    scene.expect_direct() if direct else scene.expect_relay()
    size, other = 20 * MEGA, "relay_packets" if direct else "direct_packets"
    for _ in range(3):
        report, before, after, seen = _capture(scene, size)
        if not any(_moved(before[index], after[index], other) for index in (0, 1)):
            break
        # A machine that stops everything for a moment makes sessions doubt their path, and rightly.
        scene.say("the session moved meanwhile: once more")
        scene.wait_path("direct" if direct else "relay", 70)
    scene.expect(report.answered >= 0.99 * report.sent,
                 f"{report.answered} of {report.sent} datagrams answered")
    (_check_direct if direct else _check_relay)(scene, size, report.sent, before, after, seen)


def _capture(scene: Scene, size: int):
    """(the game's report, counters before and after, datagrams by host)."""
    hosts = {host.name: host for host in (scene.laptop, scene.server, scene.wan.intermediate)}
    scene.settled()
    captures = {name: Capture(host) for name, host in hosts.items()}
    before = scene.settled()
    scene.exact(size)
    game = scene.game(200)
    time.sleep(1)
    report = game.stop()
    after = scene.settled()
    return report, before, after, {name: capture.stop() for name, capture in captures.items()}


def _moved(before: dict, after: dict, key: str) -> int:
    return after[key] - before[key]


def _check_direct(scene: Scene, size: int, datagrams: int, before, after, seen):
    # Each end sees the other at a public address; what it sees in the Internet it captures so.
    for index, (name, address) in enumerate((("laptop", scene.connector_site.outside_address),
                                             ("server", scene.agent_site.outside_address))):
        captured_here = count(seen[name], lambda d: address in (d.source, d.target) and not d.stun)
        counted = _moved(before[index], after[index], "direct_packets")
        scene.expect(captured_here.packets == counted and captured_here.octets > size,
                     f"{name}: tcpdump saw {captured_here.packets:,} session packets "
                     f"({captured_here.octets:,} octets) to and from {address}, the program counted "
                     f"{counted:,} as direct")
        scene.expect(counted >= 2 * datagrams, f"{name}: at least the game's {2 * datagrams}")
        relayed = _moved(before[index], after[index], "relay_packets")
        scene.expect(relayed == 0, f"{name}: {relayed} packets of the session over the relay")
    here = count(seen["intermediate"], lambda d: True)
    scene.expect(here.octets < size / 100,
                 f"intermediate: tcpdump saw {here.octets:,} octets of anything, not {size:,}")
    relayed = _moved(before[2], after[2], "packets")
    scene.expect(relayed == 0, f"intermediate: it relayed {relayed} packets of the session but checks")


def _check_relay(scene: Scene, size: int, datagrams: int, before, after, seen):
    peers = (scene.connector_site.outside_address, scene.agent_site.outside_address)
    for index, name in enumerate(("laptop", "server")):
        other = count(seen[name], lambda d: peers[index] in (d.source, d.target) and not d.stun)
        direct = _moved(before[index], after[index], "direct_packets")
        scene.expect(other.packets == direct == 0, f"{name}: no session packet to or from "
                     f"{peers[index]} by tcpdump, none counted as direct")
        by_relay = count(seen[name], lambda d: INTERMEDIATE in (d.source, d.target))
        counted = _moved(before[index], after[index], "relay_packets")
        scene.expect(by_relay.octets > size and counted >= 2 * datagrams,
                     f"{name}: {by_relay.octets:,} octets with the Intermediate, {counted:,} packets "
                     "counted as relayed")
    counts = [_moved(before[0], after[0], "relay_packets"), _moved(before[1], after[1], "relay_packets"),
              _moved(before[2], after[2], "packets")]
    # A busy machine loses some on the way, and the sender sees that.
    lost = sum(_moved(before[index], after[index], "packets_lost") for index in (0, 1))
    scene.expect(max(counts) - min(counts) <= lost, "packets of the session by the counters of laptop, "
                 f"server and intermediate: {', '.join(f'{each:,}' for each in counts)}; {lost:,} lost")
    relayed = _moved(before[2], after[2], "bytes")
    outer = count(seen["intermediate"], lambda d: True).octets
    # In and out, and the uplinks' own headers and acknowledgements.
    scene.expect(2 * relayed < outer < 2.4 * relayed,
                 f"intermediate: {relayed:,} octets relayed by its own count, {outer:,} octets in and "
                 "out by tcpdump")


HOMES = Plan(home(), home())

# name, what happens, where, how
EVENTS = (
    ("blocked-download", "direct path cut silently in mid-download: 500 MB arrive exact", HOMES,
     blocked_download),
    ("black-hole", "large packets vanish from the direct path in mid-download", HOMES, black_hole),
    ("narrow", "a direct path that never passed large packets is used with smaller ones", HOMES, narrow),
    ("flushed-game", "routers forget every connection in mid-game (conntrack -F)", HOMES, flushed_game),
    ("reboot-agent", "the Agent's router restarts with a new public address", HOMES,
     lambda scene: rebooted(scene, scene.agent_site)),
    ("reboot-connector", "the Connector's router restarts with a new public address", HOMES,
     lambda scene: rebooted(scene, scene.connector_site)),
    ("relay-off", "relaying switched off while the direct path works, and on again", HOMES,
     relay_switched_off),
    ("capture-direct", "tcpdump at all three: what is direct passes the Intermediate by", HOMES,
     lambda scene: captured(scene, direct=True)),
    ("capture-relay", "tcpdump at all three, of two symmetric NATs: all of it is relayed",
     Plan(home("symmetric"), home("symmetric")), lambda scene: captured(scene, direct=False)),
)
