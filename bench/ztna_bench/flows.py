"""Flows that notice every gap and every loss: a UDP stream, and a download."""

from __future__ import annotations

import dataclasses
import http.client
import socket
import struct
import threading
import time

from ztna_lab import content
from ztna_lab.namespaces import Host, LabError

_NUMBER = struct.Struct("!I")


@dataclasses.dataclass(frozen=True)
class Gap:
    """The worst one between two arrivals, in seconds of time.monotonic()."""

    begin: float
    end: float

    @property
    def length(self) -> float:
        return self.end - self.begin


def worst_gap(arrivals: list[float], since: float, until: float) -> Gap:
    """Among those that reach into the time from `since` to `until`."""
    marks = [at for at in sorted(arrivals) if at < until] + [until]
    gaps = [Gap(a, b) for a, b in zip(marks, marks[1:]) if b > since]
    if not gaps:
        raise LabError("nothing arrived")
    return max(gaps, key=lambda gap: gap.length)


class Stream:
    """Small datagrams at a steady rate to an echo, until stop(). `sent` and `came`: number to time."""

    def __init__(self, host: Host, address: str, port: int, rate: float):
        self._socket = host.socket(socket.SOCK_DGRAM)
        self._socket.connect((address, port))
        self._interval = 1 / rate
        self._ending = threading.Event()
        self.sent: list[float] = []
        self.came: dict[int, float] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        start = time.monotonic()
        while not self._ending.is_set():
            wait = start + len(self.sent) * self._interval - time.monotonic()
            if wait > 0:
                self._receive(wait)
                continue
            self.sent.append(time.monotonic())
            try:
                self._socket.send(_NUMBER.pack(len(self.sent) - 1) + bytes(96))
            except OSError:  # nobody there, as ICMP says: lost
                pass
        end = time.monotonic() + 1
        while len(self.came) < len(self.sent) and time.monotonic() < end:
            self._receive(0.1)

    def _receive(self, patience: float):
        self._socket.settimeout(patience)
        try:
            number, = _NUMBER.unpack_from(self._socket.recv(2048))
        except OSError:
            return
        self.came.setdefault(number, time.monotonic())

    def stop(self):
        self._ending.set()
        self._thread.join()
        self._socket.close()

    def gap(self, since: float) -> Gap:
        return worst_gap(list(self.came.values()), since, self.sent[-1])

    def lost(self) -> list[int]:
        return [number for number in range(len(self.sent)) if number not in self.came]

    def lost_outside(self, gap: Gap) -> int:
        """Datagrams that are missing although they were not sent while nothing came: before the one
        whose answer was the last before the gap, or after the first answered in its end."""
        last = max((n for n, at in self.came.items() if at <= gap.begin), default=-1)
        first = min((n for n, at in self.came.items() if at >= gap.end), default=len(self.sent))
        return sum(not last < number < first for number in self.lost())


class Drain:
    """A download without end, until stop(); each octet is compared with what it must be."""

    SIZE = 1 << 40

    def __init__(self, host: Host, port: int):
        self.arrivals: list[float] = []
        self.received = 0
        self.error = ""
        self.ended = float("inf")
        self._ending = threading.Event()
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._connection.sock = host.socket()
        self._connection.sock.settimeout(30)
        self._connection.sock.connect(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._connection.request("GET", f"/bytes/{self.SIZE}")
            response = self._connection.getresponse()
            expected, rest = content.blocks(self.SIZE), memoryview(b"")
            while not self._ending.is_set():
                piece = memoryview(response.read1(1 << 18))
                if not piece:
                    raise LabError("the download ended early")
                self.arrivals.append(time.monotonic())
                self.received += len(piece)
                while piece:
                    rest = rest or memoryview(next(expected))
                    size = min(len(piece), len(rest))
                    if piece[:size] != rest[:size]:
                        raise LabError(f"octets differ before octet {self.received:,}")
                    piece, rest = piece[size:], rest[size:]
        except Exception as problem:  # of whatever kind: the thread that asks must hear of it
            self.error = repr(problem)
        finally:
            self._connection.close()

    def stop(self):
        self.ended = time.monotonic()
        self._ending.set()
        self._thread.join(30)
        if self.error or self._thread.is_alive():
            raise LabError(f"download: {self.error or 'it does not go on'}")

    def gap(self, since: float) -> Gap:
        return worst_gap(list(self.arrivals), since, min(self.ended, time.monotonic()))
