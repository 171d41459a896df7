"""The laboratory's lines: what a frame may expect, in a time that only these tests have."""

import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "lab"))

from ztna_lab.line import Direction, Line  # noqa: E402


def arrivals(line: Line, sent: list[tuple[float, int]]) -> list[tuple[int, float]]:
    """(number of the frame, when it arrives) for frames sent at (moment, size)."""
    way, found, now = Direction(line, random.Random(7)), [], 0.0
    for number, (at, size) in enumerate(sent):
        way.enter(number.to_bytes(4, "big") + bytes(size - 4), at)
    while (at := way.next_arrival()) != float("inf"):
        assert at <= now or way.leave(at - 1e-9) is None
        now = max(now, at)
        found.append((int.from_bytes(way.leave(now)[:4], "big"), now))
    return found


def test_a_plain_line_passes_everything_at_once():
    assert arrivals(Line(), [(1.0, 100), (1.0, 100), (2.0, 100)]) == [(0, 1.0), (1, 1.0), (2, 2.0)]


def test_delay_is_for_each_frame():
    assert arrivals(Line(delay=40), [(1.0, 100), (1.01, 100)]) == [
        (0, pytest.approx(1.04)), (1, pytest.approx(1.05))]


def test_jitter_delays_without_overtaking():
    seen = arrivals(Line(delay=10, jitter=20), [(n / 1000, 100) for n in range(1000)])
    assert [number for number, _ in seen] == list(range(1000))
    late = [at - number / 1000 for number, at in seen]
    assert min(late) >= 0.010 and 0.025 < max(late) <= 0.030


def test_the_rate_spreads_a_burst():
    # 1,250 octets at 1 Mbit/s take 10 ms.
    seen = arrivals(Line(rate=1, queue=1000), [(0.0, 1250)] * 3)
    assert [at for _, at in seen] == [pytest.approx(t) for t in (0.01, 0.02, 0.03)]


def test_what_the_queue_does_not_take_is_lost():
    seen = arrivals(Line(rate=1, queue=25), [(0.0, 1250)] * 10)
    assert [number for number, _ in seen] == [0, 1, 2]


def test_loss_is_as_often_as_said():
    seen = arrivals(Line(loss=10), [(0.0, 100)] * 10_000)
    assert 8_800 < len(seen) < 9_200


def test_a_line_reads_what_it_writes():
    line = Line(delay=20, jitter=5, loss=1, rate=20, queue=30)
    assert Line.parse(str(line)) == line
    assert Line.parse("rate=20,delay=20") == Line(rate=20, delay=20)
    for wrong in ("speed=3", "delay=-1", "delay", "delay=x", "loss=inf"):
        with pytest.raises(ValueError, match="is no property of a line"):
            Line.parse(wrong)
    with pytest.raises(ValueError, match="0 to 100"):
        Line.parse("loss=200")
