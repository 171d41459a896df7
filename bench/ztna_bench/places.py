"""Where figures are taken.

    road    client ── relay ── server       the Intermediate's host routes between the two

    homes   client ── NAT ── Internet ── NAT ── server       two port-restricted NATs, and the
                                │                            Intermediate's host beside the path
                              relay
"""

from __future__ import annotations

import dataclasses
import re

from ztna_lab import wan
from ztna_lab.namespaces import Host, Laboratory
from ztna_lab.scene import home

PERF, WEB, GAME = 5201, 8080, 27960  # ports of the services, of the forwards, and of the raw path


@dataclasses.dataclass
class Place:
    lab: Laboratory
    client: Host
    server: Host
    relay: Host
    relay_at: dict[str, str]  # by what address each of the two reaches the relay
    raw: str                  # at this address the client reaches the server's ports


def road(lab: Laboratory) -> Place:
    client, server = lab.host("client"), lab.host("server")
    relay = lab.host("relay", router=True)
    for n, host in enumerate((client, server), 1):
        lab.link(relay, f"to-{host.name}", host, "eth0")
        relay.ip(f"addr add 10.81.{n}.1/24 dev to-{host.name}")
        host.ip(f"addr add 10.81.{n}.2/24 dev eth0", f"route add default via 10.81.{n}.1")
    return Place(lab, client, server, relay, {"client": "10.81.1.1", "server": "10.81.2.1"},
                 "10.81.2.2")


@dataclasses.dataclass
class Homes(Place):
    wan: wan.Wan

    @property
    def _between(self) -> str:
        outside = f"{{ {', '.join(site.outside_address for site in self.wan.sites)} }}"
        return f"ip saddr {outside} ip daddr {outside}"

    def forbid_udp(self, *ports: int):
        """Between the two homes, silently, to those ports, and to no others from now on."""
        self._watch("bench_forbidden", "filter", ports, "drop")

    def count_udp(self, *ports: int):
        self._watch("bench_counted", "filter - 1", ports, "counter")

    def counted(self, port: int) -> int:
        """Packets that went directly from home to home, to that port, since count_udp()."""
        rules = self.wan.core.run("nft", "list", "table", "ip", "bench_counted").stdout
        return int(re.search(rf"udp dport {port} counter packets (\d+)", rules).group(1))

    def _watch(self, table: str, priority: str, ports: tuple[int, ...], verdict: str):
        rules = "\n    ".join(f"{self._between} udp dport {port} {verdict}" for port in ports)
        self.wan.core.nft(f"""
table ip {table}
delete table ip {table}
table ip {table} {{
  chain forward {{
    type filter hook forward priority {priority}; policy accept;
    {rules}
  }}
}}
""")

    def separate_tunnels(self):
        """Nobody finds a direct path through somebody else's tunnel: only the echo's datagrams may
        use one."""
        for host in (self.client, self.server):
            host.nft(f"""
table ip bench {{
  chain output {{
    type filter hook output priority filter; policy accept;
    oifname {{ "lo", "eth0" }} accept
    udp dport {GAME} accept
    udp sport {GAME} accept
    meta l4proto udp drop
  }}
}}
""")


def homes(lab: Laboratory, udp_forwards: tuple[int, ...] = ()) -> Homes:
    """The server's router hands the raw path's ports, and those given, to the server. What punches by
    itself does not need it."""
    net = wan.Wan(lab)
    client, server = (net.site(name, home(), (host,)) for name, host in (("a", "client"), ("b", "server")))
    udp = ", ".join(map(str, (GAME, *udp_forwards)))
    server.routers[0].nft(f"""
table ip bench {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    iifname "wan" tcp dport {{ {PERF}, {WEB} }} dnat to {server.inside[0].address}
    iifname "wan" udp dport {{ {udp} }} dnat to {server.inside[0].address}
  }}
}}
""")
    return Homes(lab, client.hosts[0], server.hosts[0], net.intermediate,
                 {"client": wan.INTERMEDIATE, "server": wan.INTERMEDIATE}, server.outside_address, net)
