"""Which pairs of NATs can be punched. From RFC 4787 alone: it knows nothing of our programs.

Both sides learn the peer's reflexive address (what the Intermediate sees) and send to it. A packet
X → Y comes through Y's NAT when its destination is a mapping that Y really uses towards X, which
needs endpoint-independent mapping at Y (REQ-1), and when Y's filter admits its source (REQ-8):
always; or because Y sent to that address; or because Y sent to that very port, which is right only
when X's mapping is the one that the Intermediate saw. One packet that comes through is enough: the
answer goes back the same way.
"""

from __future__ import annotations

import dataclasses

DIRECT = "direct"
RELAY = "relay"
NONE = "none"      # not even an uplink
EITHER = "either"  # a race that nobody can promise to win

_STRICTNESS = ("independent", "address", "port")


@dataclasses.dataclass(frozen=True)
class Behaviour:
    mapping: str    # independent, dependent
    filtering: str  # independent, address, port


PUBLIC = Behaviour("independent", "independent")
FIREWALLED = Behaviour("independent", "port")  # no NAT, but a stateful firewall: IPv6 at home


def chain(behaviours: list[Behaviour]) -> Behaviour:
    """Of NATs behind NATs: each mapping must be independent, and the strictest filter decides."""
    if not behaviours:
        return PUBLIC
    mapping = "dependent" if any(b.mapping == "dependent" for b in behaviours) else "independent"
    return Behaviour(mapping, max((b.filtering for b in behaviours), key=_STRICTNESS.index))


def comes_through(source: Behaviour, target: Behaviour) -> bool:
    if target.mapping != "independent":
        return False
    return target.filtering != "port" or source.mapping == "independent"


def path(a: Behaviour, b: Behaviour) -> str:
    return DIRECT if comes_through(a, b) or comes_through(b, a) else RELAY
