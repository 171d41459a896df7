"""Samples of several ways, taken in turns; their medians, ratios, and what was to be reached."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

RAW = "raw"


def in_turns(rounds: int, ways: dict[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Each way once, then each once more: what else the machine does meets all of them."""
    taken: dict[str, list[T]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, measure in ways.items():
            taken[name].append(measure())
    return taken


def quantile(values: Iterable[float], q: float) -> float:
    """The smallest value that at least the share q does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-q * len(ordered) // 1) - 1))]


@dataclasses.dataclass
class Figure:
    """One line of a table. `samples`: way to one value a round."""

    name: str
    unit: str
    samples: dict[str, list[float]]
    target: str = ""
    reached: Callable[[Figure], bool] | None = None
    summary: Callable[[list[float]], float] = statistics.median

    def value(self, way: str) -> float:
        return self.summary(self.samples[way])

    def ratio(self, way: str, to: str = RAW) -> float | None:
        """The median of the rounds' own ratios; nothing where there is nothing to compare with."""
        pairs = list(zip(self.samples[way], self.samples.get(to, [])))
        if not pairs or any(not below for _, below in pairs):
            return None
        return statistics.median(above / below for above, below in pairs)

    def added(self, way: str) -> float:
        """The median of the rounds' own differences to the raw path."""
        return statistics.median(a - b for a, b in zip(self.samples[way], self.samples[RAW]))

    @property
    def verdict(self) -> str:
        """Empty without a target."""
        return "" if self.reached is None else "yes" if self.reached(self) else "no"
