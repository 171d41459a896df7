"""The command line of `apps-test/run`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from ztna_bench import tables
from ztna_bench.figures import RAW
from ztna_lab.line import Line
from ztna_lab.namespaces import LabError, need, remove_stale
from ztna_lab.programs import program

# What each application needs, and the Debian package that brings it.
_NETWORK = {"ip": "iproute2", "ss": "iproute2", "nft": "nftables", "setpriv": "util-linux", "nginx": "nginx",
            "curl": "curl", "tcpdump": "tcpdump"}
_GAME = {"openarena-server": "openarena-server"}
TOOLS = {"http": {**_NETWORK, "gunicorn": "gunicorn"},
         "game": {**_NETWORK, **_GAME, "openarena": "openarena", "Xvfb": "xvfb"},
         "browser": {**_NETWORK, **_GAME, "chromium": "chromium"}}
MODULES = {"http": {"httpbin": "python3-httpbin", "websockets": "python3-websockets"}, "game": {},
           "browser": {"websockets": "python3-websockets"}}
DOWNLOAD_MB, QUICK_DOWNLOAD_MB = 1000, 50
SECONDS, QUICK_SECONDS = 60, 12


class Usage(LabError):
    """Wrong usage, or something is missing on this machine: exit code 2."""


def _missing(wanted: list[str]) -> list[str]:
    missing = set()
    for application in wanted:
        for tool, package in TOOLS[application].items():
            try:
                need(tool, package)
            except LabError:
                missing.add(package)
        missing.update(package for module, package in MODULES[application].items()
                       if importlib.util.find_spec(module) is None)
    return sorted(missing)


def _prepare(options) -> None:
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/games"
    missing = _missing(options.application)
    if missing:
        raise Usage(f"missing on this machine: apt-get install {' '.join(missing)}")
    if options.missing:
        return
    if os.geteuid() != 0:
        raise Usage("needs root, for network namespaces")
    if options.bin:
        os.environ["ZTNA_BIN_DIR"] = str(options.bin.resolve())
    os.environ.setdefault("ZTNA_BIN_DIR", "build/release/bin")
    try:
        for name in ("ztna", "intermediate-server", "app-connector", "ztna-agent"):
            program(name)
    except LabError as error:
        raise Usage(str(error)) from None
    for removed in remove_stale():
        print(f"removed what a former laboratory left: {removed}", file=sys.stderr)


# --- the applications; each returns what goes into the JSON file


def _http(options, say) -> dict:
    from . import places, web

    figures = web.measure(options.line, options.download * 1_000_000, say)
    _print("HTTP", tables.markdown(figures, places.WAYS))
    return {"figures": [tables.as_json(figure) for figure in figures]}


def _game(options, say) -> dict:
    from . import places, plays, plot

    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    line, ways, played = options.line or plays.CLEAN, [RAW, places.DIRECT, places.RELAY], []
    if "clean" in options.games:
        played += plays.clean(line, ways[1:] if options.quick else ways, seconds, say)
        _print(f"A game of {seconds} s", plays.markdown(played))
    if "download" in options.games:
        beside = plays.beside_download(plays.NARROW, ways, seconds, say)
        _print(f"Beside a download, {plays.NARROW.rate:g} Mbit/s with a queue of {plays.NARROW.queue:g} ms",
               plays.markdown(beside))
        played += beside
    if "cut" in options.games:
        played.append(plays.cut(line, seconds, say))
        _print("The direct path is cut in mid-game", plays.markdown(played[-1:]))
    if options.svg:
        options.svg.write_text(plot.svg(played))
    return {"plays": [each.as_json() for each in played]}


def _browser(options, say) -> dict:
    from . import browser

    seen = browser.visit(options.line, options.screenshot, say)
    _print("A browser", browser.markdown(seen))
    return seen


GAMES = ("clean", "download", "cut")
APPLICATIONS = {"http": _http, "game": _game, "browser": _browser}


def _print(title: str, table: str) -> None:
    print(f"## {title}\n\n{table}\n", flush=True)


def _store(path: pathlib.Path | None, measured: dict) -> None:
    if path:
        path.write_text(json.dumps({"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                                    "machine": tables.machine(), **measured}, indent=1) + "\n")


def run(options) -> int:
    _prepare(options)
    if options.missing:
        return 0
    began, measured = time.monotonic(), {}

    def say(text: str):
        print(f"{time.monotonic() - began:6.1f} s  {text}", file=sys.stderr, flush=True)

    for name in options.application:
        measured[name] = APPLICATIONS[name](options, say)
        _store(options.json, measured)  # what fails later takes none of it
    return 0


def _line(text: str) -> Line:
    try:
        return Line.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _above_zero(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _games(text: str) -> list[str]:
    wrong = [name for name in text.split(",") if name not in GAMES]
    if wrong:
        raise argparse.ArgumentTypeError(f"there is no {wrong[0]!r} among {', '.join(GAMES)}")
    return text.split(",")


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser("apps-test/run", description="Real applications through the tunnel, between "
                                   "two NATs: over the relay, direct, and with no tunnel.")
    root.add_argument("application", nargs="*", metavar="APPLICATION",
                      help=f"only these: {', '.join(APPLICATIONS)} (default: all)")
    root.add_argument("--json", type=pathlib.Path, metavar="FILE", help="where to store the figures")
    root.add_argument("--svg", type=pathlib.Path, metavar="FILE", help="where to store the picture of the games")
    root.add_argument("--seconds", type=_above_zero, metavar="N", help=f"of each game (default: {SECONDS})")
    root.add_argument("--games", type=_games, metavar="A,B,…",
                      help=f"only these: {', '.join(GAMES)} (default: all; with --quick, clean)")
    root.add_argument("--download", type=_above_zero, metavar="MB",
                      help=f"how much HTTP downloads (default: {DOWNLOAD_MB})")
    root.add_argument("--line", type=_line, metavar="delay=MS,jitter=MS,loss=PERCENT,rate=MBITS",
                      help="between each home and the Internet (default: delay=5 for games, else none)")
    root.add_argument("--screenshot", type=pathlib.Path, metavar="FILE", help="what the browser shows, as PNG")
    root.add_argument("--quick", action="store_true",
                      help=f"a download of {QUICK_DOWNLOAD_MB} MB; games of {QUICK_SECONDS} s, through "
                      "tunnels alone")
    root.add_argument("--bin", type=pathlib.Path, metavar="DIR",
                      help="where the programs are (default: ZTNA_BIN_DIR, or build/release/bin)")
    root.add_argument("--missing", action="store_true", help="only say what has to be installed")
    return root


def _interrupted(number, _):
    raise SystemExit(128 + number)


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    options.application = list(dict.fromkeys(options.application or APPLICATIONS))
    options.games = options.games or (["clean"] if options.quick else list(GAMES))
    options.download = options.download or (QUICK_DOWNLOAD_MB if options.quick else DOWNLOAD_MB)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup's choice stands
            signal.signal(number, _interrupted)
    try:
        for name in options.application:
            if name not in APPLICATIONS:
                raise Usage(f"there is no application {name}; there are: {', '.join(APPLICATIONS)}")
        return run(options)
    except Usage as error:
        print(f"apps-test: {error}", file=sys.stderr)
        return 2
    except (LabError, OSError, subprocess.SubprocessError) as error:
        print(f"apps-test: {error}", file=sys.stderr)
        return 1
