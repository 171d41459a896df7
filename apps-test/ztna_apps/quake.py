"""The words of a Quake 3 server that belong to no connection: a question and its answer are one
datagram each, behind four octets of ones."""

from __future__ import annotations

import dataclasses
import re
import socket

from ztna_lab.namespaces import Host

OUT_OF_BAND = b"\xff\xff\xff\xff"
_PLAYER = re.compile(r'(-?\d+) (\d+) "(.*)"')


@dataclasses.dataclass(frozen=True)
class Player:
    name: str
    ping: int  # ms, as the score board has it; 999 while joining
    score: int


@dataclasses.dataclass(frozen=True)
class Status:
    variables: dict[str, str]
    players: list[Player]

    def player(self, name: str) -> Player | None:
        return next((player for player in self.players if player.name == name), None)


def parse_status(answer: bytes) -> Status:
    head, variables, *players = answer.decode("latin-1").split("\n")
    if head != "\xff\xff\xff\xffstatusResponse":
        raise ValueError(f"not the answer to getstatus: {head!r}")
    fields = variables.split("\\")[1:]
    found = [_PLAYER.fullmatch(line) for line in players if line.strip("\0")]
    if None in found:
        raise ValueError(f"a player that cannot be read: {players!r}")
    return Status(dict(zip(fields[::2], fields[1::2])),
                  [Player(f[3], int(f[2]), int(f[1])) for f in found])


def ask(host: Host, address: str, port: int, question: bytes = b"getstatus",
        patience: float = 1.0) -> bytes | None:
    """From a new socket: a server answers a port once in a while only. At most one every 1.2 s."""
    with host.socket(socket.SOCK_DGRAM) as asking:
        asking.settimeout(patience)
        try:
            asking.connect((address, port))
            asking.send(OUT_OF_BAND + question + b"\n")
            return asking.recv(65536)
        except OSError:
            return None


def status(host: Host, address: str, port: int) -> Status | None:
    answer = ask(host, address, port)
    return parse_status(answer) if answer else None
