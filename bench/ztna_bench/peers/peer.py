"""What each of the peers is to this bench."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ..places import Homes


@dataclasses.dataclass(frozen=True)
class Relaying:
    """What can be measured of a way that goes, or can go, over a relay."""

    # Forgets all sessions, so that the next packet has to set one up.
    restart: Callable[[], None] | None = None
    # Returns when it is on the direct path, which it may have left under load.
    wait_direct: Callable[[], None] | None = None
    # Its own UDP between the homes is forbidden, and permitted again.
    forbid: Callable[[], None] | None = None
    permit: Callable[[], None] | None = None


@dataclasses.dataclass(frozen=True)
class Way:
    """One line of the table."""

    name: str
    address: str  # where the client finds the server's ports
    relaying: Relaying = Relaying()


class Peer:
    """Started once, and then idle while others are measured."""

    # Program to the package that brings it, as apt-get takes it.
    programs: dict[str, str] = {}
    # UDP ports that the server's router must hand on. What punches needs none.
    udp_forwards: tuple[int, ...] = ()

    def start(self, place: Homes) -> list[Way]:
        """Returns when each way carries packets."""
        raise NotImplementedError
