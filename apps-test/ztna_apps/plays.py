"""Games played, and what they were like: on a clean line, beside a download through the same session,
and with the direct path cut in the middle."""

from __future__ import annotations

import dataclasses
import re
import statistics
import time

from ztna_bench.figures import RAW, quantile
from ztna_bench.tables import number
from ztna_lab.capture import Capture
from ztna_lab.line import Line
from ztna_lab.namespaces import Laboratory, LabError, need, wait_for

from . import game, grades, legs
from .places import CONNECTOR, DIRECT, TCP, WAYS, Homes

BULK = 1_000_000_000
# Two lines, one at each home: 10 ms from one to the other, and the same by way of the Intermediate.
CLEAN = Line(delay=5)
NARROW = Line(delay=5, rate=20, queue=100)
CUT_AFTER = 0.4  # of the time


@dataclasses.dataclass
class Play:
    title: str
    sight: legs.Sight
    shown: list[float]  # ms: what the score board says
    marks: list[tuple[float, str]] = dataclasses.field(default_factory=list)  # when, and what happened
    moves: int = 0  # to another path meanwhile
    bulk: float | None = None  # Mbit/s

    @property
    def ping(self) -> float:
        """What the player sees: the network's, and what both programs' frames add."""
        return statistics.median(self.shown)

    @property
    def jitter(self) -> float:
        return 1000 * self.sight.jitter

    @property
    def grade(self) -> str:
        return grades.grade(self.ping, self.jitter, self.sight.loss)

    def packet_ping(self, q: float) -> float:
        """ms."""
        return 1000 * quantile([took for _, took in self.sight.pings], q)

    def as_json(self) -> dict:
        begin = self.sight.begin
        return {"title": self.title, "ping_shown_ms": self.shown,
                "ping_ms": {f"p{q}": self.packet_ping(q / 100) for q in (50, 95, 99)},
                "jitter_ms": self.jitter, "loss_percent": self.sight.loss,
                "packets": self.sight.packets, "lost": len(self.sight.lost),
                "snapshots": len(self.sight.snapshots),
                "snapshot_intervals_ms": legs.spread(self.sight.snapshots),
                "snapshot_intervals_at_server_ms": legs.spread(self.sight.departures),
                "worst_gap_ms": 1000 * self.sight.worst_gap, "download_mbits": self.bulk,
                "grade": self.grade, "moves": self.moves,
                "marks": [[at - begin, text] for at, text in self.marks],
                "pings": [[round(at - begin, 4), round(1000 * took, 3)] for at, took in self.sight.pings]}


class Downloading:
    """Through the same session, until stop()."""

    def __init__(self, homes: Homes, address: str, seconds: float):
        self._process = homes.client.spawn(
            f"download-{address}", need("curl", "curl"), "-sS", "-o", "/dev/null", "--max-time",
            f"{seconds:g}", "-w", "%{speed_download}\n",
            f"http://{address}:{TCP['files']}/bytes/{BULK}")

    def stop(self) -> float:
        """Mbit/s."""
        wait_for(lambda: not self._process.running(), "the download's end")
        found = re.search(r"^(\d+)$", self._process.log(), re.MULTILINE)
        if not found or int(found.group(1)) == 0:
            raise LabError(f"the download beside the game: {self._process.log()}")
        return 8e-6 * int(found.group(1))


def play(homes: Homes, way: str, title: str, seconds: float, say, bulk: bool = False,
         event=None) -> Play:
    """`event`, which returns what happened, comes in the middle."""
    say(f"game: {title}")
    end, server = homes.end(way), game.Server(homes)
    player = game.Player(homes, end, way)
    try:
        player.wait_playing(server)
        captures = Capture(homes.client, end.client_interface), Capture(homes.server, end.server_interface)
        begin, marks, shown = time.time(), [], []
        download = Downloading(homes, end.address, seconds) if bulk else None
        while time.time() < begin + seconds:
            if event and time.time() > begin + CUT_AFTER * seconds:
                marks.append((time.time(), event()))
                event = None
            status = server.status()
            found = status and status.player(player.name)
            if found:
                shown.append(found.ping)
            elif status or not player.running():
                raise LabError(f"{title}: the player is no longer in the game")
        finish = time.time()
        rate = download.stop() if download else None
    finally:
        player.stop()
        server.stop()
    if not shown:
        raise LabError(f"{title}: the game server answered nothing within {seconds} s")
    at_client, at_server = (capture.stop() for capture in captures)  # now that nothing goes on
    moves = homes.moves(way, begin, finish)
    if legs.connections(at_client, game.PORT):
        raise LabError(f"{title}: the player had to connect again")
    return Play(title, legs.sight(at_client, at_server, game.PORT, begin, finish), shown, marks + moves, len(moves), rate)


# --- what is played


def clean(line: Line, ways: list[str], seconds: float, say) -> list[Play]:
    with Laboratory() as lab:
        homes = _homes(lab, line, ways)
        return [play(homes, way, WAYS[way], seconds, say) for way in ways]


def beside_download(line: Line, ways: list[str], seconds: float, say) -> list[Play]:
    with Laboratory() as lab:
        homes = _homes(lab, line, ways, BULK)
        return [play(homes, way, f"{WAYS[way]}, beside a download", seconds, say, bulk=True) for way in ways]


def cut(line: Line, seconds: float, say) -> Play:
    """Direct, until the Internet swallows all that goes from home to home."""
    with Laboratory() as lab:
        homes = _homes(lab, line, [DIRECT])

        def event() -> str:
            homes.cut_direct()
            return "direct path cut"

        played = play(homes, DIRECT, "direct, cut in mid-game", seconds, say, event=event)
        if homes.path(DIRECT) != "relay" or not played.moves:
            raise LabError(f"after the cut the session is not on the relay: {played.marks}")
        return played


def _homes(lab: Laboratory, line: Line, ways: list[str], *sizes: int) -> Homes:
    homes = Homes(lab, line)
    homes.serve_files(*sizes)
    homes.start()
    for way in ways:
        if way != RAW:
            homes.start_path(way)
    return homes


# --- the table


def markdown(plays: list[Play]) -> str:
    rows = [("ping that the game shows (ms)", lambda p: number(p.ping)),
            ("ping of its packets, p50 (ms)", lambda p: number(p.packet_ping(0.5))),
            ("the same, p99 (ms)", lambda p: number(p.packet_ping(0.99))),
            ("jitter (ms)", lambda p: number(p.jitter)),
            ("lost, of packets", lambda p: f"{len(p.sight.lost)} of {p.sight.packets:,}"),
            ("loss (%)", lambda p: number(p.sight.loss)),
            ("snapshot intervals at the player, p50 / p95 / p99 (ms)", lambda p: _spread(p.sight.snapshots)),
            ("snapshot intervals at the server (ms)", lambda p: _spread(p.sight.departures)),
            ("longest time without a snapshot (ms)", lambda p: number(1000 * p.sight.worst_gap)),
            ("moves to another path meanwhile", lambda p: str(p.moves))]
    if any(p.bulk is not None for p in plays):
        rows.append(("the download (Mbit/s)", lambda p: "" if p.bulk is None else number(p.bulk)))
    rows.append(("**grade**", lambda p: f"**{p.grade}**"))
    lines = [f"| | {' | '.join(p.title for p in plays)} |", "|---|" + "---|" * len(plays)]
    lines += [f"| {name} | {' | '.join(cell(p) for p in plays)} |" for name, cell in rows]
    return "\n".join(lines)


def _spread(times: list[float]) -> str:
    return " / ".join(number(value) for value in legs.spread(times).values())
