"""Markdown for people, JSON for programs."""

from __future__ import annotations

import json
import os
import pathlib
import platform
import time

from .figures import RAW, Figure


def number(value: float) -> str:
    if value == 0 or abs(value) >= 9999.5:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def markdown(figures: list[Figure], ways: dict[str, str]) -> str:
    """`ways`: way to the title of its column. Ratios are to the raw path."""
    compared = [way for way in ways if way != RAW and RAW in ways]
    heads = ["", *ways.values(), *(f"{ways[way]} / raw" for way in compared), "to reach", "reached"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for figure in figures:
        cells = [f"{figure.name} ({figure.unit})"]
        cells += [number(figure.value(way)) if way in figure.samples else "" for way in ways]
        for way in compared:
            ratio = figure.ratio(way) if way in figure.samples else None
            cells.append("" if ratio is None else f"{ratio:.2f}")
        lines.append(f"| {' | '.join([*cells, figure.target, figure.verdict])} |")
    return "\n".join(lines)


def as_json(figure: Figure) -> dict:
    return {"name": figure.name, "unit": figure.unit, "samples": figure.samples,
            "value": {way: figure.value(way) for way in figure.samples},
            "ratio": {way: figure.ratio(way) for way in figure.samples if way != RAW},
            "target": figure.target, "reached": figure.verdict}


def machine() -> dict:
    processor = next((line.partition(":")[2].strip()
                      for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                      if line.startswith("model name")), platform.machine())
    return {"processor": processor, "cores": os.cpu_count(), "kernel": platform.release()}


def store(path: pathlib.Path, sections: dict[str, list[Figure]], **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": machine(),
        "sections": {name: [as_json(f) for f in figures] for name, figures in sections.items()},
        **more}, indent=1) + "\n")
