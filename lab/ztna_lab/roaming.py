"""Scenarios in which machines move, sleep and meet others: what a laptop and a busy Connector see.
`scenarios` has them in its list."""

from __future__ import annotations

import signal
import time

from . import traffic
from .capture import Capture
from .events import HOMES, MEGA
from .line import Line
from .namespaces import LabError, wait_for
from .scene import AGENT, CONNECTOR, ECHO, WEB, Plan, Scene, home, with_line
from .services import HELLO
from .system import P2P_PORT, Daemon

# A laptop that changes its network has no way out for a while, and has to find an Intermediate again.
MOVE = 5.0
# After a few seconds of sleep nothing is lost. After more, everyone else has given the sleeper up: it
# begins a session anew.
DOZE, WAKE = 5.0, 5.0


def _direct_scene(scene: Scene) -> str:
    """Both ends on their direct path; the session's id."""
    scene.start()
    scene.hello()
    scene.expect_direct()
    return scene.ends()[0]["id"]


# --- the Agent's address changes


def _in_mid_download(scene: Scene, what: str, event):
    """The event costs neither the session nor an octet, and the new addresses meet directly."""
    session = _direct_scene(scene)
    download = scene.download(300 * MEGA)
    wait_for(lambda: download.received > 20 * MEGA, "20 MB", 60)
    event()
    scene.say(f"{what} at {download.received / MEGA:.0f} MB")
    error = download.result(120)
    scene.expect(not error, f"300 MB, SHA-256 as it must be{error and ': ' + error}")
    scene.expect(download.worst_gap <= MOVE, f"longest pause {download.worst_gap:.2f} s")
    scene.expect_direct(scene.agent_site.outside_address, scene.connector_site.outside_address,
                        timeout=70)
    scene.expect(scene.ends()[0]["id"] == session, "it is still the same session")


def moved(scene: Scene):
    def event():
        cafe = scene.wan.site("cafe", home("port-range"), ())
        scene.wan.move(scene.laptop, scene.agent_site, cafe)
        scene.agent_site = cafe

    _in_mid_download(scene, "the laptop is in a café, with another address behind another NAT,",
                     event)


def renumbered(scene: Scene):
    _in_mid_download(scene, "the laptop has another address in the same home",
                     lambda: scene.wan.renumber(scene.agent_site, scene.laptop))


def new_ports(scene: Scene):
    def event():
        scene.wan.new_ports(scene.connector_site, "50000-50999")

    _in_mid_download(scene, "the Connector's NAT has restarted and gives other ports", event)
    peer = scene.ends()[0]["peer"]
    scene.expect(50000 <= int(peer.rpartition(":")[2]) <= 50999, f"the Agent's peer is at {peer} now")


# --- sleep


