"""The command line of `bench/run` and `bench/peers`."""

from __future__ import annotations

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time

from ztna_lab.namespaces import LabError, need, remove_stale

from . import direct, memory, moves, quiet, relay, tables
from .peers import compare

SECTIONS = {"relay": relay, "direct": direct, "moves": moves, "quiet": quiet, "memory": memory}
TITLES = {"relay": "over the relay", "direct": "direct, through two NATs",
          "moves": "moves between paths, 40 ms to the Intermediate",
          "quiet": "packets that nobody asked for", "memory": "QUIC in memory"}
# What has to be there, and the Debian package that brings it.
TOOLS = {"ip": "iproute2", "ss": "iproute2", "nft": "nftables", "conntrack": "conntrack",
         "tcpdump": "tcpdump", "setpriv": "util-linux", "iperf3": "iperf3", "wrk": "wrk", "nginx": "nginx"}


class Usage(LabError):
    """Wrong usage, or something is missing on this machine: exit code 2."""


def _need_packages(more: list[str]):
    missing = set(more)
    for tool, package in TOOLS.items():
        try:
            need(tool, package)
        except LabError:
            missing.add(package)
    if missing:
        raise Usage(f"missing on this machine: apt-get install {' '.join(sorted(missing))}")


def _prepare(options, packages: list[str]):
    if os.geteuid() != 0:
        raise Usage("needs root, for network namespaces")
    _need_packages(packages)
    os.environ["ZTNA_BIN_DIR"] = str(options.bin.resolve())
    for removed in remove_stale():
        print(f"removed what a former laboratory left: {removed}", file=sys.stderr)


def _say(began: float):
    return lambda text: print(f"{time.monotonic() - began:6.1f} s  {text}", file=sys.stderr, flush=True)


def run_command(options) -> int:
    for name in options.section:
        if name not in SECTIONS:
            raise Usage(f"there is no section {name}; there are: {', '.join(SECTIONS)}")
    _prepare(options, [])
    if options.missing:
        return 0
    say, measured = _say(time.monotonic()), {}
    for name in dict.fromkeys(options.section or SECTIONS):
        section = SECTIONS[name]
        measured[name] = section.measure(options.quick, say)
        print(f"{TITLES[name]}\n\n{tables.markdown(measured[name], section.WAYS)}\n", flush=True)
        tables.store(options.json, measured, quick=options.quick)  # what fails later takes none of it
    say(f"stored in {options.json}")
    return 0


def peers_command(options) -> int:
    _prepare(options, compare.missing_packages())
    if options.missing:
        return 0
    say = _say(time.monotonic())
    figures = compare.measure(options.quick, say)
    print(compare.table(figures))
    tables.store(options.json, {"peers": figures}, quick=options.quick)
    say(f"stored in {options.json}")
    return 0


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser("bench", description="Figures of the whole system, in network namespaces.")
    commands = root.add_subparsers(metavar="COMMAND", required=True)
    running = commands.add_parser("run", prog="bench/run", description="Ours against the raw path.")
    running.add_argument("section", nargs="*", metavar="SECTION",
                         help=f"only these: {', '.join(SECTIONS)} (default: all)")
    running.set_defaults(call=run_command, json=pathlib.Path("build/figures.json"))
    comparing = commands.add_parser("peers", prog="bench/peers",
                                    description="Ours against wireguard-go, nebula and openvpn.")
    comparing.set_defaults(call=peers_command, json=pathlib.Path("build/peers.json"))
    for each in (running, comparing):
        each.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/release/bin"),
                          help="where the programs are (default: %(default)s)")
        each.add_argument("--quick", action="store_true", help="fewer and shorter measurements")
        each.add_argument("--json", type=pathlib.Path,
                          help="where to store the figures (default: %(default)s)")
        each.add_argument("--missing", action="store_true", help="only say what has to be installed")
    return root


def _interrupted(number, _):
    raise SystemExit(128 + number)


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup's choice stands
            signal.signal(number, _interrupted)
    try:
        return options.call(options)
    except Usage as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except (LabError, OSError, subprocess.TimeoutExpired) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
