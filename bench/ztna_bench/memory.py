"""QUIC in memory, both ends on one core: what it costs without sockets."""

from __future__ import annotations

import json

from ztna_lab.namespaces import LabError, run
from ztna_lab.programs import program

from .figures import Figure

WAYS = {"memory": "in memory, one core"}
# What bench_quic counts, in its own words; a benchmark with neither tells its time.
COUNTERS = ("Gbit/s", "KiB/connection")


def measure(quick: bool, say) -> list[Figure]:
    say("memory: QUIC without sockets")
    done = run([program("bench_quic"), "--benchmark_format=json",
                f"--benchmark_min_time={'0.05' if quick else '1'}"], timeout=300)
    figures = []
    for each in json.loads(done.stdout)["benchmarks"]:
        if each.get("error_occurred"):
            raise LabError(f"bench_quic: {each['name']}: {each['error_message']}")
        unit = next((unit for unit in COUNTERS if unit in each), "")
        name = f"{each['name'].partition('/')[0]}, {each.get('label', '')}"
        figures.append(Figure(name, unit or f"{each['time_unit']} of CPU",
                              {"memory": [each[unit] if unit else each["cpu_time"]]}))
    return figures
