"""One table: TCP, round trips, and of those that relay the first packet and the failover."""

from __future__ import annotations

import time

from ztna_lab.namespaces import Laboratory, LabError, need, wait_for

from .. import flows, load, places
from ..figures import RAW, Figure, in_turns
from ..tables import number
from .nebula import Nebula
from .openvpn import OpenVpn
from .ours import Ours
from .peer import Peer, Way
from .wireguard import WireGuard

REFERENCE = "wireguard-go"
DIRECT = "ztna, direct"
FIRST_RATE = 100  # datagrams a second while nothing answers yet
PATIENCE = 60.0   # with a failover


def peers() -> list[Peer]:
    return [Ours(), WireGuard(), Nebula(), OpenVpn()]


def missing_packages() -> list[str]:
    packages = []
    for program, package in (item for peer in peers() for item in peer.programs.items()):
        try:
            need(program, package)
        except LabError:
            packages.append(package)
    return sorted(set(packages))


def first_answer(place: places.Homes, way: Way) -> tuple[float, int]:
    """(ms from the first datagram to the first answer, datagrams lost until then)."""
    way.relaying.restart()
    stream = flows.Stream(place.client, way.address, places.GAME, FIRST_RATE)
    try:
        wait_for(lambda: stream.came, f"the first answer by {way.name}", PATIENCE)
        time.sleep(0.5)  # some may come late
    finally:
        stream.stop()
    first = min(stream.came.values())
    lost = sum(stream.sent[number] < first for number in stream.lost())
    return 1000 * (first - stream.sent[0]), lost


def failover(place: places.Homes, way: Way) -> tuple[float, int]:
    """(ms of the worst gap when the direct path swallows everything, datagrams lost)."""
    stream = flows.Stream(place.client, way.address, places.GAME, load.GAME_RATE)
    try:
        way.relaying.wait_direct()
        time.sleep(1)
        way.relaying.forbid()
        at = time.monotonic()

        def answered_since():
            return any(stream.sent[number] > at + 0.05 for number in list(stream.came)[-50:])

        wait_for(answered_since, f"{way.name} to fail over", PATIENCE)
        time.sleep(1)
    finally:
        stream.stop()
        way.relaying.permit()
    return 1000 * stream.gap(at).length, len(stream.lost())


def _in_turns(rounds: int, place: places.Homes, ways: list[Way], measure,
              name: str) -> tuple[Figure, Figure]:
    taken = in_turns(rounds, {way.name: (lambda w=way: measure(place, w)) for way in ways})
    return (Figure(name, "ms", {way: [ms for ms, _ in pairs] for way, pairs in taken.items()}),
            Figure(f"{name}, lost", "packets", {way: [n for _, n in pairs] for way, pairs in taken.items()}))


def measure(quick: bool, say) -> list[Figure]:
    """Everything is up all the time; who is not measured is idle."""
    rounds, seconds, udp_seconds = (1, 1, 2) if quick else (5, 4, 5)
    with Laboratory() as lab:
        all_peers = peers()
        place = places.homes(lab, tuple(port for peer in all_peers for port in peer.udp_forwards))
        place.separate_tunnels()
        load.serve(place)
        ways = [Way(RAW, place.raw)]
        for peer in all_peers:
            say(f"peers: {type(peer).__name__} is set up")
            ways += peer.start(place)
        say("peers: TCP")
        tcp = in_turns(rounds, {w.name: (lambda a=w.address: load.iperf(place.client, a, seconds))
                                for w in ways})
        say("peers: round trips")
        udp = in_turns(rounds, {w.name: (lambda a=w.address: load.udp(place.client, a, udp_seconds))
                                for w in ways})
        figures = [Figure("TCP, 1 stream", "Gbit/s", tcp, f"≥ 4 and ≥ 1.3 × {REFERENCE}",
                          lambda f: f.value(DIRECT) >= 4 and f.ratio(DIRECT, REFERENCE) >= 1.3)]
        figures += [Figure(f"RTT {q}", "µs", {name: [each[f"{q}_us"] for each in all_of]
                                              for name, all_of in udp.items()}) for q in ("p50", "p99")]
        say("peers: first packets over the relay")
        figures += _in_turns(rounds, place, [w for w in ways if w.relaying.restart], first_answer,
                             "first answer")
        say("peers: failover to the relay")
        figures += _in_turns(rounds, place, [w for w in ways if w.relaying.forbid], failover, "failover gap")
    return figures


def table(figures: list[Figure]) -> str:
    """A line for each way."""
    tcp, p50, p99, first, first_lost, gap, gap_lost = figures
    lines = [f"| | {tcp.name} (Gbit/s) | / {REFERENCE} | RTT p50 (µs) | p99 (µs) "
             "| first answer over the relay | direct path cut, gap |", "|" + "---|" * 7]

    def with_losses(figure: Figure, lost: Figure, way: str) -> str:
        if way not in figure.samples:
            return ""
        return f"{number(figure.value(way))} ms, {number(lost.value(way))} lost"

    for way in tcp.samples:
        ratio = tcp.ratio(way, REFERENCE)
        lines.append(f"| {'raw path' if way == RAW else way} | {number(tcp.value(way))} "
                     f"| {'' if ratio is None else f'{ratio:.2f}'} | {number(p50.value(way))} "
                     f"| {number(p99.value(way))} | {with_losses(first, first_lost, way)} "
                     f"| {with_losses(gap, gap_lost, way)} |")
    lines.append(f"\nTo reach, {DIRECT}: {tcp.target} Gbit/s. Reached: {tcp.verdict}.")
    return "\n".join(lines)
