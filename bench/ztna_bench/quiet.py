"""Packets that nobody asked for: of an idle direct session, and of a punch that cannot work."""

from __future__ import annotations

import time

from ztna_lab.capture import Capture, count
from ztna_lab.namespaces import Laboratory, LabError
from ztna_lab.scene import Plan, Scene, home
from ztna_lab.wan import INTERMEDIATE

from .figures import Figure

PACKETS = "packets"
WAYS = {PACKETS: "packets"}
# The first round of checks is over after 2.1 s and its lead; the next begins 5 s later.
ROUND = 5.0


def idle(seconds: int) -> dict[str, int]:
    """Packets on the direct path, each way, seen at the Agent's host."""
    with Laboratory() as lab:
        scene = Scene(lab, Plan(home(), home()))
        scene.start()
        scene.hello()
        scene.expect_direct()
        time.sleep(3)  # the flows that brought it here are no longer active
        capture = Capture(scene.laptop)
        time.sleep(seconds)
        seen = capture.stop()
        if not scene.on("direct"):
            raise LabError(f"the idle session left the direct path: {scene.describe()}")
        peer = scene.connector_site.outside_address
        return {"Agent → Connector": count(seen, lambda d: d.target == peer).packets,
                "Connector → Agent": count(seen, lambda d: d.source == peer).packets}


def failed_punch() -> int:
    """What both ends send to candidates in the first round, two symmetric NATs between them."""
    with Laboratory() as lab:
        scene = Scene(lab, Plan(home("symmetric"), home("symmetric")))
        scene.start()
        scene.system.wait_service(scene.agent, "web")
        captures = {host.name: Capture(host) for host in (scene.laptop, scene.server)}
        scene.hello()
        time.sleep(ROUND)
        if not scene.on("relay"):
            raise LabError(f"two symmetric NATs, and yet: {scene.describe()}")
        own = [inside.address for site in (scene.agent_site, scene.connector_site) for inside in site.inside]
        return sum(count(capture.stop(), lambda d: d.source in own and d.target != INTERMEDIATE).packets
                   for capture in captures.values())


def measure(quick: bool, say) -> list[Figure]:
    seconds, rounds = (13, 1) if quick else (58, 5)
    allowed = seconds // 5 + 1  # packets that come every 5 s, wherever the first of them falls
    say(f"quiet: an idle session, {seconds} s")
    idling = idle(seconds)
    say("quiet: a punch that fails")
    punches = [float(failed_punch()) for _ in range(rounds)]
    return [*(Figure(f"idle direct session in {seconds} s, {way}", PACKETS, {PACKETS: [packets]},
                     f"≤ {allowed}", lambda f: f.value(PACKETS) <= allowed)
              for way, packets in idling.items()),
            Figure("a failed punch, one round, both ends together", PACKETS, {PACKETS: punches}, "≤ 200",
                   lambda f: max(f.samples[PACKETS]) <= 200)]
