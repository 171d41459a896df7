"""nebula: two networks of it, of which one may use the direct path and one has to be relayed. The
lighthouse, which is also the relay, stands where our Intermediate does."""

from __future__ import annotations

import dataclasses
import time

from ztna_lab.namespaces import Host, LabError, Process, need, run, wait_for
from ztna_lab.programs import program

from .. import load
from ..places import GAME, Homes
from .peer import Peer, Relaying, Way

_CONFIG = """
pki: {{ ca: {folder}/nebula-ca.crt, cert: {folder}/{name}.crt, key: {folder}/{name}.key }}
static_host_map: {{ "{lighthouse}": ["{relay}:{port}"] }}
lighthouse: {{ am_lighthouse: {is_relay}, interval: 5, hosts: [{hosts}] }}
listen: {{ host: 0.0.0.0, port: {port} }}
punchy: {{ punch: true, respond: true }}
relay: {{ am_relay: {is_relay}, use_relays: true, relays: [{hosts}] }}
tun: {{ dev: {device} }}
cipher: aes
firewall:
  outbound: [{{ port: any, proto: any, host: any }}]
  inbound: [{{ port: any, proto: any, host: any }}]
"""


@dataclasses.dataclass(frozen=True)
class Network:
    name: str
    number: int  # 10.91.N.0/24
    port: int

    def address(self, host: Host) -> str:
        return f"10.91.{self.number}.{('intermediate', 'client', 'server').index(host.name) + 1}"


TRIES = 15  # of getting to the direct path
DIRECT, RELAYED = Network("direct", 2, 4250), Network("relayed", 3, 4251)


class Nebula(Peer):
    programs = {"nebula": "nebula", "nebula-cert": "nebula"}

    def start(self, place: Homes) -> list[Way]:
        self.place = place
        folder = place.lab.folder
        run([need("nebula-cert", "nebula"), "ca", "-name", "bench", "-out-crt", f"{folder}/nebula-ca.crt",
             "-out-key", f"{folder}/nebula-ca.key"])
        place.forbid_udp(RELAYED.port)
        place.count_udp(DIRECT.port)
        place.relay.spawn("echo-lighthouse", program("udp_latency"), "echo", str(GAME))
        self.running = {network.name: [self._run(network, host) for host in
                                       (place.relay, place.server, place.client)]
                        for network in (DIRECT, RELAYED)}
        self._wait(RELAYED)
        self._wait_direct()
        may_fail_over = Relaying(
            wait_direct=self._wait_direct, permit=self._permit,
            forbid=lambda: place.forbid_udp(RELAYED.port, DIRECT.port))
        return [Way("nebula, direct", DIRECT.address(place.server), may_fail_over),
                Way("nebula, relayed", RELAYED.address(place.server),
                    Relaying(restart=lambda: self._restart(RELAYED)))]

    def _run(self, network: Network, host: Host) -> Process:
        folder, name = self.place.lab.folder, f"nebula-{network.name}-{host.name}"
        lighthouse = network.address(self.place.relay)
        run([need("nebula-cert", "nebula"), "sign", "-name", name, "-ip", f"{network.address(host)}/24",
             "-ca-crt", f"{folder}/nebula-ca.crt", "-ca-key", f"{folder}/nebula-ca.key",
             "-out-crt", f"{folder}/{name}.crt", "-out-key", f"{folder}/{name}.key"])
        is_relay = host is self.place.relay
        config = folder / f"{name}.yml"
        config.write_text(_CONFIG.format(
            folder=folder, name=name, lighthouse=lighthouse, relay=self.place.relay_at["client"],
            port=network.port, is_relay=str(is_relay).lower(),
            hosts="" if is_relay else f'"{lighthouse}"', device=f"neb{network.number}"))
        return host.spawn(name, need("nebula", "nebula"), "-config", str(config))

    def _wait(self, network: Network):
        server = network.address(self.place.server)
        wait_for(lambda: load.answers(self.place.client, server),
                 f"an answer through nebula, {network.name}", 60)

    def _restart(self, network: Network):
        """Both ends; after that they have their lighthouse again, and no tunnel to each other."""
        for process in self.running[network.name][1:]:
            process.stop()
            process.start()
        lighthouse = network.address(self.place.relay)
        for host in (self.place.client, self.place.server):
            wait_for(lambda h=host: load.answers(h, lighthouse), "nebula's lighthouse", 60)
        time.sleep(1)

    def _is_direct(self) -> bool:
        before = self.place.counted(DIRECT.port)
        for _ in range(20):
            load.answers(self.place.client, DIRECT.address(self.place.server))
        return self.place.counted(DIRECT.port) - before >= 40

    def _wait_direct(self):
        """Its first handshake is that by the relay, between NATs that let nobody in; it looks for
        something better each 1000 packets."""
        for _ in range(TRIES):
            self._wait(DIRECT)
            if self._is_direct():
                return
            load.udp(self.place.client, DIRECT.address(self.place.server), 2, rate=1000)
        raise LabError("nebula does not leave the relay")

    def _permit(self):
        self.place.forbid_udp(RELAYED.port)
        self._restart(DIRECT)
