"""Where the applications run.

    client ── NAT ── line ── Internet ── line ── NAT ── server
    Agents                      │                       Connector, services
                           Intermediate

Two Agents on the client's host, of which one may not leave the relay: each has a session of its own
and its forwards at a loopback address of its own. With no tunnel, the server's router forwards the
services' ports.
"""

from __future__ import annotations

import dataclasses
import time

from ztna_bench.figures import RAW
from ztna_lab import system, traffic, wan
from ztna_lab.content import blocks
from ztna_lab.line import Line
from ztna_lab.namespaces import Laboratory, LabError, need, wait_for
from ztna_lab.programs import program
from ztna_lab.scene import home
from ztna_lab.system import Daemon

DIRECT, RELAY = "direct", "relay"
WAYS = {RAW: "no tunnel", DIRECT: "direct", RELAY: "over the relay"}
ADDRESSES = {DIRECT: "127.0.0.1", RELAY: "127.0.0.2"}
CONNECTOR = "home"
# Service to its port: of the backend, of the forwards, and of the server's router.
TCP = {"httpbin": 18081, "files": 8080, "echo": 8765, "page": 8788}
UDP = {"game": 27960}
HELLO = b"Hello from behind two NATs.\n"

_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log; user root;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 0.0.0.0:{port}; root {folder}/www; }} }}
"""


@dataclasses.dataclass
class End:
    """One way to the services."""

    way: str
    address: str           # where the client finds their ports
    client_interface: str  # on which the client's packets to them can be seen, in the clear
    server_interface: str


class Homes(system.System):
    def __init__(self, lab: Laboratory, line: Line | None = None):
        net = wan.Wan(lab)
        site = dataclasses.replace(home(), line=line)
        self.sites = [net.site(name, site, (host,)) for name, host in (("a", "client"), ("b", "server"))]
        self.client, self.server = (site.hosts[0] for site in self.sites)
        super().__init__(net)
        self.agents: dict[str, Daemon] = {}
        self._forward_ports()

    def _forward_ports(self):
        ports = [(kind, ", ".join(map(str, services.values())))
                 for kind, services in (("tcp", TCP), ("udp", UDP))]
        inside = self.sites[1].inside[0].address
        rules = "\n    ".join(f'iifname "wan" {kind} dport {{ {numbers} }} dnat to {inside}'
                              for kind, numbers in ports)
        self.sites[1].routers[0].nft(f"""
table ip forwards {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    {rules}
  }}
}}
""")

    def end(self, way: str) -> End:
        if way == RAW:
            return End(way, self.sites[1].outside_address, "eth0", "eth0")
        return End(way, ADDRESSES[way], "lo", "lo")

    # --- what runs in them

    def serve_files(self, *sizes: int) -> None:
        """nginx, with /bytes/SIZE for each of them and a page of a few octets."""
        files = self.folder / "www/bytes"
        files.mkdir(parents=True)
        (self.folder / "www/index.html").write_bytes(HELLO)
        for size in sizes:
            with (files / str(size)).open("wb") as file:
                file.writelines(blocks(size))
        (self.folder / "nginx.conf").write_text(_NGINX.format(folder=self.folder, port=TCP["files"]))
        self.server.spawn("nginx", need("nginx", "nginx"), "-c", str(self.folder / "nginx.conf"),
                          "-e", str(self.folder / "nginx-error.log"))
        self.wait_port("files")

    def wait_port(self, service: str) -> None:
        wait_for(lambda: f":{TCP[service]} " in self.server.run("ss", "-Hltn").stdout,
                 f"service {service} on its port", 30)

    def start(self) -> None:
        """Intermediate and Connector."""
        self.policy({way: [*TCP, *UDP] for way in ADDRESSES})
        self.start_intermediate()
        offers = [part for kind, services in (("tcp", TCP), ("udp", UDP))
                  for name, port in services.items()
                  for part in ("--service", f"{name}={kind}://127.0.0.1:{port}")]
        self.connector = self._daemon(self.server, "connector", "connector", [
            program("app-connector"), "--intermediate", f"{wan.INTERMEDIATE}:{system.PORT}",
            "--cert-dir", self._issue("connector", CONNECTOR, "--serve", "*"),
            "--policy", self._at("policy.toml"), *offers])
        self.wait_uplink(self.connector)

    def start_path(self, way: str) -> Daemon:
        """The Agent of that way, with its session where it belongs. It needs serve_files()."""
        forwards = [part for kind, services in (("tcp", TCP), ("udp", UDP))
                    for name, port in services.items()
                    for part in ("--forward", f"{kind}://{ADDRESSES[way]}:{port}={name}")]
        agent = self.agents[way] = self._daemon(self.client, f"agent-{way}", f"agent-{way}", [
            program("ztna-agent"), "--intermediate", f"{wan.INTERMEDIATE}:{system.PORT}",
            "--cert-dir", self._issue("agent", way), "--health", "off", *forwards,
            *(["--no-p2p"] if way == RELAY else [])])
        self.wait_service(agent, "files")
        wait_for(lambda: self._reached(way), f"the {way} path")
        return agent

    def _reached(self, way: str) -> bool:
        """A move is traffic's business, so there is some."""
        return (traffic.get(self.client, TCP["files"], address=ADDRESSES[way]) == HELLO
                and self.path(way) == way)

    def path(self, way: str) -> str:
        return self.agents[way].path_to(CONNECTOR)

    def moves(self, way: str, begin: float, end: float) -> list[tuple[float, str]]:
        """When the session moved to another path, as time.time(), and where and why: what is measured
        meanwhile is no figure of one path alone. A machine with too much to do moves sessions."""
        if way not in self.agents:
            return []
        now = time.time()
        found = [(now - each["ago_s"], f"to {each['to']} ({each['reason']})")
                 for each in self.agents[way].session_with(CONNECTOR).get("switches", [])]
        return [(at, text) for at, text in found if begin <= at <= end]

    def cut_direct(self) -> None:
        """The Internet drops all UDP between the two homes, and says nothing."""
        self.wan.forbid_udp(*self.sites)


def host_environment(lab: Laboratory, name: str) -> dict[str, str]:
    """A home folder of its own for a program that wants to write into one."""
    folder = lab.folder / f"home-{name}"
    folder.mkdir(exist_ok=True)
    return {"HOME": str(folder), "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/games"}
