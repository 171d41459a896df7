"""Topologies: sites with their NATs, an Intermediate with two addresses, and a network between them.

    routed     every site and the Intermediate hang on one router: two hops between two NATs
    long       each site's provider has a router of its own: four hops
    adjacent   all on one Ethernet: the NATs are neighbours, and a packet with TTL 2 reaches the peer

Addresses (all within the laboratory's namespaces): the Intermediate 198.18.0.10 and .20; site N
198.18.N.2 outside, 192.168.N.0/24 inside, 100.64.N.0/24 behind a carrier's NAT; in IPv6
2001:db8:N:1::2 outside and 2001:db8:N:2::/64 inside.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
import time

from . import nat, oracle, wire
from .line import Line
from .namespaces import Host, Laboratory

INTERMEDIATE = "198.18.0.10"
INTERMEDIATE_ALT = "198.18.0.20"
INTERMEDIATE_IPV6 = "2001:db8:0:1::10"
CORE = "198.18.0.1"
SHAPES = ("routed", "long", "adjacent")


@dataclasses.dataclass(frozen=True)
class SiteSpec:
    """What stands at one end. `nats` from the inside out; none: a public host."""

    nats: tuple[nat.Nat, ...] = ()
    lan: int = 0  # the third octet of 192.168.N.0/24; 0: the site's number
    line: Line | None = None  # to the Internet; None: as fast as this machine

    @property
    def behaviour(self) -> oracle.Behaviour:
        return oracle.chain([n.behaviour for n in self.nats])

    @property
    def label(self) -> str:
        return " behind ".join(n.label for n in self.nats) or "no NAT"


@dataclasses.dataclass
class Site:
    name: str
    number: int
    spec: SiteSpec
    hosts: list[Host] = dataclasses.field(default_factory=list)
    routers: list[Host] = dataclasses.field(default_factory=list)  # from the inside out
    inside: list[nat.Inside] = dataclasses.field(default_factory=list)
    outside_address: str = ""

    def __post_init__(self):
        self.outside_address = f"198.18.{self.number}.2"

    @property
    def outermost(self) -> Host:
        return self.routers[-1] if self.routers else self.hosts[0]


class Wan:
    def __init__(self, lab: Laboratory, shape: str = "routed", ipv6: bool = False):
        assert shape in SHAPES and not (ipv6 and shape == "adjacent")
        self.lab = lab
        self.shape = shape
        self.ipv6 = ipv6
        self.sites: list[Site] = []
        self.core = lab.host("core", router=True, ipv6=ipv6)
        if shape == "adjacent":
            self.core.ip("link add br0 type bridge", "link set dev br0 up",
                         f"addr add {CORE}/16 dev br0")
        self.intermediate = lab.host("intermediate", ipv6=ipv6)
        self._attach_intermediate()

    def _attach_intermediate(self):
        host, bits = self.intermediate, 16 if self.shape == "adjacent" else 24
        self.lab.link(self.core, "to-relay", host, "eth0")
        host.ip(f"addr add {INTERMEDIATE}/{bits} dev eth0",
                f"addr add {INTERMEDIATE_ALT}/{bits} dev eth0",
                f"route add default via {CORE}")
        if self.shape == "adjacent":
            self.core.ip("link set dev to-relay master br0")
        else:
            self.core.ip(f"addr add {CORE}/24 dev to-relay")
        if self.ipv6:
            self.core.ip("addr add 2001:db8:0:1::1/64 dev to-relay nodad")
            host.ip(f"addr add {INTERMEDIATE_IPV6}/64 dev eth0 nodad",
                    "route add default via 2001:db8:0:1::1")

    # --- sites

    def site(self, name: str, spec: SiteSpec, hosts: tuple[str, ...]) -> Site:
        """`hosts` stand inside the innermost NAT, each on an Ethernet of its own when there are two
        of them; without any, somebody may come. A public site has one host."""
        site = Site(name, len(self.sites) + 1, spec)
        self.sites.append(site)
        if not spec.nats:
            assert len(hosts) == 1
            host = self.lab.host(hosts[0], ipv6=self.ipv6)
            site.hosts.append(host)
            self._attach_outside(site, host, "eth0")
            return site
        for index, _ in enumerate(spec.nats):
            label = f"{'nat' if index == 0 else 'carrier'}-{name}"
            site.routers.append(self.lab.host(label, router=True, ipv6=self.ipv6))
        self._attach_hosts(site, hosts)
        self._join_routers(site)
        self._attach_outside(site, site.routers[-1], "wan")
        self._load_rules(site)
        return site

    def _attach_hosts(self, site: Site, hosts: tuple[str, ...]):
        for name in hosts:
            self._plug(site, self.lab.host(name, ipv6=self.ipv6))

    def _plug(self, site: Site, host: Host):
        router, index = site.routers[0], len(site.hosts)
        net = (site.spec.lan or site.number) + 100 * index
        port = "lan" if index == 0 else "lan2"
        self.lab.link(router, port, host, "eth0")
        router.ip(f"addr add 192.168.{net}.1/24 dev {port}")
        host.ip(f"addr add 192.168.{net}.10/24 dev eth0",
                f"route add default via 192.168.{net}.1")
        if self.ipv6:
            six = f"2001:db8:{site.number}:{2 + index}:"
            router.ip(f"addr add {six}:1/64 dev {port} nodad")
            host.ip(f"addr add {six}:10/64 dev eth0 nodad",
                    f"route add default via {six}:1")
        site.hosts.append(host)
        site.inside.append(nat.Inside(f"192.168.{net}.10", f"192.168.{net}.0/24"))

    def _join_routers(self, site: Site):
        """Each router's `wan` is in the network of the next one's `lan`, as with a carrier's NAT."""
        for inner, outer in zip(site.routers, site.routers[1:]):
            self.lab.link(inner, "wan", outer, "lan")
            inner.ip(f"addr add 100.64.{site.number}.2/24 dev wan",
                     f"route add default via 100.64.{site.number}.1")
            outer.ip(f"addr add 100.64.{site.number}.1/24 dev lan")

    def _load_rules(self, site: Site):
        inside = site.inside
        if len(inside) == 2:
            # A full cone in front of two hosts: the Connector's port is known, the rest is the
            # Agent's.
            inside = [dataclasses.replace(inside[0], ports="1024-4433, 4435-65535"),
                      dataclasses.replace(inside[1], ports="4434")]
            inside[0] = dataclasses.replace(inside[0], ports="{ " + inside[0].ports + " }")
        for router, rule_set in zip(site.routers, site.spec.nats):
            router.nft(nat.rules(rule_set, inside))
            if self.ipv6:
                router.nft(nat.IPV6_FIREWALL)
            inside = [nat.Inside(f"100.64.{site.number}.2", f"100.64.{site.number}.0/24")]

    def _attach_outside(self, site: Site, host: Host, port: str):
        n, cable = site.number, f"to-{site.name}"
        if self.shape == "adjacent":
            self._cable(site, host, port, self.core, cable)
            host.ip(f"addr add {site.outside_address}/16 dev {port}", f"route add default via {CORE}")
            self.core.ip(f"link set dev {cable} master br0")
            return
        provider = self._provider(site) if self.shape == "long" else self.core
        down = "downstream" if self.shape == "long" else cable
        self._cable(site, host, port, provider, down)
        provider.ip(f"addr add 198.18.{n}.1/24 dev {down}")
        host.ip(f"addr add {site.outside_address}/24 dev {port}",
                f"route add default via 198.18.{n}.1")
        if self.ipv6:
            provider.ip(f"addr add 2001:db8:{n}:1::1/64 dev {down} nodad",
                        f"route add 2001:db8:{n}::/48 via 2001:db8:{n}:1::2")
            host.ip(f"addr add 2001:db8:{n}:1::2/64 dev {port} nodad",
                    f"route add default via 2001:db8:{n}:1::1")

    def _cable(self, site: Site, a: Host, a_name: str, b: Host, b_name: str):
        """With the site's line in it, which takes no hop."""
        if site.spec.line is None:
            self.lab.link(a, a_name, b, b_name)
            return
        line = self.lab.host(f"line-{site.name}")
        self.lab.link(a, a_name, line, "near")
        self.lab.link(b, b_name, line, "far")
        for end, name in ((a, a_name), (b, b_name)):
            wire.offloads_off(end, name)
        line.spawn(line.name, sys.executable, "-B", str(pathlib.Path(__file__).with_name("line.py")),
                   str(site.spec.line), "near", "far").wait_log("forwarding")

    def _provider(self, site: Site) -> Host:
        n = site.number
        isp = self.lab.host(f"isp-{site.name}", router=True, ipv6=self.ipv6)
        self.lab.link(isp, "upstream", self.core, f"to-{site.name}")
        isp.ip(f"addr add 10.200.{n}.2/24 dev upstream", f"route add default via 10.200.{n}.1")
        self.core.ip(f"addr add 10.200.{n}.1/24 dev to-{site.name}",
                     f"route add 198.18.{n}.0/24 via 10.200.{n}.2")
        if self.ipv6:
            isp.ip(f"addr add 2001:db8:{n}:ff::2/64 dev upstream nodad",
                   f"route add default via 2001:db8:{n}:ff::1")
            self.core.ip(f"addr add 2001:db8:{n}:ff::1/64 dev to-{site.name} nodad",
                         f"route add 2001:db8:{n}::/48 via 2001:db8:{n}:ff::2")
        return isp

    # --- events

    def forbid_udp(self, a: Site, b: Site, larger_than: int = 0):
        """Between two sites, silently: no ICMP; all of it, or only packets of more octets. What each
        has with the Intermediate goes on."""
        for host in a.hosts + b.hosts:
            wire.offloads_off(host, "eth0")  # a batch of packets is not a large one
        both = f"{{ {a.outside_address}, {b.outside_address} }}"
        self.core.nft(f"""
table ip forbidden {{
  chain forward {{
    type filter hook forward priority filter; policy accept;
    meta l4proto udp meta length > {larger_than} ip saddr {both} ip daddr {both} counter drop
  }}
}}
""")

    def permit_udp(self):
        self.core.nft("delete table ip forbidden\n")

    def move(self, host: Host, old: Site, new: Site):
        """The host is unplugged at one site and plugged in at the other: another address, another
        router."""
        host.ip("link del dev eth0")
        del old.inside[old.hosts.index(host)]
        old.hosts.remove(host)
        self._plug(new, host)

    def renumber(self, site: Site, host: Host):
        """The home's router gives the host another address, and takes the old one back."""
        inside = site.inside[site.hosts.index(host)]
        net = inside.address.rpartition(".")[0]
        host.ip(f"addr del {inside.address}/24 dev eth0", f"addr add {net}.66/24 dev eth0",
                f"route replace default via {net}.1")
        site.inside[site.hosts.index(host)] = dataclasses.replace(inside, address=f"{net}.66")

    def forward_port(self, site: Site, port: int):
        """As the owner of the outer router would: to what is behind it."""
        inside = site.inside[0].address if len(site.routers) == 1 else f"100.64.{site.number}.2"
        site.routers[-1].nft('add rule ip router prerouting iifname "wan" '
                             f"udp dport {port} dnat to {inside}\n")

    def new_ports(self, site: Site, ports: str):
        """The outer router restarts its NAT: nothing is remembered, and mappings get other ports."""
        site.routers[-1].nft(f"""
flush chain ip router postrouting
add rule ip router postrouting oifname "wan" meta l4proto udp masquerade to :{ports} persistent
add rule ip router postrouting oifname "wan" masquerade
""")
        site.routers[-1].run("conntrack", "-F")

    def reboot(self, site: Site, seconds: float = 1.0):
        """The outer router restarts and gets another address: its NAT has forgotten everything."""
        router, old, new = site.routers[-1], site.outside_address, f"198.18.{site.number}.77"
        router.ip("link set dev wan down", f"addr del {old}/24 dev wan")
        router.run("conntrack", "-F")
        time.sleep(seconds)
        router.ip(f"addr add {new}/24 dev wan", "link set dev wan up",
                  f"route replace default via 198.18.{site.number}.1")
        site.outside_address = new
