"""Games as a picture (SVG), complete in one file: ping over time, one strip a game."""

from __future__ import annotations

import statistics
from html import escape

from .plays import Play

LEFT, WIDTH, RIGHT, TOP = 60, 760, 90, 60
STRIP, GAP = 90, 44
MOST = 160.0  # ms; what is more sticks to the strip's upper edge
BIN = 0.25    # seconds
# The grades' limits, and how the strip below them is coloured.
BANDS = ((0, 40, "#e3f4e8", "Excellent"), (40, 80, "#f0f6dc", "Good"), (80, 150, "#fdf0d5", "Acceptable"),
         (150, MOST, "#fbe0de", ""))
INK, SOFT, LINE, RANGE, LOST = "#1d2330", "#5a6372", "#2456a6", "#9db8df", "#d43f3a"


def svg(plays: list[Play]) -> str:
    height = TOP + len(plays) * (STRIP + GAP) + 10
    width = LEFT + WIDTH + RIGHT
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
             f'height="{height}" font-family="system-ui, sans-serif" font-size="12" role="img" '
             'aria-label="Ping of a game over time">',
             f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
             _text(LEFT, 22, "Ping of a game’s packets over time", INK, 'font-size="15" font-weight="600"'),
             _text(LEFT, 40, f"line: median of {1000 * BIN:g} ms; shade: least to most; red: lost packets; "
                   "ground: the grades’ limits for ping", SOFT)]
    for index, played in enumerate(plays):
        parts += _strip(played, TOP + index * (STRIP + GAP) + 16)
    return "\n".join(parts) + "\n</svg>\n"


def _text(x: float, y: float, text: str, colour: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="{colour}" {more}>{escape(text)}</text>'


def _strip(played: Play, top: float) -> list[str]:
    begin, length = played.sight.begin, played.sight.end - played.sight.begin

    def x(at: float) -> float:
        return round(LEFT + WIDTH * (at - begin) / length, 1)

    def y(ping: float) -> float:
        return round(top + STRIP * (1 - min(ping, MOST) / MOST), 1)

    parts = [f'<rect x="{LEFT}" y="{y(high)}" width="{WIDTH}" height="{y(low) - y(high):g}" '
             f'fill="{colour}"/>' for low, high, colour, _ in BANDS]
    parts += [_text(LEFT + WIDTH + 6, y((low + high) / 2) + 4, name, SOFT, 'font-size="11"')
              for low, high, _, name in BANDS if name]
    parts += [_text(LEFT - 6, y(high) + 4, f"{high:g} ms", SOFT, 'font-size="10" text-anchor="end"')
              for _, high, _, name in BANDS if name]
    parts.append(_text(LEFT, top - 5, f"{played.title}: {played.grade}", INK, 'font-weight="600"'))
    parts.append(_text(LEFT + WIDTH, top + STRIP + 12, f"{length:.0f} s", SOFT,
                       'font-size="10" text-anchor="end"'))
    parts += _curve(played, x, y)
    for at in played.sight.lost:
        parts.append(f'<path d="M{x(at)} {top}v7" stroke="{LOST}"/>')
    for index, (at, text) in enumerate(played.marks):
        parts.append(f'<path d="M{x(at)} {top}v{STRIP}" stroke="{INK}" stroke-dasharray="3 2"/>')
        parts.append(_text(x(at) + 4, top + 12 + 13 * index, text, INK, 'font-size="11"'))
    return parts


def _curve(played: Play, x, y) -> list[str]:
    """Where no snapshot came, there is no line either."""
    bins: dict[int, list[float]] = {}
    for at, took in played.sight.pings:
        bins.setdefault(int((at - played.sight.begin) / BIN), []).append(1000 * took)
    runs: list[list[int]] = []
    for number in sorted(bins):
        if not runs or number != runs[-1][-1] + 1:
            runs.append([])
        runs[-1].append(number)

    def points(run: list[int], of) -> list[str]:
        return [f"{x(played.sight.begin + (number + 0.5) * BIN)} {y(of(bins[number]))}" for number in run]

    parts = []
    for run in runs:
        shade = "L".join(points(run, max) + points(run, min)[::-1])
        parts.append(f'<path d="M{shade}z" fill="{RANGE}"/>')
        parts.append(f'<path d="M{"L".join(points(run, statistics.median))}" fill="none" stroke="{LINE}" '
                     'stroke-width="1.5"/>')
    return parts
