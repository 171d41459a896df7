"""Every kind of network against every other: what comes out, and what RFC 4787 says must."""

from __future__ import annotations

import dataclasses
import datetime
import platform
import re
import statistics
import sys
import time
from collections.abc import Iterator

from . import jobs, nat, oracle, traffic
from .namespaces import Laboratory, LabError
from .programs import program
from .namespaces import run as run_program
from .scene import ECHO, PUBLIC, WEB, Plan, Scene, home
from .services import HELLO
from .wan import SHAPES, SiteSpec

# A pair is given so long to become direct: two rounds of checks, of which the second begins 5 s
# after the end of the first, and their bursts of 2.1 s.
PATIENCE = 9.5
# A network that gets no answer from the Intermediate by then will get none: the first attempt is
# over after 1.5 s, and on these lines an answer takes milliseconds.
UPLINK_PATIENCE = 4.0


@dataclasses.dataclass(frozen=True)
class Network:
    name: str
    site: SiteSpec
    intermediate_port: int = 4433

    @property
    def uplink(self) -> bool:
        return not any(n.block_udp == "all" for n in self.site.nats)

    @property
    def blocks_peers(self) -> bool:
        return any(n.block_udp for n in self.site.nats)

    @property
    def answers_strangers(self) -> bool:
        return any(not n.input_drop for n in self.site.nats)


def _networks() -> Iterator[Network]:
    """The rule sets of a router, each with and without the input drop."""
    yield Network("no NAT", PUBLIC)
    for drop, suffix in ((True, ""), (False, ", input open")):
        for kind in nat.KINDS:
            yield Network(kind + suffix, home(kind, input_drop=drop))
            if kind == "full-cone":
                yield Network(f"{kind}, hairpin{suffix}", home(kind, input_drop=drop, hairpin=True))
        routers = (nat.Nat(input_drop=drop), nat.Nat(input_drop=drop))
        yield Network(f"carrier's NAT{suffix}", SiteSpec(routers))
    yield Network("UDP 443 only", home(block_udp="but-443"), 443)
    yield Network("UDP blocked", home(block_udp="all"))


NETWORKS = {network.name: network for network in _networks()}


def expected(a: Network, b: Network, shape: str) -> str:
    if not (a.uplink and b.uplink):
        return oracle.NONE
    if a.blocks_peers or b.blocks_peers:
        return oracle.RELAY
    found = oracle.path(a.site.behaviour, b.site.behaviour)
    # Between neighbours the least TTL that leaves one's own router reaches the other's: openers can
    # come too early there, and then conntrack takes another port for what was to meet them.
    premature = shape == "adjacent" and (a.answers_strangers or b.answers_strangers)
    return oracle.EITHER if premature and found == oracle.DIRECT else found


# --- one pair


def cell(a_name: str, b_name: str, shape: str) -> dict:
    """{a, b, outcome, expected, ms, error}; `ms`: from the session's start to its direct path."""
    a, b = NETWORKS[a_name], NETWORKS[b_name]
    result = {"agent": a_name, "connector": b_name, "outcome": "", "ms": None, "error": "",
              "expected": expected(a, b, shape)}
    try:
        with Laboratory() as lab:
            scene = Scene(lab, Plan(a.site, b.site, shape))
            result["outcome"] = _observe(scene, a, b)
            if result["outcome"] == oracle.DIRECT:
                result["ms"] = _time_to_direct(scene.agent.log())
    except (LabError, OSError) as error:
        result["error"] = str(error)
    result["ok"] = not result["error"] and result["expected"] in (result["outcome"], oracle.EITHER)
    return result


def _observe(scene: Scene, a: Network, b: Network) -> str:
    # Both dial the port that both of their networks let through.
    port = 443 if 443 in (a.intermediate_port, b.intermediate_port) else 4433
    scene.start(intermediate_port=port)
    end = time.monotonic() + UPLINK_PATIENCE
    while not all(_connected(daemon) for daemon in (scene.agent, scene.connector)):
        if time.monotonic() > end:
            return oracle.NONE
        time.sleep(0.02)
    scene.system.wait_service(scene.agent, WEB)
    if traffic.get(scene.laptop, scene.port(WEB)) != HELLO:
        raise LabError("the service answers something else")
    game = scene.game(30)
    end = time.monotonic() + PATIENCE
    while not scene.on("direct") and time.monotonic() < end:
        time.sleep(0.02)
    game.stop()
    came = traffic.echo(scene.laptop, scene.port(ECHO))
    if not all(came.values()):
        raise LabError(f"datagrams of these sizes did not come back: {came}")
    return oracle.DIRECT if scene.on("direct") else oracle.RELAY


