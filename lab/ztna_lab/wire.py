"""A line with the faults of the Internet: delay, jitter, loss, rate and queue, in each direction.

A namespace of its own stands in the cable, and ztna-lab-wan carries the frames through it.
"""

from __future__ import annotations

import array
import dataclasses
import fcntl
import socket
import struct

from .namespaces import Host, Laboratory
from .programs import program

# From linux/ethtool.h and linux/sockios.h.
_SIOCETHTOOL = 0x8946
_SET = {"tx-checksum": 0x17, "scatter-gather": 0x19, "tso": 0x1F, "gso": 0x24, "gro": 0x2C}


@dataclasses.dataclass(frozen=True)
class Conditions:
    """Of each direction."""

    delay_ms: float = 0
    jitter_ms: float = 0  # added, uniform in 0…jitter; packets keep their order
    loss_percent: float = 0
    rate_mbit: float = 0  # 0: as fast as it goes
    queue_kib: int = 256  # in front of the rate
    seed: int = 1

    @property
    def flags(self) -> list[str]:
        return ["--delay", str(self.delay_ms), "--jitter", str(self.jitter_ms),
                "--loss", str(self.loss_percent), "--rate", str(self.rate_mbit),
                "--queue", str(self.queue_kib), "--seed", str(self.seed)]

    @property
    def by_packet(self) -> bool:
        """Does a frame have to be one packet, so that what happens to it happens to packets?"""
        return self.loss_percent > 0 or self.rate_mbit > 0


def join(lab: Laboratory, name: str, a: tuple[Host, str], b: tuple[Host, str],
         conditions: Conditions):
    middle = lab.host(name)
    lab.link(a[0], a[1], middle, "left")
    lab.link(b[0], b[1], middle, "right")
    if conditions.by_packet:
        for host, interface in (a, b):
            offloads_off(host, interface)
    forwarder = middle.spawn(name, program("ztna-lab-wan"), "left", "right", *conditions.flags)
    forwarder.wait_log("forwarding")


def offloads_off(host: Host, interface: str):
    """Frames leave as they would on a cable: one packet each, with its checksum."""
    control = host.socket(socket.SOCK_DGRAM)
    for command in _SET.values():
        value = array.array("B", struct.pack("II", command, 0))
        request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
        fcntl.ioctl(control, _SIOCETHTOOL, request)
    control.close()
