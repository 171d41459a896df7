"""The scenarios: what is set up, what must come out, and why."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable

from . import events, nat, proof, roaming
from .namespaces import Host, need, wait_for
from .programs import program
from .scene import PUBLIC, Failed, Plan, Scene, home
from .system import P2P_PORT, PORT
from .wan import INTERMEDIATE, SiteSpec


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    summary: str  # one line
    plan: Plan
    play: Callable[[Scene], None]
    slow: bool = False  # more than a minute: begins first, when several run at once


ALL: dict[str, Scenario] = {}


def scenario(name: str, summary: str, plan: Plan, slow: bool = False):
    def register(play):
        ALL[name] = Scenario(name, summary, plan, play, slow)
        return play

    return register


def direct(scene: Scene):
    """The session gets to the direct path, and each end sees the other at its public address."""
    scene.start()
    scene.hello()
    scene.expect_direct(scene.agent_site.outside_address, scene.connector_site.outside_address)
    scene.exact()


def relayed(scene: Scene):
    scene.start()
    scene.hello()
    scene.expect_relay()
    scene.exact()


# --- one session, two networks

CGNAT = SiteSpec((nat.Nat(), nat.Nat()))  # a home router behind a carrier's NAT
LINUX = home(input_drop=False)            # a plain Linux gateway, as Docker makes them
USUAL = SiteSpec((nat.Nat(),), lan=178)   # the LAN of half a town

for _name, _summary, _plan in (
    ("home-to-home", "two homes behind port-restricted NATs", Plan(home(), home())),
    ("no-nat", "both ends have public addresses", Plan(PUBLIC, PUBLIC)),
    ("full-cone-symmetric", "a full cone meets a symmetric NAT",
     Plan(home("full-cone"), home("symmetric"))),
    ("symmetric-full-cone", "a symmetric NAT meets a full cone",
     Plan(home("symmetric"), home("full-cone"))),
    ("cgnat", "a home behind a carrier's NAT meets a home", Plan(CGNAT, home())),
    ("cgnat-both", "two homes, each behind a carrier's NAT", Plan(CGNAT, CGNAT)),
    ("same-addresses", "two homes whose LANs, and whose hosts, have the same private addresses",
     Plan(USUAL, USUAL)),
    ("linux-gateways", "routers that answer strangers, which spoils a punch without openers",
     Plan(LINUX, LINUX)),
    ("linux-gateways-far", "the same, with four hops between them",
     Plan(LINUX, LINUX, shape="long")),
    ("neighbours", "the NATs are on one Ethernet, where openers reach the peer",
     Plan(home(), home(), shape="adjacent")),
):
    scenario(_name, f"{_summary}: direct", _plan)(direct)

for _kind in nat.KINDS.values():
    scenario(f"agent-behind-{_kind.name}", f"Agent behind {_kind.common}, Connector public: direct",
             Plan(home(_kind.name), PUBLIC))(direct)
    scenario(f"connector-behind-{_kind.name}",
             f"Connector behind {_kind.common}, Agent public: direct",
             Plan(PUBLIC, home(_kind.name)))(direct)

for _name, _summary, _plan in (
    ("port-restricted-symmetric", "a port-restricted NAT meets a symmetric one",
     Plan(home(), home("symmetric"))),
    ("symmetric-port-restricted", "a symmetric NAT meets a port-restricted one",
     Plan(home("symmetric"), home())),
    ("symmetric-both", "two symmetric NATs", Plan(home("symmetric"), home("symmetric"))),
):
    scenario(_name, f"{_summary}: stays on the relay", _plan)(relayed)


@scenario("port-forward", "two symmetric NATs, but the Connector's router forwards UDP 4434: direct",
          Plan(home("symmetric"), home("symmetric")))
def _port_forward(scene: Scene):
    site = scene.connector_site
    scene.wan.forward_port(site, P2P_PORT)
    scene.start(connector_flags=("--p2p-advertise", f"{site.outside_address}:{P2P_PORT}"))
    scene.hello()
    scene.expect_direct(scene.agent_site.outside_address, site.outside_address)
    scene.exact()


# --- one NAT in front of both


@scenario("same-nat-lan", "both ends in one home, without hairpin: direct, inside the LAN",
          Plan(home()))
def _same_nat_lan(scene: Scene):
    scene.start()
    scene.hello()
    laptop, server = (inside.address for inside in scene.agent_site.inside)
    scene.expect_direct(laptop, server)
    scene.exact()


@scenario("same-nat-hairpin", "one NAT that hairpins, LANs kept apart: direct, around the router",
          Plan(home("full-cone", hairpin=True, isolated=True)))
def _same_nat_hairpin(scene: Scene):
    scene.start()
    scene.hello()
    scene.expect_direct()
    lan = {inside.address for inside in scene.agent_site.inside}
    seen = {end["peer"].rpartition(":")[0] for end in scene.ends()}
    scene.expect(not seen & lan, f"by the router, not the LAN: {', '.join(sorted(seen))}")
    scene.exact()


@scenario("same-nat-isolated", "one NAT that does not hairpin, LANs kept apart: relay",
          Plan(home(isolated=True)))
def _same_nat_isolated(scene: Scene):
    relayed(scene)


# --- IPv6


@scenario("ipv6", "symmetric NATs in IPv4, stateful firewalls in IPv6: direct by IPv6",
          Plan(home("symmetric"), home("symmetric"), ipv6=True))
def _ipv6(scene: Scene):
    scene.start()
    scene.hello()
    scene.expect_direct("2001:db8:1:2::10", "2001:db8:2:2::10")
    scene.exact()


def _one_has_ipv4_alone(scene: Scene, with_both: str, with_one: str):
    """The Intermediate's name has an address of each family."""
    scene.system.name_intermediate(scene.laptop, scene.server)
    getattr(scene, with_one).sysctl(net__ipv6__conf__all__disable_ipv6=1)
    scene.start()
    scene.hello()
    for host, daemon in (("laptop", scene.agent), ("server", scene.connector)):
        seen = daemon.status()["uplinks"][0]["observed_address"]
        scene.expect(seen.startswith("[") == (host == with_both),
                     f"the {host} reaches the Intermediate from {seen}")
    scene.expect_direct(scene.agent_site.outside_address, scene.connector_site.outside_address)
    scene.exact()


