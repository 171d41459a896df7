"""The arithmetic of the figures; and the bench says what is missing, installs nothing and ends clean."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "lab")]

from ztna_bench import tables  # noqa: E402
from ztna_bench.figures import RAW, Figure, in_turns, quantile  # noqa: E402
from ztna_bench.flows import Gap, Stream, worst_gap  # noqa: E402


def bench(*arguments: str, **more) -> subprocess.Popen:
    command = [sys.executable, "-B", str(ROOT / "bench"), *arguments]
    return subprocess.Popen([*command, "--bin", os.environ["ZTNA_BIN_DIR"]], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, start_new_session=True, **more)


def test_ways_take_turns():
    order = []
    taken = in_turns(2, {"a": lambda: order.append("a") or len(order),
                         "b": lambda: order.append("b") or len(order)})
    assert order == ["a", "b", "a", "b"]
    assert taken == {"a": [1, 3], "b": [2, 4]}


def test_a_ratio_is_that_of_the_rounds_and_not_of_the_medians():
    figure = Figure("", "", {RAW: [10, 20, 40], "ours": [5, 18, 8]})
    assert figure.value("ours") == 8
    assert figure.ratio("ours") == pytest.approx(0.5)  # of 0.5, 0.9 and 0.2
    assert Figure("", "", {RAW: [0], "ours": [1]}).ratio("ours") is None


def test_quantiles():
    hundred = list(range(1, 101))
    assert [quantile(hundred, q) for q in (0.5, 0.99, 1)] == [50, 99, 100]
    assert quantile([7], 0.99) == 7


def test_a_verdict_stands_in_the_table():
    figure = Figure("gap", "ms", {"ours": [900]}, "≤ 700", lambda f: f.value("ours") <= 700)
    assert tables.markdown([figure], {"ours": "ours"}).endswith("| gap (ms) | 900 | ≤ 700 | no |")


def test_the_worst_gap_is_one_that_reaches_into_the_time_asked_for():
    arrivals = [0, 3, 4, 4.5, 6]
    assert worst_gap(arrivals, 0, 6) == Gap(0, 3)
    assert worst_gap(arrivals, 3.5, 6) == Gap(4.5, 6)
    assert worst_gap(arrivals, 2.9, 6) == Gap(0, 3)
    assert worst_gap(arrivals, 3.5, 9) == Gap(6, 9)  # and then nothing came


def test_what_was_lost_outside_the_gap():
    stream = Stream.__new__(Stream)
    stream.sent = [0, 1, 2, 3, 4, 5, 6]
    stream.came = {0: 0.1, 2: 2.1, 5: 5.1, 6: 6.1}
    assert stream.lost() == [1, 3, 4]
    assert stream.lost_outside(Gap(2.1, 5.1)) == 1


def test_it_names_the_packages_that_are_missing_and_runs_nothing():
    with_python_only = {**os.environ, "PATH": "/nowhere"}
    asked = bench("peers", "--missing", env=with_python_only)
    _, errors = asked.communicate(timeout=30)
    everywhere = "/usr/sbin:/sbin"  # where the laboratory looks in any case
    assert asked.returncode == 2
    assert errors.startswith("bench: missing on this machine: apt-get install ")
    for program, package in (("wg", "wireguard-tools"), ("iperf3", "iperf3")):
        assert (package in errors) == (shutil.which(program, path=everywhere) is None)


def test_a_section_that_is_not_there():
    asked = bench("run", "relais")
    _, errors = asked.communicate(timeout=30)
    assert asked.returncode == 2 and "relay, direct, moves" in errors


def traces(pid: int) -> list[str]:
    return [f"{place}/{name}" for place in ("/run/netns", "/tmp", "/run/ztna-lab") if os.path.isdir(place)
            for name in os.listdir(place) if name.startswith(f"ztna-lab-{pid}-")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_behind(number, tmp_path):
    running = bench("run", "quiet", "--quick", "--json", str(tmp_path / "figures.json"))
    deadline = time.monotonic() + 30
    while not any("agent-alice.log" in os.listdir(t) for t in traces(running.pid) if t.startswith("/tmp")):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(number)
    running.communicate(timeout=30)
    assert running.returncode == 128 + number
    assert traces(running.pid) == []


def test_a_section_is_measured_to_its_end(tmp_path):
    """The one with the most machinery, once each."""
    target = tmp_path / "figures.json"
    running = bench("run", "moves", "--quick", "--json", str(target))
    table, errors = running.communicate(timeout=180)
    assert running.returncode == 0, errors
    assert "relay to direct, worst gap of 1 (ms)" in table
    assert json.loads(target.read_text())
