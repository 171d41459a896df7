"""How good a path is to play on."""

from __future__ import annotations

# Grade: ping in ms, jitter in ms and loss in percent are less than that. Excellent loses nothing.
LIMITS = (("Excellent", 40, 5, 0), ("Good", 80, 15, 1), ("Acceptable", 150, 30, 3))
POOR = "Poor"
_ORDER = [name for name, *_ in LIMITS] + [POOR]


def grade(ping: float, jitter: float, loss: float) -> str:
    for name, most_ping, most_jitter, most_loss in LIMITS:
        if ping < most_ping and jitter < most_jitter and (loss == 0 or loss < most_loss):
            return name
    return POOR


def at_least(found: str, wanted: str) -> bool:
    return _ORDER.index(found) <= _ORDER.index(wanted)
