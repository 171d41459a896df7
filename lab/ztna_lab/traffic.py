"""Traffic through the Agent's forwards, from the Agent's own host."""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import os
import socket
import struct
import threading
import time

from .content import digest
from .namespaces import Host, LabError


class _Connection(http.client.HTTPConnection):
    """From inside a host's namespace."""

    def __init__(self, host: Host, port: int, timeout: float, address: str):
        super().__init__(address, port, timeout=timeout)
        self.lab_host = host

    def connect(self):
        self.sock = self.lab_host.socket()
        self.sock.settimeout(self.timeout)
        self.sock.connect((self.host, self.port))


def get(host: Host, port: int, path: str = "/", timeout: float = 20,
        address: str = "127.0.0.1") -> bytes:
    connection = _Connection(host, port, timeout, address)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise LabError(f"HTTP {response.status} for {path}")
        return body
    except (OSError, http.client.HTTPException) as error:
        raise LabError(f"HTTP through {address}:{port} of {host.name}: {error!r}") from None
    finally:
        connection.close()


class Download:
    """In a thread of its own; `received` grows meanwhile."""

    def __init__(self, host: Host, port: int, size: int, timeout: float = 60,
                 address: str = "127.0.0.1"):
        self.size = size
        self.received = 0
        self.worst_gap = 0.0  # seconds between two reads that brought something
        self.error = ""
        self._sum = hashlib.sha256()
        self._connection = _Connection(host, port, timeout, address)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._connection.request("GET", f"/bytes/{self.size}")
            response = self._connection.getresponse()
            last = time.monotonic()
            while piece := response.read1(1 << 18):
                now = time.monotonic()
                self.worst_gap = max(self.worst_gap, now - last)
                last = now
                self.received += len(piece)
                self._sum.update(piece)
        except (OSError, http.client.HTTPException) as error:
            self.error = repr(error)
        finally:
            self._connection.close()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def result(self, timeout: float) -> str:
        """Empty when every byte is right; else what is wrong."""
        self._thread.join(timeout)
        if not self.done:
            return f"not done after {timeout:g} s: {self.received:,} of {self.size:,} bytes"
        if self.error:
            return f"{self.error} after {self.received:,} of {self.size:,} bytes"
        return "" if self._sum.hexdigest() == digest(self.size) else "SHA-256 differs"


def echo(host: Host, port: int, sizes: tuple[int, ...] = (1, 1200, 1472),
         timeout: float = 5) -> dict[int, bool]:
    """One datagram of each size: did it come back as it was? Up to three tries each, since UDP may
    lose."""
    sock = host.socket(socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", port))
    sock.settimeout(timeout / 3)
    came = {}
    for size in sizes:
        data = os.urandom(size)
        came[size] = False
        for _ in range(3):
            sock.send(data)
            try:
                while sock.recv(65536) != data:
                    pass
                came[size] = True
                break
            except (TimeoutError, ConnectionRefusedError):
                continue
    sock.close()
    return came


@dataclasses.dataclass
class GameReport:
    sent: int
    answered: int
    worst_gap: float     # seconds without any answer
    median_rtt: float    # seconds


class Game:
    """A steady stream of small datagrams, as a game client sends them, until stop()."""

    def __init__(self, host: Host, port: int, rate: float = 60):
        self._sock = host.socket(socket.SOCK_DGRAM)
        self._sock.connect(("127.0.0.1", port))
        self._gap = 1 / rate
        self._ending = threading.Event()
        self.sent = 0
        self.rtts: list[float] = []
        self._worst = 0.0
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        start = time.monotonic()
        self._last = start
        while not self._ending.is_set():
            due = start + self.sent * self._gap
            wait = due - time.monotonic()
            if wait > 0:
                self._sock.settimeout(wait)
                self._receive()
                continue
            self._sock.send(struct.pack("!Id", self.sent, time.monotonic()) + bytes(60))
            self.sent += 1
        self._sock.settimeout(0.5)
        while len(self.rtts) < self.sent and self._receive():
            pass

    def _receive(self) -> bool:
        try:
            data = self._sock.recv(2048)
        except (TimeoutError, ConnectionRefusedError, BlockingIOError):
            return False
        now = time.monotonic()
        self._worst = max(self._worst, now - self._last)
        self._last = now
        self.rtts.append(now - struct.unpack_from("!Id", data)[1])
        return True

    def stop(self) -> GameReport:
        self._ending.set()
        self._thread.join()
        self._sock.close()
        rtts = sorted(self.rtts)
        return GameReport(self.sent, len(rtts), max(self._worst, time.monotonic() - self._last
                                                    if not rtts else 0),
                          rtts[len(rtts) // 2] if rtts else float("inf"))
