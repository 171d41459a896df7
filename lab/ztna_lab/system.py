"""The programs under test in a laboratory: a CA, a policy, an Intermediate, Connectors and Agents."""

from __future__ import annotations

import http.client
import json
import pathlib
import socket
import sys

from .namespaces import Host, LabError, Process, run, wait_for
from .programs import program
from .wan import INTERMEDIATE, INTERMEDIATE_ALT, INTERMEDIATE_IPV6, Wan

TRUST_DOMAIN = "lab.example"
INTERMEDIATE_NAME = f"relay.{TRUST_DOMAIN}"
PORT = 4433
ALT_PORT = 4435
P2P_PORT = 4434
WEB_BACKEND = 8080
ECHO_BACKEND = 7777


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


class Daemon(Process):
    """Its control socket is where `ztna` looks, when ZTNA_RUNTIME_DIR is the host's folder."""

    def __init__(self, name, argv, log, env, host: Host, control: str):
        self.host = host
        self.control = control
        super().__init__(name, argv, log, env)

    def request(self, method: str, path: str, body: str | None = None) -> str:
        connection = _UnixConnection(self.control)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            text = response.read().decode()
            if response.status != 200:
                raise LabError(f"{self.name} answers {response.status} to {method} {path}: {text}")
            return text
        finally:
            connection.close()

    def status(self) -> dict:
        return json.loads(self.request("GET", "/v1/status"))

    def try_status(self) -> dict:
        try:
            return self.status()
        except (OSError, http.client.HTTPException, ValueError):
            return {}

    def metrics(self) -> dict[str, float]:
        """Sample, labels included, to value."""
        address, port = self.status()["health"].rsplit(":", 1)
        connection = http.client.HTTPConnection(address, int(port), timeout=20)
        connection.sock = self.host.socket()
        connection.sock.connect((address, int(port)))
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def wait_status(self, condition, what: str, timeout: float = 20.0):
        """The first true value of condition(status)."""
        def check():
            if not self.running():
                raise LabError(f"{self.name} ended early:\n{self.log()}")
            status = self.try_status()
            return condition(status) if status else None

        return wait_for(check, lambda: f"{what} at {self.name}", timeout)

    def session_with(self, peer: str) -> dict:
        """The live session with that peer ("connector/home"); empty when there is none."""
        found = [s for s in self.try_status().get("sessions", [])
                 if s["with"].endswith("/" + peer) and s["state"] == "ready"]
        return found[-1] if found else {}

    def path_to(self, peer: str) -> str:
        """relay, direct, or none."""
        return self.session_with(peer).get("path", "none").lower()


