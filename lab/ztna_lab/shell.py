"""A shell inside one of the laboratory's hosts, with the whole system running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from .namespaces import Laboratory, LabError, child_environment
from .programs import folder
from .scenarios import Scenario
from .scene import AGENT_HOST, ECHO, WEB, Scene


def _guide(scene: Scene, host: str) -> str:
    lines = [f"You are on {host}. Other hosts: {', '.join(h for h in scene.lab.hosts if h != host)}.",
             "Here: ip addr, nft list ruleset, conntrack -L, tcpdump -i any, ztna status."]
    if host == AGENT_HOST:
        lines.append(f"The service through the tunnel: curl http://127.0.0.1:{scene.port(WEB)}/bytes/1000000 "
                     f"(any size); a UDP echo on port {scene.port(ECHO)}.")
    lines.append(f"Logs of every program: {scene.lab.folder}/*.log. The end of this shell ends all of it.")
    return "\n".join(lines)


def run(scenario: Scenario, host: str, command: str) -> int:
    """The shell's exit code. With `command` it runs that and ends."""
    with Laboratory() as lab:
        scene = Scene(lab, scenario.plan)
        if host not in lab.hosts:
            raise LabError(f"there is no host {host}; there are: {', '.join(lab.hosts)}")
        scene.start()
        try:
            scene.hello()
        except LabError as error:  # people want to see what that looks like
            print(f"The service cannot be reached yet: {error}", file=sys.stderr)
        runtime = lab.folder / host
        runtime.mkdir(exist_ok=True)
        shell = os.environ.get("SHELL", "/bin/sh")
        environment = child_environment(
            ZTNA_RUNTIME_DIR=str(runtime), PATH=f"{folder()}:{os.environ.get('PATH', '')}",
            debian_chroot=host, LAB_HOST=host)  # Debian's prompt shows its chroot
        arguments = [shell, "-c", command] if command else [shell]
        if not command:
            print(_guide(scene, host), flush=True)
        # Ctrl-C is for what runs in the shell.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return subprocess.run([*lab.hosts[host].prefix, *arguments], env=environment,
                                  restore_signals=True, check=False,
                                  preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                                  ).returncode
        finally:
            sys.stdout.flush()