def _connected(daemon) -> bool:
    return any(uplink["state"] == "up" for uplink in daemon.try_status().get("uplinks", []))


def _time_to_direct(log: str) -> float | None:
    def moment(text: str) -> datetime.datetime | None:
        found = re.search(rf"^(\S+)Z .*{re.escape(text)}", log, re.MULTILINE)
        return datetime.datetime.fromisoformat(found[1]) if found else None

    up, moved = moment("Session is up"), moment("Path selected: DIRECT")
    return None if not up or not moved else round((moved - up).total_seconds() * 1000, 1)


# --- all of them


def run(names: list[str], shape: str, at_once: int, progress) -> dict:
    assert shape in SHAPES
    began = time.monotonic()
    pairs = [(a, b) for a in names for b in names]
    cells: list[dict] = [{}] * len(pairs)
    tasks = [["cell", a, b, shape] for a, b in pairs]
    for done, (index, result) in enumerate(jobs.run(tasks, at_once), 1):
        cells[index] = result
        progress(done, len(pairs), result)
    times = sorted(c["ms"] for c in cells if c["ms"] is not None)
    version = run_program([program("ztna"), "--version"]).stdout.strip()
    return {"networks": names, "shape": shape, "cells": cells,
            "seconds": round(time.monotonic() - began, 1),
            "when": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "version": version, "kernel": platform.release(),
            "direct_ms": {"p50": statistics.median(times) if times else None,
                          "p99": times[int(0.99 * (len(times) - 1))] if times else None,
                          "max": times[-1] if times else None}}


def counts(report: dict) -> dict[str, int]:
    outcomes = [c["outcome"] or "failed" for c in report["cells"]]
    return {name: outcomes.count(name) for name in (oracle.DIRECT, oracle.RELAY, oracle.NONE, "failed")
            if name in outcomes}


def wrong(report: dict) -> list[dict]:
    return [c for c in report["cells"] if not c["ok"]]


SIGNS = {oracle.DIRECT: "D", oracle.RELAY: "r", oracle.NONE: "-", "": "?"}


def table(report: dict) -> str:
    names = report["networks"]
    width = max(len(name) for name in names)
    lines = [" " * (width + 5) + " ".join(f"{i:>2}" for i, _ in enumerate(names, 1)) + "  Connector"]
    for row, name in enumerate(names):
        signs = []
        for result in report["cells"][row * len(names):(row + 1) * len(names)]:
            signs.append(("!" if not result["ok"] else " ") + SIGNS[result["outcome"]])
        lines.append(f"{name:>{width}}  {row + 1:>2} " + " ".join(signs))
    return "\n".join(lines) + "\nAgent's network in rows.  D direct  r relay  - no uplink  ! not as RFC 4787 says\n"


def summary(report: dict) -> str:
    what = ", ".join(f"{count} {name}" for name, count in counts(report).items())
    times = report["direct_ms"]
    text = f"{len(report['cells'])} pairs in {report['seconds']:.0f} s: {what}."
    if times["p50"] is not None:
        text += (f" Direct after the session's start: p50 {times['p50']:.0f} ms, "
                 f"p99 {times['p99']:.0f} ms, at most {times['max']:.0f} ms.")
    bad = wrong(report)
    text += f" {len(bad)} differ from the oracle." if bad else " All as the oracle says."
    return text


def progress_line(done: int, total: int, result: dict, began: float, stream=sys.stderr):
    if not result["ok"]:
        what = result["error"] or f"{result['outcome']} instead of {result['expected']}"
        print(f"\r\033[K{result['agent']} × {result['connector']}: {what}"
              if stream.isatty() else f"{result['agent']} × {result['connector']}: {what}",
              file=stream, flush=True)
    left = (time.monotonic() - began) / done * (total - done)
    if stream.isatty():
        print(f"\r\033[K{done} of {total} pairs, about {left / 60:.0f} min left", end="", file=stream,
              flush=True)
        if done == total:
            print("\r\033[K", end="", file=stream, flush=True)
    elif done % 50 == 0:
        print(f"{done} of {total} pairs", file=stream, flush=True)
