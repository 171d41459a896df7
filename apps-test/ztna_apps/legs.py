"""Packets of a game, seen in the clear at both ends of the path: before the Agent on the client's host,
behind the Connector on the server's. Both hosts have this machine's clock, so the time between the two
is the transit of each packet, in each direction.

A packet of a connection begins with its number (Quake 3: 32 bits, little endian, the highest of them
set in the parts of a split one). What the server numbers are snapshots: the state of the game, 20 times
a second.
"""

from __future__ import annotations

import dataclasses
import statistics
import struct
from collections.abc import Iterable

from ztna_bench.figures import quantile
from ztna_lab.capture import Datagram

from .quake import OUT_OF_BAND

_PART = 1 << 31
# A packet that is on its way when the capture ends is not lost.
LATE = 1.0


def number_of(datagram: Datagram) -> int | None:
    if len(datagram.head) < 4 or datagram.head[:4] == OUT_OF_BAND:
        return None
    return struct.unpack_from("<I", datagram.head)[0] & ~_PART


def _key(datagram: Datagram) -> bytes:
    """The number, and for a part of a packet also what else its head holds: where it begins."""
    number, = struct.unpack_from("<I", datagram.head)
    return datagram.head if number & _PART else datagram.head[:4]


@dataclasses.dataclass
class Leg:
    """One direction. Times are seconds since 1970."""

    sent: dict[bytes, float]
    came: dict[bytes, float]

    @property
    def transits(self) -> list[tuple[float, float]]:
        """(when it came, how long it took)."""
        return [(self.came[key], self.came[key] - at) for key, at in self.sent.items() if key in self.came]

    @property
    def lost(self) -> list[float]:
        """When those were sent that never came."""
        return [at for key, at in self.sent.items() if key not in self.came]

    @property
    def jitter(self) -> float:
        """The mean difference between the transits of one packet and the next (RFC 3550's D)."""
        times = [took for _, took in sorted(self.transits)]
        return statistics.fmean(abs(b - a) for a, b in zip(times, times[1:])) if len(times) > 1 else 0.0


def leg(sender: Iterable[Datagram], receiver: Iterable[Datagram], begin: float, end: float,
        which) -> Leg:
    """Of packets sent between `begin` and `end`. `which` tells this direction's."""
    sent = {_key(d): d.at for d in sender if which(d) and begin <= d.at <= end and number_of(d) is not None}
    came = {_key(d): d.at for d in receiver if which(d) and number_of(d) is not None}
    return Leg(sent, {key: at for key, at in came.items() if key in sent})


@dataclasses.dataclass
class Sight:
    """Both directions."""

    up: Leg
    down: Leg
    snapshots: list[float]   # when the client had each of them, all its parts
    departures: list[float]  # when the server sent them
    begin: float
    end: float

    @property
    def pings(self) -> list[tuple[float, float]]:
        """(when, seconds): the transit of a snapshot and of the client's last packet before it."""
        ups, found, at = sorted(self.up.transits), [], 0
        for came, took in sorted(self.down.transits):
            while at + 1 < len(ups) and ups[at + 1][0] <= came:
                at += 1
            if ups and ups[at][0] <= came:
                found.append((came, took + ups[at][1]))
        return found

    @property
    def jitter(self) -> float:
        return max(self.up.jitter, self.down.jitter)

    @property
    def packets(self) -> int:
        return len(self.up.sent) + len(self.down.sent)

    @property
    def lost(self) -> list[float]:
        return sorted(self.up.lost + self.down.lost)

    @property
    def loss(self) -> float:
        """Percent."""
        return 100 * len(self.lost) / self.packets

    @property
    def worst_gap(self) -> float:
        """Seconds without a snapshot."""
        return max(_intervals([self.begin, *self.snapshots, self.end]))


def _intervals(times: list[float]) -> list[float]:
    return [b - a for a, b in zip(times, times[1:])]


def _complete(datagrams: Iterable[Datagram], which, begin: float, end: float) -> list[float]:
    """When the last part of each numbered packet was seen."""
    seen: dict[int, float] = {}
    for datagram in datagrams:
        number = number_of(datagram) if which(datagram) else None
        if number is not None:
            seen[number] = datagram.at
    return sorted(at for at in seen.values() if begin <= at <= end)


def sight(at_client: list[Datagram], at_server: list[Datagram], port: int, begin: float,
          end: float) -> Sight:
    """`begin` and `end`: both captures were running."""
    def up(datagram: Datagram) -> bool:
        return datagram.target_port == port

    def down(datagram: Datagram) -> bool:
        return datagram.source_port == port

    last = end - LATE
    return Sight(leg(at_client, at_server, begin, last, up), leg(at_server, at_client, begin, last, down),
                 _complete(at_client, down, begin, end), _complete(at_server, down, begin, end), begin, end)


def spread(times: list[float]) -> dict[str, float]:
    """p50, p95 and p99 of the intervals, in ms."""
    gaps = _intervals(times)
    return {f"p{round(100 * q)}": 1000 * quantile(gaps, q) for q in (0.5, 0.95, 0.99)}


def connections(at_client: list[Datagram], port: int) -> int:
    """How many times the client asked to connect: its words outside of a connection."""
    return sum(d.target_port == port and d.head == OUT_OF_BAND + b"conn" for d in at_client)
