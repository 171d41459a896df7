"""tcpdump on a host's interface, and what went over it."""

from __future__ import annotations

import dataclasses
import itertools
import re
import signal
import struct
from collections.abc import Callable

from . import wire
from .namespaces import Host, LabError, need, wait_for

# Ethernet, IPv4 without options, UDP, and the first 8 octets of the payload: enough to tell STUN.
_SNAP = 14 + 20 + 8 + 8
_MAGIC_COOKIE = bytes.fromhex("2112a442")  # RFC 8489 §5
_UDP = 17
# What tcpdump says to SIGUSR1 and at its end; on one line, or on three.
_TALLY = re.compile(r"(\d+) packets? captured,?\s+(\d+) packets? received by filter,?\s+"
                    r"(\d+) packets? dropped by kernel")


@dataclasses.dataclass(frozen=True)
class Datagram:
    source: str
    source_port: int
    target: str
    target_port: int
    size: int  # of the UDP payload
    stun: bool
    at: float = 0.0   # seconds since 1970
    head: bytes = b""  # the payload's first octets

    def between(self, a: str, b: str) -> bool:
        return {self.source, self.target} == {a, b}


@dataclasses.dataclass(frozen=True)
class Count:
    packets: int
    octets: int


def count(datagrams: list[Datagram], which: Callable[[Datagram], bool]) -> Count:
    chosen = [d.size for d in datagrams if which(d)]
    return Count(len(chosen), sum(chosen))


_numbers = itertools.count(1)


class Capture:
    """IPv4 and UDP, both directions, from its making to stop()."""

    def __init__(self, host: Host, interface: str = "eth0"):
        # One frame for one datagram, not one for a batch that is cut up later.
        if interface != "lo":
            wire.offloads_off(host, interface)
        # The loopback interface shows a packet when it leaves and when it arrives; tcpdump keeps one.
        self._sights = 2 if interface == "lo" else 1
        name = f"tcpdump-{host.name}-{next(_numbers)}"
        self._file = host.lab.folder / f"{name}.pcap"
        self._process = host.spawn(
            name, need("tcpdump", "tcpdump"), "-i", interface, "-Z", "root", "-U",
            "--immediate-mode", "-n", "-B", "32768", "-s", str(_SNAP), "-w", str(self._file),
            "ip and udp")
        self._process.wait_log("listening on")

    def stop(self) -> list[Datagram]:
        # A tcpdump that is told to end leaves what it has not read yet: on a busy machine, the last
        # hundreds of packets. What comes after it has read everything is after the end.
        wait_for(self._all_read, lambda: f"tcpdump to keep up: {self._process.log()}")
        self._process.stop(number=signal.SIGINT)
        _, _, dropped = self._tallies()[-1]
        if dropped:
            raise LabError(f"tcpdump lost packets: {self._process.log()}")
        return parse(self._file.read_bytes())

    def _all_read(self) -> bool:
        before = len(self._tallies())
        self._process.child.send_signal(signal.SIGUSR1)
        wait_for(lambda: len(self._tallies()) > before, "tcpdump's figures (SIGUSR1)")
        captured, received, _ = self._tallies()[-1]
        return self._sights * captured == received

    def _tallies(self) -> list[tuple[int, ...]]:
        return [tuple(map(int, found)) for found in _TALLY.findall(self._process.log())]


def parse(data: bytes) -> list[Datagram]:
    """A pcap file of Ethernet frames, as tcpdump of this machine writes it (little endian)."""
    if len(data) < 24 or data[:4] not in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"):
        raise LabError("not a pcap file")
    fraction = 1e-9 if data[:1] == b"\x4d" else 1e-6
    found, at = [], 24
    while at + 16 <= len(data):
        seconds, rest, kept = struct.unpack_from("<III", data, at)
        datagram = _parse_frame(data[at + 16:at + 16 + kept], seconds + fraction * rest)
        if datagram:
            found.append(datagram)
        at += 16 + kept
    return found


def _parse_frame(frame: bytes, at: float) -> Datagram | None:
    if len(frame) < 42 or frame[12:14] != b"\x08\x00" or frame[23] != _UDP:
        return None
    header = 4 * (frame[14] & 15)
    source, target = (".".join(map(str, frame[at:at + 4])) for at in (26, 30))
    udp = frame[14 + header:]
    source_port, target_port, length = struct.unpack_from("!HHH", udp)
    stun = len(udp) >= 16 and udp[8] < 4 and udp[12:16] == _MAGIC_COOKIE
    return Datagram(source, source_port, target, target_port, length - 8, stun, at, udp[8:16])
