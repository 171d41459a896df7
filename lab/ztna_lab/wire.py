"""What a cable would show: network cards' short cuts, switched off."""

from __future__ import annotations

import array
import fcntl
import socket
import struct

from .namespaces import Host

# From linux/ethtool.h and linux/sockios.h.
_SIOCETHTOOL = 0x8946
_SET = {"tx-checksum": 0x17, "scatter-gather": 0x19, "tso": 0x1F, "gso": 0x24, "gro": 0x2C}


def offloads_off(host: Host, interface: str):
    """Frames leave as they would on a cable: one packet each, with its checksum."""
    control = host.socket(socket.SOCK_DGRAM)
    for command in _SET.values():
        value = array.array("B", struct.pack("II", command, 0))
        request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
        fcntl.ioctl(control, _SIOCETHTOOL, request)
    control.close()