@scenario("dual-stack-agent",
          "Agent dials by IPv6, Connector has IPv4 alone, both behind IPv4 NATs: direct by IPv4",
          Plan(home("port-range"), home(), ipv6=True))
def _dual_stack_agent(scene: Scene):
    _one_has_ipv4_alone(scene, "laptop", "server")


@scenario("dual-stack-connector",
          "Connector dials by IPv6, Agent has IPv4 alone, both behind IPv4 NATs: direct by IPv4",
          Plan(home(), home("port-range"), ipv6=True))
def _dual_stack_connector(scene: Scene):
    _one_has_ipv4_alone(scene, "server", "laptop")


# --- UDP is blocked


@scenario("udp-443-only", "the Agent's network passes UDP to port 443 alone: relay",
          Plan(home(block_udp="but-443"), PUBLIC))
def _udp_443(scene: Scene):
    scene.start(intermediate_port=443)
    scene.hello()
    scene.expect_relay()
    scene.exact()


@scenario("udp-unblocked", "UDP between the homes blocked, allowed later: relay, then direct",
          Plan(home(), home()))
def _udp_unblocked(scene: Scene):
    scene.start()
    scene.wan.forbid_udp(scene.agent_site, scene.connector_site)
    scene.hello()
    scene.expect_relay(4.0)
    game = scene.game()
    scene.wan.permit_udp()
    before = scene.checks_sent(scene.agent)
    wait_for(lambda: scene.checks_sent(scene.agent) > before, "the next round of checks", 70)
    began = time.monotonic()
    wait_for(lambda: scene.on("direct"), scene.describe, 30)
    took = time.monotonic() - began
    game.stop()
    scene.expect(took <= 5, f"direct {took:.2f} s after the first round of checks since UDP passes")
    scene.exact()


# --- what tools say of our NATs


_RFC_4787 = {"independent": "endpoint-independent", "address": "address-dependent",
             "port": "address-and-port-dependent", "dependent": "address-and-port-dependent"}


def _stun_client(scene: Scene, host: Host, site: SiteSpec):
    found = host.run(need("stun", "stun-client"), f"{INTERMEDIATE}:{PORT}", check=False)
    verdict = next((line for line in found.stdout.splitlines() if "Primary:" in line), "nothing").strip()
    hairpins = "will hairpin" if site.nats[-1].hairpin else "no hairpin"
    wanted = f"Primary: {nat.KINDS[site.nats[-1].kind].verdict}, {hairpins}"
    if site.nats[-1].block_udp:
        wanted = "Primary: Blocked or could not reach STUN server"
    scene.expect(verdict == wanted, f"stun-client about {site.label}: {verdict}")


def _netcheck(scene: Scene, host: Host, site: SiteSpec):
    asked = host.run(program("ztna"), "netcheck", "--json", "--intermediate", f"{INTERMEDIATE}:{PORT}",
                     check=False)
    found = json.loads(asked.stdout)["ipv4"]
    kind = nat.KINDS[site.nats[-1].kind]
    wanted = {"udp": True, "mapping": _RFC_4787[kind.behaviour.mapping],
              "filtering": _RFC_4787[kind.behaviour.filtering],
              "preserves_ports": kind.ports == "preserving", "hairpins": site.nats[-1].hairpin}
    if site.nats[-1].block_udp:
        wanted = {"udp": False}
    for key, value in wanted.items():
        if (found[key] or False) != value:  # None: whether a symmetric NAT hairpins says nothing
            raise Failed(f"not so: netcheck about {site.label}: {key} is {found[key]}, not {value}")
    scene.expect((asked.returncode == 0) == wanted["udp"], f"ztna netcheck about {site.label}: "
                 f"{found['kind'] if wanted['udp'] else 'UDP is blocked'}, as it must be")


def _classified(scene: Scene):
    """What stands in front of each host, as two programs that know nothing of it see it."""
    # Nothing else runs: what an Agent sends would open filters.
    scene.start_intermediate()
    for host, site in ((scene.laptop, scene.plan.agent), (scene.server, scene.plan.connector)):
        _stun_client(scene, host, site)
        _netcheck(scene, host, site)


def _both_inputs(**options) -> Plan:
    return Plan(home(**options), home(**options, input_drop=False))


for _name, _plan in (
    *((kind, _both_inputs(kind=kind)) for kind in nat.KINDS),
    ("hairpin", _both_inputs(kind="full-cone", hairpin=True)),
    ("cgnat", Plan(CGNAT, SiteSpec((nat.Nat(input_drop=False), nat.Nat(input_drop=False))))),
    ("blocked", _both_inputs(block_udp="all")),
):
    scenario(f"classify-{_name}", f"stun-client and ztna netcheck take {_name} for what it is",
             _plan)(_classified)


# --- things that happen

for _name, _summary, _plan, _play in events.EVENTS + roaming.ROAMING + proof.PROOFS:
    scenario(_name, _summary, _plan, _name in roaming.SLOW)(_play)
