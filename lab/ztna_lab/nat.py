"""Rule sets of routers: what Linux boxes at home and at carriers do, in nftables.

The interface towards the Internet is `wan`, the inside is `lan` (and `lan2`).
"""

from __future__ import annotations

import dataclasses

from .oracle import Behaviour


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    common: str           # the name that RFC 3489 made common
    behaviour: Behaviour  # in the words of RFC 4787
    ports: str            # preserving, range, random
    verdict: str          # what Debian's stun-client says of it ("Primary: …"), without hairpinning


OPEN = Behaviour("independent", "independent")

KINDS = {kind.name: kind for kind in (
    Kind("full-cone", "full cone", OPEN, "preserving",
         "Independent Mapping, Independent Filter, preserves ports"),
    Kind("address-restricted", "address-restricted cone", Behaviour("independent", "address"),
         "preserving", "Independent Mapping, Address Dependent Filter, preserves ports"),
    Kind("port-restricted", "port-restricted cone", Behaviour("independent", "port"), "preserving",
         "Independent Mapping, Port Dependent Filter, preserves ports"),
    Kind("port-range", "port-restricted cone, new ports", Behaviour("independent", "port"), "range",
         "Independent Mapping, Port Dependent Filter, random port"),
    Kind("random", "symmetric (masquerade random)", Behaviour("dependent", "port"), "random",
         "Dependent Mapping, random port"),
    Kind("symmetric", "symmetric (masquerade fully-random)", Behaviour("dependent", "port"),
         "random", "Dependent Mapping, random port"),
)}

_MASQUERADE = {
    "port-range": 'oifname "wan" meta l4proto udp masquerade to :40000-40999 persistent\n'
                  '    oifname "wan" masquerade',
    "random": 'oifname "wan" masquerade random',
    "symmetric": 'oifname "wan" masquerade fully-random',
}


@dataclasses.dataclass(frozen=True)
class Nat:
    """One router with NAT, as a scenario wants it."""

    kind: str = "port-restricted"
    # Unsolicited packets to the router itself are dropped, as bought routers do. Without it a plain
    # Linux gateway answers them, and conntrack remembers a connection that blocks the port.
    input_drop: bool = True
    hairpin: bool = False  # full-cone only: the others cannot do it with conntrack
    isolated: bool = False  # two inside networks may not talk to each other directly
    block_udp: str = ""    # "", "all", or "but-443"

    @property
    def label(self) -> str:
        return (self.kind + (", hairpin" if self.hairpin else "")
                + ("" if self.input_drop else ", input open")
                + {"": "", "all": ", no UDP", "but-443": ", UDP 443 only"}[self.block_udp])

    @property
    def behaviour(self) -> Behaviour:
        return KINDS[self.kind].behaviour


@dataclasses.dataclass(frozen=True)
class Inside:
    """A host behind the router, and which outside ports a full cone hands to it."""

    address: str
    network: str
    ports: str = "1024-65535"


def _inbound(nat: Nat, inside: list[Inside]) -> str:
    if nat.kind == "full-cone":
        where = 'fib daddr type local' if nat.hairpin else 'iifname "wan"'
        guard = "".join(f" ip daddr != {i.network}" for i in inside) if nat.hairpin else ""
    elif nat.kind == "address-restricted":
        where, guard = 'iifname "wan" udp dport . ip saddr @peers', ""
    else:
        return ""
    return "\n    ".join(f"{where}{guard} udp dport {i.ports} dnat to {i.address}" for i in inside)


def _forward(nat: Nat) -> list[str]:
    rules = []
    if nat.block_udp == "but-443":  # not `dport != 443 sport != 443`: nft 1.0.6 merges those wrongly
        rules += ["udp dport 443 accept", "udp sport 443 accept"]
    if nat.block_udp:
        rules.append("meta l4proto udp drop")
    if nat.isolated:
        rules.append('iifname { "lan", "lan2" } oifname { "lan", "lan2" } ct status dnat accept')
        rules.append('iifname { "lan", "lan2" } oifname { "lan", "lan2" } drop')
    if nat.kind == "address-restricted":
        rules.append('oifname "wan" update @peers { udp sport . ip daddr }')
    return rules


def rules(nat: Nat, inside: list[Inside]) -> str:
    """The whole rule set. `peers`: to whom each port, which stays what it is, has sent."""
    hairpin = ""
    if nat.hairpin:
        networks = ", ".join(sorted({i.network for i in inside}))
        hairpin = f"ip saddr {{ {networks} }} ip daddr {{ {networks} }} ct status dnat masquerade"
    masquerade = _MASQUERADE.get(nat.kind, 'oifname "wan" masquerade')
    drop = 'iifname "wan" ct state new drop' if nat.input_drop else ""
    forward = "\n    ".join(_forward(nat))
    return f"""
table ip router {{
  set peers {{ type inet_service . ipv4_addr; flags dynamic,timeout; timeout 120s; }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    {_inbound(nat, inside)}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    {masquerade}
    {hairpin}
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    {drop}
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    {forward}
  }}
}}
"""


# IPv6 has no NAT. Home routers let nothing in that was not asked for.
IPV6_FIREWALL = """
table ip6 router {
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "wan" ct state new icmpv6 type != { nd-neighbor-solicit, nd-neighbor-advert } drop
    iifname "wan" ct state new meta l4proto != ipv6-icmp drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "wan" ct state new drop
  }
}
"""
