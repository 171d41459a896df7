"""Real applications through the tunnel (apps-test/), in their short form; and how a game is judged."""

import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time
import xml.etree.ElementTree

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "apps-test"), str(ROOT / "bench"), str(ROOT / "lab")]

from ztna_apps import grades, legs, plays, plot, quake  # noqa: E402
from ztna_lab.capture import Datagram  # noqa: E402

GAME = 27960
TUNNELS = ("direct", "over the relay")


def apps(*arguments: str, **more) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-B", str(ROOT / "apps-test"), *arguments], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **more)


# --- how a game is judged


def snapshot(number: int, at: float, part: int | None = None) -> Datagram:
    head = (struct.pack("<I", number) + b"data" if part is None
            else struct.pack("<IHH", number | 1 << 31, part, 1300))
    return Datagram("192.0.2.1", GAME, "192.0.2.2", 40000, 100, False, at, head)


def command(number: int, at: float) -> Datagram:
    return Datagram("192.0.2.2", 40000, "192.0.2.1", GAME, 60, False, at, struct.pack("<I", number) + b"qprt")


def test_transit_jitter_and_loss_are_those_of_numbered_packets():
    server = [snapshot(n, 100 + n / 20) for n in range(1, 101)]
    client = [snapshot(n, 100.010 + n / 20 + 0.004 * (n % 2)) for n in range(1, 101) if n not in (7, 50)]
    client += [command(n, 100 + n / 10) for n in range(1, 51)]
    server += [command(n, 100.010 + n / 10) for n in range(1, 51)]
    client.append(Datagram("192.0.2.1", GAME, "192.0.2.2", 1, 9, False, 101, quake.OUT_OF_BAND + b"stat"))
    seen = legs.sight(client, server, GAME, 100, 105.01)
    assert (len(seen.lost), seen.packets) == (2, 80 + 40)  # those of the last second may be on their way
    assert seen.loss == pytest.approx(100 * 2 / 120)
    assert seen.up.jitter == pytest.approx(0, abs=1e-6)
    assert seen.jitter == seen.down.jitter == pytest.approx(0.004, rel=0.1)
    assert {round(1000 * took) for _, took in seen.pings} == {20, 24}
    assert seen.worst_gap >= 0.1


def test_a_snapshot_in_parts_has_come_with_its_last_part():
    server = [snapshot(1, 100), snapshot(2, 100.05, 0), snapshot(2, 100.05, 1300), snapshot(3, 100.1)]
    client = [snapshot(1, 100.01), snapshot(2, 100.06, 0), snapshot(2, 100.07, 1300), snapshot(3, 100.11)]
    seen = legs.sight(client, server, GAME, 99, 102)
    assert seen.snapshots == [100.01, 100.07, 100.11]
    assert len(seen.down.sent) == 4 and not seen.lost
    lost = legs.sight([d for d in client if d.head[4:6] != struct.pack("<H", 1300)], server, GAME, 99, 102)
    assert len(lost.lost) == 1


def test_grades_are_those_of_the_table():
    assert grades.grade(39, 4, 0) == "Excellent"
    assert grades.grade(39, 4, 0.1) == "Good"
    assert grades.grade(40, 4, 0) == "Good"
    assert grades.grade(39, 15, 0) == "Acceptable"
    assert grades.grade(10, 1, 3) == grades.grade(150, 1, 0) == grades.grade(10, 30, 0) == grades.POOR
    assert grades.at_least("Good", "Good") and grades.at_least("Excellent", "Good")
    assert not grades.at_least("Acceptable", "Good")


def test_the_server_s_answer_is_read():
    answer = (b'\xff\xff\xff\xffstatusResponse\n\\mapname\\oa_dm1\\sv_hostname\\x\n'
              b'3 24 "player"\n-1 999 "a "b" c"\n')
    status = quake.parse_status(answer)
    assert status.variables == {"mapname": "oa_dm1", "sv_hostname": "x"}
    assert status.player("player") == quake.Player("player", 24, 3)
    assert status.player('a "b" c').ping == 999 and status.player("nobody") is None
    with pytest.raises(ValueError, match="not the answer"):
        quake.parse_status(b"\xff\xff\xff\xffinfoResponse\n")


