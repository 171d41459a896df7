"""How long a session takes to its direct path and back, and what its flows notice. Between two homes
behind port-restricted NATs, with an Intermediate 40 ms away."""

from __future__ import annotations

import datetime
import json
import time

from ztna_lab import traffic
from ztna_lab.namespaces import wait_for
from ztna_lab.scene import ECHO, WEB, Plan, Scene, home

from . import flows
from .far import RTT, FarLaboratory
from .figures import Figure, quantile
from .load import GAME_RATE

UDP, TCP = "udp", "tcp"
SESSION = "session"
WAYS = {SESSION: "session", UDP: f"UDP, {GAME_RATE}/s", TCP: "TCP download"}
HOMES = Plan(home(), home())
GAP_LIMIT_MS = 700
UPGRADE_LIMIT_MS = 1000 * RTT + 20
_READY, _DIRECT = "Session is up", "Path selected: DIRECT"


def _seconds(line: dict) -> float:
    return datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp()


def _log_times(agent, since: int) -> dict[str, float]:
    """When the Agent said that the session is up, and that it is direct."""
    found = {}
    for text in agent.log()[since:].splitlines():
        line = json.loads(text) if text.startswith("{") and text.endswith("}") else {}
        for message in (_READY, _DIRECT):
            if line.get("message", "").startswith(message):
                found.setdefault(message, _seconds(line))
    return found


def time_to_direct(rounds: int, say) -> list[float]:
    """Milliseconds from "session is up" to "direct", each time with a new Agent and a new session that
    somebody just asked for."""
    taken = []
    with FarLaboratory() as lab:
        scene = Scene(lab, HOMES)
        scene.start(agent_flags=("--log-format", "json"))
        for number in range(rounds):
            if number % 20 == 0:
                say(f"moves: time to direct, {number} of {rounds}")
            scene.system.wait_service(scene.agent, WEB)
            begin = len(scene.agent.log())
            traffic.get(scene.laptop, scene.port(WEB))
            wait_for(lambda: len(_log_times(scene.agent, begin)) == 2, scene.describe, 15)
            times = _log_times(scene.agent, begin)
            taken.append(1000 * (times[_DIRECT] - times[_READY]))
            scene.agent.stop()
            scene.agent.start()
    return taken


class Watched:
    """A session with one flow that is watched, until the end of run()."""

    def __init__(self, lab: FarLaboratory, kind: str, direct: bool):
        self.scene = Scene(lab, HOMES)
        self.scene.start()
        if not direct:
            self.scene.wan.forbid_udp(self.scene.agent_site, self.scene.connector_site)
        self.scene.hello()
        if direct:
            self.scene.expect_direct()
        port = self.scene.port(ECHO if kind == UDP else WEB)
        self.flow = (flows.Stream(self.scene.laptop, "127.0.0.1", port, GAME_RATE) if kind == UDP
                     else flows.Drain(self.scene.laptop, port))

    def run(self, event, path: str, patience: float) -> tuple[float, float]:
        """From `event` until a second after both ends are on the path: when the event was, and the
        Agent's move, as time.monotonic()."""
        began = time.monotonic()
        event(self.scene.wan)
        self.scene.wait_path(path, patience)
        moved = time.monotonic() - self.scene.ends()[0]["switches"][-1]["ago_s"]
        time.sleep(1)
        self.flow.stop()
        return began, moved


def cut(kind: str) -> tuple[float, int]:
    """The direct path swallows everything from one moment on: (worst gap in ms, lost outside of it)."""
    with FarLaboratory() as lab:
        watched = Watched(lab, kind, direct=True)
        time.sleep(1.5)
        sites = watched.scene.agent_site, watched.scene.connector_site
        began, _ = watched.run(lambda wan: wan.forbid_udp(*sites), "relay", 15)
        gap = watched.flow.gap(began)
        outside = watched.flow.lost_outside(gap) if kind == UDP else 0
        return 1000 * gap.length, outside


def upgrade(kind: str) -> tuple[float, int]:
    """UDP between the homes was forbidden, and no longer is; the next round of checks finds out:
    (worst gap in the move and after it, in ms, lost). A gap before it is the relay's own."""
    with FarLaboratory() as lab:
        watched = Watched(lab, kind, direct=False)
        time.sleep(3.5)  # the first round is over, and the second has not begun
        _, moved = watched.run(lambda wan: wan.permit_udp(), "direct", 40)
        gap = watched.flow.gap(moved)
        return 1000 * gap.length, len(watched.flow.lost()) if kind == UDP else 0


def far_download(seconds: float) -> float:
    """Mbit/s of a download that stays on the relay, once it had three seconds to find its pace."""
    with FarLaboratory() as lab:
        scene = Scene(lab, HOMES)
        scene.start(agent_flags=("--no-p2p",))
        scene.hello()
        drain = flows.Drain(scene.laptop, scene.port(WEB))
        time.sleep(3)
        begin, at = drain.received, time.monotonic()
        time.sleep(seconds)
        rate = 8e-6 * (drain.received - begin) / (time.monotonic() - at)
        drain.stop()
        return rate


def _gaps(rounds: int, what, say) -> tuple[dict[str, list[float]], list[float]]:
    gaps: dict[str, list[float]] = {UDP: [], TCP: []}
    lost: list[float] = []
    for number in range(rounds):
        say(f"moves: {what.__name__}, {number + 1} of {rounds}")
        for kind in (UDP, TCP):
            gap, missing = what(kind)
            gaps[kind].append(gap)
            if kind == UDP:
                lost.append(missing)
    return gaps, lost


def measure(quick: bool, say) -> list[Figure]:
    rounds = 1 if quick else 5
    direct = time_to_direct(3 if quick else 100, say)
    cuts, outside = _gaps(rounds, cut, say)
    upgrades, lost = _gaps(rounds, upgrade, say)
    say("moves: a download that stays on the relay")
    far = [far_download(2 if quick else 5) for _ in range(rounds)]

    def worst_within(limit: float):
        return lambda f: all(value <= limit for values in f.samples.values() for value in values)

    return [
        Figure(f"direct after the session is up, p50 of {len(direct)}", "ms", {SESSION: direct},
               f"≤ {5000 * RTT:g}", lambda f: f.value(SESSION) <= 5000 * RTT),
        Figure("direct after the session is up, p99", "ms", {SESSION: direct}, "≤ 1000",
               lambda f: f.value(SESSION) <= 1000, lambda values: quantile(values, 0.99)),
        Figure(f"silent cut of the direct path, worst gap of {rounds}", "ms", cuts, f"≤ {GAP_LIMIT_MS}",
               worst_within(GAP_LIMIT_MS), max),
        Figure("silent cut, median gap", "ms", cuts),
        Figure("silent cut, lost outside the gap, in all", "packets", {UDP: outside}, "0",
               lambda f: f.value(UDP) == 0, sum),
        Figure(f"relay to direct, worst gap of {rounds}", "ms", upgrades, f"≤ {UPGRADE_LIMIT_MS:g}",
               worst_within(UPGRADE_LIMIT_MS), max),
        Figure("relay to direct, median gap", "ms", upgrades),
        Figure("relay to direct, lost in all", "packets", {UDP: lost}, summary=sum),
        Figure("a download that stays on the relay", "Mbit/s", {TCP: far})]
