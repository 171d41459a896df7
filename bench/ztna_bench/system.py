"""The system to measure: one Intermediate, one Connector with three services, Agents with forwards."""

from __future__ import annotations

import os
import pathlib
import re

from ztna_lab import system
from ztna_lab.programs import program
from ztna_lab.system import Daemon

from .places import GAME, PERF, WEB, Place

SERVICES = {"perf": ("tcp", PERF), "web": ("tcp", WEB), "game": ("udp", GAME)}
CONNECTOR = "home"


class System(system.System):
    def __init__(self, place: Place):
        super().__init__(place)
        self.place = place
        self.agents: dict[str, Daemon] = {}

    def start(self, *flags: str) -> None:
        """Intermediate (with `flags`) and Connector."""
        every = [f'"{name}"' for name in SERVICES]
        pathlib.Path(self._at("policy.toml")).write_text(
            f'[[serve]]\nconnectors = ["*"]\nservices = [{", ".join(every)}]\n'
            f'[[allow]]\nagents = ["*"]\nservices = [{", ".join(every)}]\n')
        addresses = sorted({*self.place.relay_at.values(), "127.0.0.1"})
        certificate = self._issue("intermediate", "relay", "--ip", ",".join(addresses))
        self.intermediate = self._daemon(self.place.relay, "intermediate", "intermediate", [
            program("intermediate-server"), "--listen", f"0.0.0.0:{system.PORT}",
            "--cert-dir", certificate, "--policy", self._at("policy.toml"), *flags])
        self.intermediate.wait_status(lambda s: s.get("ready"), "readiness")
        offers = [part for name, (kind, port) in SERVICES.items()
                  for part in ("--service", f"{name}={kind}://127.0.0.1:{port}")]
        self.connector = self._daemon(self.place.server, "connector", "connector", [
            program("app-connector"), *self._uplink("server"),
            "--cert-dir", self._issue("connector", CONNECTOR, "--serve", "*"),
            "--policy", self._at("policy.toml"), *offers])
        self.wait_uplink(self.connector)

    def _uplink(self, end: str) -> list[str]:
        return ["--intermediate", f"{self.place.relay_at[end]}:{system.PORT}"]

    def agent(self, name: str, address: str, *flags: str) -> Daemon:
        """Its forwards are at `address`, a loopback address of the client, on the services' ports."""
        forwards = [part for service, (kind, port) in SERVICES.items()
                    for part in ("--forward", f"{kind}://{address}:{port}={service}")]
        agent = self.agents[name] = self._daemon(self.place.client, f"agent-{name}", f"agent-{name}", [
            program("ztna-agent"), *self._uplink("client"), "--cert-dir", self._issue("agent", name),
            "--health", "off", *forwards, *flags])
        self.wait_service(agent, "game")
        return agent

    @property
    def certificate(self) -> str:
        """Folder of an Agent's identity."""
        return self._at(f"agent-{next(iter(self.agents))}")


def path(agent: Daemon) -> str:
    return agent.path_to(CONNECTOR)


def cpu_seconds(daemon: Daemon) -> float:
    fields = pathlib.Path(f"/proc/{daemon.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kib(daemon: Daemon) -> int:
    text = pathlib.Path(f"/proc/{daemon.child.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))