def test_the_picture_shows_loss_gaps_and_marks():
    server = [snapshot(n, 100 + n / 20) for n in range(1, 201)]
    client = [snapshot(n, 100.01 + n / 20) for n in range(1, 201) if not 80 <= n < 120]
    client += [command(1, 100)]
    server += [command(1, 100.01)]
    played = plays.Play("direct <cut>", legs.sight(client, server, GAME, 100, 111), [20],
                        [(104, "path cut")])
    tree = xml.etree.ElementTree.fromstring(plot.svg([played]))
    paths = [e for e in tree if e.tag.endswith("path")]
    assert len([p for p in paths if p.get("stroke") == plot.LOST]) == 40
    assert len([p for p in paths if p.get("stroke") == plot.LINE]) == 2  # before the gap and after it
    assert "path cut" in [e.text for e in tree]


# --- the command


def test_it_names_the_packages_that_are_missing_and_runs_nothing():
    asked = apps("--missing", env={**os.environ, "PATH": "/nowhere"})
    _, errors = asked.communicate(timeout=30)
    assert asked.returncode == 2
    assert errors.startswith("apps-test: missing on this machine: apt-get install ") and "curl" in errors


def test_an_application_that_is_not_there():
    asked = apps("chess")
    _, errors = asked.communicate(timeout=30)
    assert asked.returncode == 2 and "http, game, browser" in errors


def test_http_direct_and_over_the_relay(tmp_path):
    target = tmp_path / "http.json"
    running = apps("http", "--quick", "--json", str(target))
    table, errors = running.communicate(timeout=120)
    assert running.returncode == 0, errors
    assert "download of 50 MB, SHA-256 as it must be" in table
    figures = {f["name"]: f for f in json.loads(target.read_text())["http"]["figures"]}
    assert len(figures) == 8
    assert all(f["value"][way] > 0 for f in figures.values() for way in ("raw", "direct", "relay")
               if f["unit"] != "moves")
    assert all(f["reached"] in ("", "yes") for f in figures.values()), table


def test_a_game_is_playable_direct_and_over_the_relay(tmp_path):
    target, picture = tmp_path / "game.json", tmp_path / "game.svg"
    running = apps("game", "--quick", "--json", str(target), "--svg", str(picture))
    table, errors = running.communicate(timeout=180)
    assert running.returncode == 0, errors
    games = {each["title"]: each for each in json.loads(target.read_text())["game"]["plays"]}
    assert tuple(games) == TUNNELS
    for each in games.values():
        assert each["lost"] == 0 and each["packets"] > 12 * (20 + 20), table
        assert grades.at_least(each["grade"], "Good"), table
        assert each["snapshots"] > 0.9 * 20 * 12, table
    assert picture.read_text().startswith("<svg")


def test_a_browser_asks_the_game_server_direct_and_over_the_relay(tmp_path):
    target, picture = tmp_path / "browser.json", tmp_path / "browser.png"
    running = apps("browser", "--json", str(target), "--screenshot", str(picture))
    _, errors = running.communicate(timeout=240)
    assert running.returncode == 0, errors
    seen = json.loads(target.read_text())["browser"]
    assert set(seen) == {"direct", "relay"}
    for each in seen.values():
        assert (each["map"], each["loss_percent"]) == ("oa_dm1", 0)
        assert int(each["challenge"]) and len(each["pings_ms"]) >= 2
    assert picture.read_bytes().startswith(b"\x89PNG")


def traces(pid: int) -> list[str]:
    return [f"{place}/{name}" for place in ("/run/netns", "/tmp", "/run/ztna-lab") if os.path.isdir(place)
            for name in os.listdir(place) if name.startswith(f"ztna-lab-{pid}-")]


def test_a_signal_leaves_nothing_behind():
    running = apps("game", "--quick")
    deadline = time.monotonic() + 60
    while not any("player-direct.log" in os.listdir(t) for t in traces(running.pid) if t.startswith("/tmp")):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=30)
    assert running.returncode == 128 + signal.SIGTERM
    assert traces(running.pid) == []