def _sleep(daemon: Daemon, seconds: float):
    daemon.child.send_signal(signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        daemon.child.send_signal(signal.SIGCONT)


def _first_request(scene: Scene, patience: float) -> tuple[float, int]:
    """(seconds until one has succeeded, how many failed before)."""
    began, failed = time.monotonic(), 0
    while True:
        try:
            if traffic.get(scene.laptop, scene.port(WEB)) == HELLO:
                return time.monotonic() - began, failed
        except LabError:
            failed += 1
            if time.monotonic() - began > patience:
                raise


def dozed(scene: Scene):
    """A few seconds of either program, as when a machine swaps: nobody is given up."""
    session = _direct_scene(scene)
    for name, daemon in (("Agent", scene.agent), ("Connector", scene.connector)):
        game = scene.game()
        _sleep(daemon, 4)
        took, failed = _first_request(scene, DOZE)
        game.stop()
        scene.expect(took <= DOZE and failed == 0,
                     f"the {name} was stopped for 4 s; then a request takes {1000 * took:.0f} ms")
    scene.expect_direct()
    scene.expect(scene.ends()[0]["id"] == session, "it is still the same session")


def slept(scene: Scene, seconds: float):
    """A laptop that sleeps longer than NATs remember, and wakes."""
    _direct_scene(scene)
    scene.agent.child.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    for site in (scene.agent_site, scene.connector_site):
        scene.flush_nat(site.outermost)
    scene.agent.child.send_signal(signal.SIGCONT)
    took, failed = _first_request(scene, WAKE)
    scene.expect(took <= WAKE and failed == 0, f"the Agent slept for {seconds:g} s, and the routers "
                 f"forgot it; a request succeeds {took:.2f} s after that, {failed} failed before")
    scene.expect_direct(timeout=30)
    scene.exact()


# --- many, and few


def many_agents(scene: Scene):
    """All of them reach the Connector directly at its one port."""
    kinds = {"guest1": "full-cone", "guest2": "address-restricted", "guest3": "port-range"}
    scene.start(guests=tuple(kinds))
    guests = {AGENT: (scene.agent, scene.laptop)}
    for name, kind in kinds.items():
        host, = scene.wan.site(name, home(kind), (f"host-{name}",)).hosts
        guests[name] = (scene.system.start_agent(host, name, [(WEB, ECHO)]), host)
    capture = Capture(scene.server)
    downloads = []
    for name, (daemon, host) in guests.items():
        scene.system.wait_service(daemon, WEB)
        downloads.append(traffic.Download(host, scene.system.forwards[name][WEB], 30 * MEGA))
    peer = f"{scene.connector_site.outside_address}:{P2P_PORT}"
    for name, (daemon, _) in guests.items():
        wait_for(lambda d=daemon, n=name: scene.connector.path_to(n) == "direct"
                 and d.session_with(CONNECTOR).get("peer") == peer, f"{name} direct to {peer}", 20)
    errors = [error for error in (download.result(60) for download in downloads) if error]
    scene.expect(not errors, f"{len(guests)} Agents, each direct to {peer}: 30 MB each at once, "
                 f"exact{' '.join(errors)}")
    seen = {d.source_port if d.source == scene.connector_site.inside[0].address else d.target_port
            for d in capture.stop() if not d.stun}
    scene.expect(seen == {P2P_PORT}, f"server: all it sent and got by UDP was on port {seen}")


def one_host(scene: Scene):
    """Agent and Connector are neighbours on one machine."""
    scene.start()
    scene.hello()
    address = scene.agent_site.inside[0].address
    scene.expect_direct(address, address)
    scene.exact()


# --- lines as people have them


MOBILE = Line(delay=40, jitter=10, loss=0.5, rate=20)
DSL = Line(delay=15, jitter=2, rate=50)


def over_lines(scene: Scene):
    line = scene.plan.agent.line
    scene.start()
    scene.hello()
    scene.expect_direct(scene.agent_site.outside_address, scene.connector_site.outside_address)
    game = scene.game(30)
    time.sleep(5)
    report = game.stop()
    rtt = 1000 * report.median_rtt
    # Out and back over both lines; what is more is the machine's own, which others use too.
    least, most = 4 * line.delay, 4 * (line.delay + line.jitter) + 40
    scene.expect(least <= rtt <= most, f"median round trip {rtt:.0f} ms, of {least:g} to "
                 f"{most:g} ms")
    lost = 1 - report.answered / report.sent
    scene.expect(lost <= 8 * line.loss / 100 + 0.02, f"{100 * lost:.1f} % of {report.sent} datagrams "
                 f"lost, each on four lines that lose {line.loss:g} %")
    began = time.monotonic()
    size = MEGA if line.loss else 10 * MEGA  # CUBIC takes loss for congestion
    scene.exact(size)
    rate = size * 8 / (time.monotonic() - began) / 1e6
    scene.expect(rate <= line.rate, f"{rate:.1f} Mbit/s of {line.rate:g}")


# name, what happens, where, how
ROAMING = (
    ("move", "the laptop moves to another network in mid-download", HOMES, moved),
    ("new-address", "the laptop gets another address in its home in mid-download", HOMES, renumbered),
    ("new-ports", "the Connector's NAT restarts and gives other ports", HOMES, new_ports),
    ("doze", "Agent and Connector are stopped for 4 s each", HOMES, dozed),
    ("sleep", "the laptop sleeps for 15 s, and the routers forget it", HOMES,
     lambda scene: slept(scene, 15)),
    ("sleep-long", "the laptop sleeps for longer than its session lives", HOMES,
     lambda scene: slept(scene, 75)),
    ("many-agents", "four Agents behind four kinds of NAT share the Connector's port 4434", HOMES,
     many_agents),
    ("one-host", "Agent and Connector on one machine: direct, by its own address",
     Plan(home(), one_host=True), one_host),
    ("mobile", "a mobile line at each end (40 to 50 ms, 0.5 % loss, 20 Mbit/s)",
     with_line(HOMES, MOBILE), over_lines),
    ("dsl", "a DSL line at each end (15 to 17 ms, 50 Mbit/s)", with_line(HOMES, DSL), over_lines),
)

SLOW = ("sleep-long",)
