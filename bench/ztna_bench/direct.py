"""What the direct path costs: client ── NAT ── Internet ── NAT ── server, against a port that the
server's router forwards."""

from __future__ import annotations

from ztna_lab.namespaces import Laboratory, LabError, wait_for

from . import load, places
from .figures import RAW, Figure, in_turns
from .system import System, path

DIRECT, RELAY = "direct", "relay"
WAYS = {RAW: "raw path", DIRECT: "direct", RELAY: "over the relay"}
# Forwards of two Agents, of which one may not leave the relay.
ADDRESSES = {DIRECT: "127.0.0.1", RELAY: "127.0.0.2"}


def start(place: places.Place) -> System:
    """The system, with both Agents' sessions where they are to be measured."""
    system = System(place)
    system.start()
    direct = system.agent(DIRECT, ADDRESSES[DIRECT])
    relayed = system.agent(RELAY, ADDRESSES[RELAY], "--no-p2p")
    for address in ADDRESSES.values():
        load.udp(place.client, address, 1)
    wait_for(lambda: path(direct) == "direct", "the direct path")
    if path(relayed) != "relay":
        raise LabError("the Agent with --no-p2p is not on the relay")
    return system


def moves(system: System) -> Figure:
    """Of each session since it got where it is measured: a figure of a path is one of that path alone."""
    counted = {}
    for way, agent in system.agents.items():
        session = agent.session_with("home")
        if session.get("path", "").lower() != way:
            raise LabError(f"the session to be measured on the {way} path ended on {session.get('path')}")
        counted[way] = [len(session["switches"]) - (way == DIRECT)]
    return Figure("moves to another path meanwhile", "moves", counted, "0",
                  lambda f: not any(f.value(way) for way in counted))


def measure(quick: bool, say) -> list[Figure]:
    rounds, seconds, udp_seconds = (2, 1, 2) if quick else (5, 4, 8)
    with Laboratory() as lab:
        place = places.homes(lab)
        load.serve(place)
        system = start(place)
        addresses = {RAW: place.raw, **ADDRESSES}

        def ways(**options):
            return {way: (lambda a=address: load.iperf(place.client, a, seconds, **options))
                    for way, address in addresses.items()}

        say("direct: TCP")
        figures = [Figure("TCP, 1 stream, up", "Gbit/s", in_turns(rounds, ways()), "≥ 4 direct",
                          lambda f: f.value(DIRECT) >= 4),
                   Figure("TCP, 1 stream, down", "Gbit/s", in_turns(rounds, ways(down=True)), "≥ 4 direct",
                          lambda f: f.value(DIRECT) >= 4)]
        say("direct: UDP")
        udp = load.round_trips(rounds, udp_seconds, place, addresses)
        udp[0].target, udp[0].reached = "direct adds ≤ 150", lambda f: f.added(DIRECT) <= 150
        udp[1].target, udp[1].reached = "direct adds ≤ 1000", lambda f: f.added(DIRECT) <= 1000
        return [*figures, *udp, moves(system)]
