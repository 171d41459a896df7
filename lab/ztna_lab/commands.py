"""The command line: ztna lab COMMAND."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import os
import pathlib
import signal
import sys
import textwrap
import time

from . import jobs, matrix, page, scenarios, shell
from .line import Line
from .namespaces import LabError, need, remove_stale
from .programs import program
from .run import play
from .scene import with_line
from .wan import SHAPES

DESCRIPTION = """\
The NAT laboratory: the real programs, behind real NATs, in network namespaces of this machine.
It needs root for them, touches nothing outside them, and leaves nothing behind."""

EXAMPLES = """\
examples:
  ztna lab list
  ztna lab run home-to-home
  ztna lab run all --jobs 2
  ztna lab run home-to-home --line delay=40,jitter=10,loss=0.5,rate=20
  ztna lab matrix --html matrix.html
  ztna lab shell laptop
"""

# What has to be there, and the Debian package that brings it.
TOOLS = {"ip": "iproute2", "nft": "nftables", "conntrack": "conntrack", "tcpdump": "tcpdump",
         "setpriv": "util-linux"}


class Usage(LabError):
    """Wrong usage, or something is missing on this machine: exit code 2."""


def prepare():
    if os.geteuid() != 0:
        raise Usage("needs root, for network namespaces: sudo ztna lab …")
    try:
        for tool, package in TOOLS.items():
            need(tool, package)
        for name in ("ztna", "intermediate-server", "app-connector", "ztna-agent"):
            program(name)
    except LabError as error:
        raise Usage(str(error)) from None
    for removed in remove_stale():
        print(f"removed what a former laboratory left: {removed}", file=sys.stderr)


# --- list


def list_command(_):
    for each in scenarios.ALL.values():
        print(f"  {each.name:<32} {each.summary}")


# --- run


def chosen(names: list[str], line: str = "") -> list[scenarios.Scenario]:
    result = []
    for name in names:
        if name == "all":
            result += scenarios.ALL.values()
        elif name in scenarios.ALL:
            result.append(scenarios.ALL[name])
        else:
            close = difflib.get_close_matches(name, scenarios.ALL, 1)
            hint = f", did you mean {close[0]}?" if close else "; ztna lab list names them"
            raise Usage(f"there is no scenario {name}{hint}")
    if line:
        try:
            between = Line.parse(line)
        except ValueError as error:
            raise Usage(str(error)) from None
        result = [dataclasses.replace(each, plan=with_line(each.plan, between)) for each in result]
    return list({each.name: each for each in result}.values())


def run_command(options) -> int:
    wanted = chosen(options.scenario, options.line)
    prepare()
    quiet = options.json or options.jobs > 1
    results = []
    if options.jobs > 1:
        wanted.sort(key=lambda each: not each.slow)
        tasks = [["scenario", each.name, options.line] for each in wanted]
        for _, result in jobs.run(tasks, options.jobs):
            results.append(result)
            if not options.json:
                _print_result(result)
    else:
        for each in wanted:
            if not quiet:
                print(f"{each.name}: {each.summary}", flush=True)
            result = play(each, (lambda text: None) if quiet else lambda t: print(t, flush=True))
            results.append(result)
            if not quiet:
                _print_result(result)
    if options.json:
        print(json.dumps(results, indent=1))
    failed = [result["name"] for result in results if not result["ok"]]
    if len(results) > 1 and not options.json:
        print(f"{len(results) - len(failed)} of {len(results)} scenarios came out as they must"
              + (f"; not so: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _print_result(result: dict):
    verdict = "ok    " if result["ok"] else "FAILED"
    print(f"{verdict} {result['name']} ({result['seconds']:.1f} s)", flush=True)
    if not result["ok"]:
        print(textwrap.indent(result["error"], "       "))
        print(f"       logs: {result['folder']}", flush=True)


def one_command(options) -> int:
    """For jobs.py."""
    if options.kind == "cell":
        result = matrix.cell(*options.argument)
    else:
        result = play(chosen(options.argument[:1], options.argument[1])[0], lambda text: None)
    print(json.dumps(result))
    return 0


# --- matrix


def matrix_command(options) -> int:
    names = options.networks.split(";") if options.networks else list(matrix.NETWORKS)
    for name in names:
        if name not in matrix.NETWORKS:
            raise Usage(f"there is no network {name!r}; there are: {'; '.join(matrix.NETWORKS)}")
    prepare()
    began = time.monotonic()
    report = matrix.run(names, options.shape, options.jobs,
                        lambda *news: matrix.progress_line(*news, began))
    for wanted, make in ((options.html, page.html), (options.svg, page.svg)):
        if wanted:
            pathlib.Path(wanted).write_text(make(report))
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        print(matrix.table(report))
        print(matrix.summary(report))
    return 1 if matrix.wrong(report) else 0


# --- shell


def shell_command(options) -> int:
    place = chosen([options.scenario], options.line)[0]
    prepare()
    return shell.run(place, options.host, options.command)


# --- all of it


def _add_line(command: argparse.ArgumentParser):
    command.add_argument("--line", default="", metavar="delay=MS,jitter=MS,loss=PERCENT,rate=MBITS",
                         help="between each network and the Internet, in both directions")


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser("ztna lab", description=DESCRIPTION, epilog=EXAMPLES,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = root.add_subparsers(metavar="COMMAND", required=True)

    listing = commands.add_parser("list", help="the scenarios")
    listing.set_defaults(call=list_command)

    running = commands.add_parser("run", help="run scenarios; exit code 0: all as they must be")
    running.add_argument("scenario", nargs="+", help="a name, or `all`")
    running.add_argument("--jobs", type=int, default=1, metavar="N", help="at once (default 1)")
    running.add_argument("--json", action="store_true", help="for programs")
    _add_line(running)
    running.set_defaults(call=run_command)

    pairs = commands.add_parser("matrix", help="every kind of network against every other",
                                epilog="networks: " + "; ".join(matrix.NETWORKS))
    pairs.add_argument("--html", metavar="FILE", help="a page with the picture")
    pairs.add_argument("--svg", metavar="FILE", help="the picture alone")
    pairs.add_argument("--json", action="store_true", help="for programs")
    pairs.add_argument("--jobs", type=int, default=4, metavar="N", help="at once (default 4)")
    pairs.add_argument("--shape", choices=SHAPES, default="routed",
                       help="what is between the networks (default routed: one hop)")
    pairs.add_argument("--networks", metavar="A;B;…", help="only these")
    pairs.set_defaults(call=matrix_command)

    inside = commands.add_parser("shell", help="a shell on a host, with the system running")
    inside.add_argument("host", help="laptop, server, intermediate, core, nat-a, nat-b, …")
    inside.add_argument("--scenario", default="home-to-home", metavar="NAME",
                        help="whose networks (default home-to-home)")
    _add_line(inside)
    inside.add_argument("-c", dest="command", default="", metavar="COMMAND",
                        help="run this there instead, and end")
    inside.set_defaults(call=shell_command)

    one = commands.add_parser("one")
    one.add_argument("kind", choices=["scenario", "cell"])
    one.add_argument("argument", nargs="+")
    one.set_defaults(call=one_command)
    return root


def _interrupted(number, _):
    raise SystemExit(128 + number)


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup's choice stands
            signal.signal(number, _interrupted)
    try:
        return options.call(options) or 0
    except Usage as error:
        print(f"ztna lab: {error}", file=sys.stderr)
        return 2
    except LabError as error:
        print(f"ztna lab: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
