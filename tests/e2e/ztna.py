"""The system under test, for end-to-end tests: a folder with a CA, and the daemons as processes.

Everything listens on ports that the kernel chose. Waiting is done on conditions with a deadline,
never for a fixed time.
"""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BIN = pathlib.Path(os.environ.get("ZTNA_BIN_DIR", "build/dev/bin")).resolve()
TRUST_DOMAIN = "example.org"


def wait_for(condition, what: str, timeout: float = 20.0):
    """The first true value of condition(); fails with `what` when there is none in time."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(0.02)


def free_port(kind=socket.SOCK_STREAM, host: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


class Process:
    """A child with its output in a file."""

    def __init__(self, name: str, argv: list[str], log: pathlib.Path, prefix: tuple[str, ...] = (),
                 env: dict[str, str] | None = None):
        self.name = name
        self.argv = [*prefix, *argv]
        self.log_path = log
        self.env = {**os.environ, **(env or {})}
        self.process: subprocess.Popen | None = None
        self.start()

    def start(self):
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self.argv, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, env=self.env)

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_log(self, text: str, timeout: float = 20.0, after: int = 0):
        wait_for(lambda: text in self.log()[after:], f"{text!r} in the log of {self.name}:\n{self.log()}",
                 timeout)

    def running(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int):
        self.process.send_signal(number)

    def kill(self):
        if self.running():
            self.process.kill()
        self.process.wait()

    def stop(self, timeout: float = 15.0) -> int:
        """SIGTERM; the exit code."""
        if self.running():
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not end on SIGTERM:\n{self.log()}") from None

    def memory_kib(self) -> int:
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")


class Daemon(Process):
    def __init__(self, name, argv, folder: pathlib.Path, prefix=(), env=None):
        self.control = str(folder / f"{name}.sock")
        self.audit_path = folder / f"{name}.audit"
        super().__init__(name, [*argv, "--control", self.control, "--audit-log", str(self.audit_path)],
                         folder / f"{name}.log", prefix, env)

    def request(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        connection = UnixConnection(self.control)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def status(self) -> dict:
        return json.loads(self.request("GET", "/v1/status")[1])

    def try_status(self) -> dict:
        try:
            return self.status()
        except (OSError, http.client.HTTPException, ValueError):
            return {}

    def metrics(self) -> dict[str, float]:
        """Sample, labels included, to value."""
        host, port = self.status()["health"].rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def wait_status(self, condition, what: str, timeout: float = 20.0) -> dict:
        def check():
            if not self.running():
                raise AssertionError(f"{self.name} ended early:\n{self.log()}")
            status = self.try_status()
            return status if status and condition(status) else None

        return wait_for(check, f"{what} at {self.name}:\n{self.log()}", timeout)

    def audit(self) -> list[dict]:
        if not self.audit_path.exists():
            return []
        return [json.loads(line) for line in self.audit_path.read_text().splitlines()]


class World:
    """A CA, a policy, one Intermediate, and any number of Connectors and Agents."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ztna-e2e-"))
        self.processes: list[Process] = []
        self.ztna("ca", "init", "--trust-domain", TRUST_DOMAIN, "--out", self.path("ca"))
        self.issue("intermediate", "relay", "--ip", "127.0.0.1")
        self.intermediates: list[tuple[str, int]] = []

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def close(self):
        failures = []
        for process in reversed(self.processes):
            if process.process.poll() is None:
                try:
                    process.stop()
                except AssertionError as error:
                    failures.append(str(error))
        shutil.rmtree(self.folder, ignore_errors=True)
        if failures:
            raise AssertionError("\n".join(failures))

    # --- the tool
    def ztna(self, *args: str, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run([BIN / "ztna", *args], capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f"ztna {' '.join(args)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def issue(self, role: str, name: str, *extra: str, ca: str = "ca") -> str:
        out = self.path(f"{role}-{name}")
        self.ztna("ca", "issue", "--ca-dir", self.path(ca), "--role", role, "--name", name,
                  *extra, "--out", out)
        return out

    # --- configuration
    def policy(self, text: str) -> str:
        path = self.folder / "policy.toml"
        scratch = self.folder / "policy.toml.new"
        scratch.write_text(text)
        scratch.rename(path)
        return str(path)

    def allow(self, services: dict[str, list[str]], connectors: list[str] | None = None):
        """services: for each Agent what it may reach; every Connector may serve all of it."""
        lines = []
        every = sorted({s for names in services.values() for s in names})
        lines += ["[[serve]]", f"connectors = {json.dumps(connectors or ['*'])}",
                  f"services = {json.dumps(every)}"]
        for agent, names in services.items():
            lines += ["[[allow]]", f"agents = {json.dumps([agent])}", f"services = {json.dumps(names)}"]
        return self.policy("\n".join(lines) + "\n")

    # --- processes
    def spawn(self, name: str, argv: list[str], **kwargs) -> Process:
        process = Process(name, argv, self.folder / f"{name}.log", **kwargs)
        self.processes.append(process)
        return process

    def daemon(self, program: str, name: str, *args: str, prefix=(), env=None) -> Daemon:
        daemon = Daemon(name, [str(BIN / program), *args], self.folder, prefix, env)
        self.processes.append(daemon)
        return daemon

    def intermediate(self, *extra: str, listen: str = "127.0.0.1:0", name: str = "intermediate",
                     health: str = "off", prefix=()) -> Daemon:
        daemon = self.daemon("intermediate-server", name, "--listen", listen,
                             "--cert-dir", self.path("intermediate-relay"),
                             "--policy", self.path("policy.toml"), "--health", health, *extra,
                             prefix=prefix)
        status = daemon.wait_status(lambda s: s.get("listen"), "a listen address")
        host, port = status["listen"][0].rsplit(":", 1)
        self.intermediates.append((host, int(port)))
        # After a restart it is to be found at the same place.
        index = daemon.argv.index("--listen") + 1
        daemon.argv[index] = f"{host}:{port}"
        return daemon

    @property
    def uplink_flags(self) -> list[str]:
        flags = []
        for host, port in self.intermediates:
            flags += ["--intermediate", f"{host}:{port}"]
        return flags

    def connector(self, name: str, services: dict[str, str], *extra: str, wait: bool = True,
                  health: str = "off", prefix=(), daemon_name: str | None = None) -> Daemon:
        folder = pathlib.Path(self.path(f"connector-{name}"))
        if not folder.exists():
            self.issue("connector", name, "--serve", "*")
        flags = []
        for service, url in services.items():
            flags += ["--service", f"{service}={url}"]
        daemon = self.daemon("app-connector", daemon_name or f"connector-{name}", *self.uplink_flags,
                             "--cert-dir", str(folder), "--policy", self.path("policy.toml"),
                             "--health", health, "--p2p-listen-port", "0", *flags, *extra,
                             prefix=prefix)
        if wait:
            daemon.wait_status(lambda s: s["uplinks"][0]["state"] == "up", "an uplink")
        return daemon

    def agent(self, name: str, *flags: str, wait: bool = True, health: str = "off", prefix=(),
              daemon_name: str | None = None, direct: bool = False) -> Daemon:
        """`direct`: may it leave the relay? Between ends on one machine it does so at once."""
        folder = pathlib.Path(self.path(f"agent-{name}"))
        if not folder.exists():
            self.issue("agent", name)
        daemon = self.daemon("ztna-agent", daemon_name or f"agent-{name}", *self.uplink_flags,
                             "--cert-dir", str(folder), "--health", health,
                             *([] if direct else ["--no-p2p"]), *flags, prefix=prefix)
        if wait:
            daemon.wait_status(lambda s: s["uplinks"][0]["state"] == "up", "an uplink")
        return daemon


def forward_port(agent: Daemon, service: str, transport: str = "tcp") -> int:
    """The local port of a --forward that was given port 0."""

    def find():
        for entry in agent.try_status().get("forwards", []):
            if entry["service"] == service and entry["listen"].startswith(transport):
                return int(entry["listen"].rsplit(":", 1)[1])
        return None

    return wait_for(find, f"the port of {transport} forward {service}:\n{agent.log()}")


def wait_service(agent: Daemon, service: str, timeout: float = 20.0):
    """Until the Agent knows a healthy instance of the service."""
    agent.wait_status(
        lambda s: any(e["name"] == service and any(i["healthy"] for i in e["instances"])
                      for e in s["services"]),
        f"service {service}", timeout)


def listening(port: int) -> bool:
    """Is a TCP socket of this network namespace listening there? Asks the kernel, not the server."""
    # proc(5): local address, remote address, state; 0A is TCP_LISTEN.
    rows = (line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/net/{name}"))
    return any(row[3] == "0A" and row[1].endswith(f":{port:04X}") for row in rows)


def wait_listening(port: int, what: str = "a server"):
    wait_for(lambda: listening(port), f"{what} on port {port}")


def curl(*args: str, timeout: float = 120.0) -> subprocess.CompletedProcess:
    return subprocess.run(["curl", "--silent", "--show-error", "--noproxy", "*",
                           "--max-time", str(int(timeout)), *args],
                          capture_output=True, timeout=timeout + 10)


def failures(agent: Daemon, service: str) -> list[dict]:
    """Flows to the service that the Agent reports as failed."""
    return [f for f in agent.status()["failures"] if f["service"] == service]


def is_reset(connection: socket.socket, timeout: float = 10.0) -> bool:
    """Reads until the connection ends: true for a reset, false for an orderly end."""
    connection.settimeout(timeout)
    try:
        while connection.recv(65536):
            pass
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


def reset_at(port: int, timeout: float = 10.0) -> float | None:
    """Connects, and reads until the end. The seconds until a reset; None for an orderly end."""
    started = time.monotonic()
    try:
        # A reset may come before connect() has returned.
        with socket.create_connection(("127.0.0.1", port), timeout) as connection:
            reset = is_reset(connection, timeout)
    except ConnectionResetError:
        reset = True
    return time.monotonic() - started if reset else None