class System:
    def __init__(self, wan: Wan):
        self.wan = wan
        self.lab = wan.lab
        self.folder = wan.lab.folder
        self.intermediate = INTERMEDIATE  # as the others are told of it
        self.daemons: dict[str, Daemon] = {}
        self.forwards: dict[str, dict[str, int]] = {}  # Agent's name, service: port on its host
        self._ztna("ca", "init", "--trust-domain", TRUST_DOMAIN, "--out", self._at("ca"))

    def _at(self, name: str) -> str:
        return str(self.folder / name)

    def _ztna(self, *args: str):
        run([program("ztna"), *args])

    def _issue(self, role: str, name: str, *extra: str) -> str:
        out = self._at(f"{role}-{name}")
        self._ztna("ca", "issue", "--ca-dir", self._at("ca"), "--role", role, "--name", name, *extra,
                   "--out", out)
        return out

    def _daemon(self, host: Host, name: str, role: str, argv: list[str]) -> Daemon:
        runtime = pathlib.Path(self._at(host.name))
        runtime.mkdir(exist_ok=True)
        control = str(runtime / f"{role}.sock")
        daemon = host.spawn(name, *argv, "--control", control, process=Daemon, host=host,
                            control=control)
        self.daemons[name] = daemon
        return daemon

    def policy(self, allowed: dict[str, list[str]]) -> None:
        """For each Agent the services that it may reach, and suspend its paths to for a proof; every
        Connector may serve all of them."""
        every = sorted({service for services in allowed.values() for service in services})
        text = f'[[serve]]\nconnectors = ["*"]\nservices = {json.dumps(every)}\n'
        for agent, services in allowed.items():
            rule = f"agents = {json.dumps([agent])}\nservices = {json.dumps(services)}\n"
            text += f"[[allow]]\n{rule}[[prove]]\n{rule}"
        pathlib.Path(self._at("policy.toml")).write_text(text)

    def name_intermediate(self, *hosts: Host) -> None:
        """From now on it is dialled by a name, which means an address of each family on these hosts."""
        self.intermediate = INTERMEDIATE_NAME
        for host in hosts:
            host.names({INTERMEDIATE_NAME: [INTERMEDIATE, INTERMEDIATE_IPV6]})

    # --- daemons

    def start_intermediate(self) -> Daemon:
        """Two addresses with the same two ports, as RFC 5780 wants; and 443, which some networks
        leave open when they block the rest."""
        six = ["--listen", f"[{INTERMEDIATE_IPV6}]:{PORT}"] if self.wan.ipv6 else []
        certificate = self._issue("intermediate", "relay", "--ip", INTERMEDIATE,
                                  "--dns", INTERMEDIATE_NAME)
        daemon = self._daemon(self.wan.intermediate, "intermediate", "intermediate", [
            program("intermediate-server"), "--listen", f"{INTERMEDIATE}:{PORT}",
            "--listen", f"{INTERMEDIATE}:443", *six,
            "--alt-listen", f"{INTERMEDIATE}:{ALT_PORT}",
            "--alt-listen", f"{INTERMEDIATE_ALT}:{PORT}",
            "--alt-listen", f"{INTERMEDIATE_ALT}:{ALT_PORT}",
            "--cert-dir", certificate, "--policy", self._at("policy.toml")])
        daemon.wait_status(lambda s: len(s.get("listen", [])) >= 4, "its listen addresses")
        return daemon

    def start_services(self, host: Host) -> None:
        """On the Connector's host: HTTP and a UDP echo."""
        script = pathlib.Path(__file__).with_name("services.py")
        host.spawn(f"services-{host.name}", sys.executable, "-B", str(script),
                   str(WEB_BACKEND), str(ECHO_BACKEND)).wait_log("serving")

    def start_connector(self, host: Host, name: str, services: tuple[str, str] = ("web", "echo"),
                        *flags: str, intermediate_port: int = PORT) -> Daemon:
        web, echo = services
        return self._daemon(host, f"connector-{name}", "connector", [
            program("app-connector"), "--intermediate", f"{self.intermediate}:{intermediate_port}",
            "--cert-dir", self._issue("connector", name, "--serve", "*"),
            "--policy", self._at("policy.toml"),
            "--service", f"{web}=tcp://127.0.0.1:{WEB_BACKEND}",
            "--service", f"{echo}=udp://127.0.0.1:{ECHO_BACKEND}", *flags])

    def start_agent(self, host: Host, name: str, services: list[tuple[str, str]], *flags: str,
                    intermediate_port: int = PORT) -> Daemon:
        """Forwards on ports 8001… (TCP) and 9501… (UDP) of the Agent's host, a pair of services
        each."""
        forwards, ports = [], {}
        for number, (web, echo) in enumerate(services, 1):
            ports[web], ports[echo] = 8000 + number, 9500 + number
            forwards += ["--forward", f"tcp://127.0.0.1:{ports[web]}={web}",
                         "--forward", f"udp://127.0.0.1:{ports[echo]}={echo}"]
        self.forwards[name] = ports
        return self._daemon(host, f"agent-{name}", "agent", [
            program("ztna-agent"), "--intermediate", f"{self.intermediate}:{intermediate_port}",
            "--cert-dir", self._issue("agent", name), *forwards, *flags])

    @staticmethod
    def wait_uplink(daemon: Daemon) -> None:
        daemon.wait_status(lambda s: any(u["state"] == "up" for u in s.get("uplinks", [])),
                           "an uplink to the Intermediate")

    @staticmethod
    def wait_service(agent: Daemon, service: str) -> None:
        agent.wait_status(
            lambda s: any(e["name"] == service and any(i["healthy"] for i in e["instances"])
                          for e in s.get("services", [])), f"service {service}")
