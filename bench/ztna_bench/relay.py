"""What the relay costs: client ── Intermediate ── Connector, against the Intermediate's host routing
between the two."""

from __future__ import annotations

import select
import subprocess
import time

from ztna_lab.namespaces import Laboratory, LabError
from ztna_lab.programs import program

from . import load, places
from .figures import RAW, Figure, in_turns
from .system import System, cpu_seconds, memory_kib

RELAY = "relay"
WAYS = {RAW: "raw path", RELAY: "over the relay"}
FORWARDS = "127.0.0.1"


def idle_uplinks(system: System, count: int) -> float:
    """KiB resident at the Intermediate for each idle uplink."""
    before = memory_kib(system.intermediate)
    child = subprocess.Popen(
        [*system.place.relay.prefix, "setpriv", "--pdeathsig", "KILL", "--", program("idle_uplinks"),
         "127.0.0.1:4433", system.certificate, str(count)], stdout=subprocess.PIPE, text=True)
    try:
        ready, _, _ = select.select([child.stdout], [], [], 30 + count / 20)
        line = child.stdout.readline().strip() if ready else "not up in time"
        if line != f"up {count}":
            raise LabError(f"idle_uplinks: {line or 'ended early'}")
        time.sleep(2)  # handshake buffers are given back
        return (memory_kib(system.intermediate) - before) / count
    finally:
        child.kill()
        child.wait()


def _throughput(place: places.Place, system: System, rounds: int, seconds: float) -> list[Figure]:
    daemons = {"Agent": system.agents["alice"], "Intermediate": system.intermediate,
               "Connector": system.connector}
    spent: dict[str, list[float]] = {name: [] for name in daemons}

    def up_through_us() -> float:
        before = {name: cpu_seconds(daemon) for name, daemon in daemons.items()}
        gigabits = load.iperf(place.client, FORWARDS, seconds)
        for name, daemon in daemons.items():
            # iperf3 does not count its first half second, the processor does.
            spent[name].append((cpu_seconds(daemon) - before[name]) / (gigabits * (seconds + 0.5)))
        return gigabits

    def ways(**options):
        return {RAW: lambda: load.iperf(place.client, place.raw, seconds, **options),
                RELAY: lambda: load.iperf(place.client, FORWARDS, seconds, **options)}

    at_least_2 = {"target": "≥ 2.0", "reached": lambda f: f.value(RELAY) >= 2.0}
    figures = [
        Figure("TCP, 1 stream, up", "Gbit/s", in_turns(rounds, {**ways(), RELAY: up_through_us}),
               **at_least_2),
        Figure("TCP, 1 stream, down", "Gbit/s", in_turns(rounds, ways(down=True)), **at_least_2),
        Figure("TCP, 8 streams, up", "Gbit/s", in_turns(rounds, ways(streams=8)))]
    return figures + [Figure(f"CPU, {name}", "s/Gbit", {RELAY: values}) for name, values in spent.items()]


def _requests(place: places.Place, rounds: int, seconds: int) -> list[Figure]:
    def ways(*extra: str):
        return {RAW: lambda: load.wrk(place.client, place.raw, seconds, *extra),
                RELAY: lambda: load.wrk(place.client, FORWARDS, seconds, *extra)}

    return [Figure("HTTP, 50 connections", "req/s", in_turns(rounds, ways())),
            Figure("new flows (HTTP, connection: close)", "flows/s",
                   in_turns(rounds, ways("-H", "Connection: close")))]


def measure(quick: bool, say) -> list[Figure]:
    rounds, seconds, udp_seconds, uplinks = (2, 1, 2, 500) if quick else (5, 4, 8, 2000)
    with Laboratory() as lab:
        place = places.road(lab)
        system = System(place)
        load.serve(place, web=True)
        system.start("--max-uplinks-per-identity", "10000")  # idle_uplinks all have one
        system.agent("alice", FORWARDS, "--no-p2p")
        say("relay: TCP")
        figures = _throughput(place, system, rounds, seconds)
        say("relay: UDP")
        udp = load.round_trips(rounds, udp_seconds, place, {RAW: place.raw, RELAY: FORWARDS})
        udp[0].target, udp[0].reached = "added ≤ 250", lambda f: f.added(RELAY) <= 250
        udp[3].target, udp[3].reached = "0", lambda f: f.value(RELAY) == 0
        say("relay: HTTP")
        figures += udp + _requests(place, rounds, seconds)
        for name, daemon in (("Agent", system.agents["alice"]), ("Intermediate", system.intermediate),
                             ("Connector", system.connector)):
            figures.append(Figure(f"resident memory, {name}", "MiB", {RELAY: [memory_kib(daemon) / 1024]}))
        say(f"relay: {uplinks} idle uplinks")
        figures.append(Figure(f"an idle uplink at the Intermediate, {uplinks} of them", "KiB",
                              {RELAY: [idle_uplinks(system, uplinks)]}, "≤ 64",
                              lambda f: f.value(RELAY) <= 64))
    return figures
