"""A line with delay, jitter, loss and a rate, between two interfaces of its host: each frame that
comes in at one goes out at the other, later or never. The kernel's own emulator (netem) is not
everywhere; this needs packet sockets only.

    python3 line.py LINE NEAR FAR     runs until it is stopped; prints "forwarding" when it does

Frames never overtake each other. What does not fit into the queue in front of the rate is lost.
"""

from __future__ import annotations

import collections
import dataclasses
import random
import selectors
import socket
import sys
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4
FRAME = 65536


@dataclasses.dataclass(frozen=True)
class Line:
    """One direction; the other is the same."""

    delay: float = 0.0   # ms
    jitter: float = 0.0  # ms: each frame takes up to so much longer
    loss: float = 0.0    # percent
    rate: float = 0.0    # Mbit/s; 0: no limit
    queue: float = 50.0  # ms of the rate that may wait

    @staticmethod
    def parse(text: str) -> Line:
        """"delay=20,jitter=5,loss=1,rate=20"."""
        names = [field.name for field in dataclasses.fields(Line)]
        values = {}
        for part in filter(None, text.split(",")):
            name, _, value = part.partition("=")
            try:
                values[name] = float(value)
            except ValueError:
                values[name] = -1.0
            if name not in names or not 0 <= values[name] < float("inf"):
                raise ValueError(f"{part!r} is no property of a line: {', '.join(names)}, "
                                 "as in delay=20,jitter=5,loss=1,rate=20")
            if name == "loss" and values[name] > 100:
                raise ValueError(f"{part!r}: loss is 0 to 100 percent")
        return Line(**values)

    def __str__(self) -> str:
        return ",".join(f"{name}={value:g}" for name, value in dataclasses.asdict(self).items())


class Direction:
    """What is on its way, without I/O: frames and `now` in seconds come in, frames come out."""

    def __init__(self, line: Line, chance: random.Random):
        self._line = line
        self._chance = chance
        self._waiting: collections.deque[tuple[float, bytes]] = collections.deque()
        self._free = 0.0  # the rate has sent all that came before

    def enter(self, frame: bytes, now: float):
        line, start = self._line, max(now, self._free)
        if self._chance.random() * 100 < line.loss or (start - now) * 1000 > line.queue:
            return
        if line.rate:
            self._free = start = start + len(frame) * 8 / (line.rate * 1e6)
        arrives = start + (line.delay + self._chance.random() * line.jitter) / 1000
        self._waiting.append((arrives, frame))

    def leave(self, now: float) -> bytes | None:
        return self._waiting.popleft()[1] if self._waiting and self._waiting[0][0] <= now else None

    def next_arrival(self) -> float:
        """Of the frame in front; those behind it wait for it."""
        return self._waiting[0][0] if self._waiting else float("inf")


def _open(interface: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.bind((interface, ETH_P_ALL))
    sock.setblocking(False)
    return sock


def _read(sock: socket.socket, into: Direction):
    while True:
        try:
            frame, (_, _, kind, *_) = sock.recvfrom(FRAME)
        except BlockingIOError:
            return
        if kind != PACKET_OUTGOING:
            into.enter(frame, time.monotonic())


def _write(sock: socket.socket, of: Direction):
    while (frame := of.leave(time.monotonic())) is not None:
        try:
            sock.send(frame)
        except OSError:  # the cable is out, or its queue full: such a frame is lost
            pass


def forward(line: Line, near: str, far: str):
    chance = random.Random()
    ends = [_open(near), _open(far)]
    ways = [(ends[0], ends[1], Direction(line, chance)), (ends[1], ends[0], Direction(line, chance))]
    selector = selectors.DefaultSelector()
    for source, _, way in ways:
        selector.register(source, selectors.EVENT_READ, way)
    print("forwarding", flush=True)
    while True:
        due = min(way.next_arrival() for _, _, way in ways)
        wait = None if due == float("inf") else max(0.0, due - time.monotonic())
        for key, _ in selector.select(wait):
            _read(key.fileobj, key.data)
        for _, target, way in ways:
            _write(target, way)


if __name__ == "__main__":
    forward(Line.parse(sys.argv[1]), sys.argv[2], sys.argv[3])
