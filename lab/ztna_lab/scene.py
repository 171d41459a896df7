"""The laboratory's usual scene: Agent `alice` on host laptop, Connector `home` on host server, and
an Intermediate in the Internet between them. What can be done in it, and what can be asserted."""

from __future__ import annotations

import dataclasses
import time

from . import nat, traffic
from .line import Line
from .namespaces import Host, Laboratory, LabError, run, wait_for
from .programs import program
from .services import HELLO
from .system import System
from .wan import SiteSpec, Wan

AGENT_HOST, CONNECTOR_HOST = "laptop", "server"
AGENT, CONNECTOR = "alice", "home"
WEB, ECHO = "web", "echo"

# The longest that a session may take to its direct path. The first round of checks lasts 2.1 s; one
# that came too early is followed by the next after 5 s.
DIRECT_WITHIN = 12.0
# A session that was not direct by now will not be: the first round and the one after it are over.
RELAY_FOR = 9.0


def _tried(pair: dict) -> str:
    """One of `ztna status --json`'s direct ways."""
    if not pair["proven"]:
        return pair["remote"]
    return (f"{pair['remote']} proven{' at both ends' if pair['proven_by_peer'] else ''} "
            f"({pair['rtt_ms']:.1f} ms, {100 * pair['loss']:.0f} % lost)")


class Failed(LabError):
    """What a scenario asserts is not so."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Where the two ends are. Without `connector` they share the Agent's site, or its host."""

    agent: SiteSpec
    connector: SiteSpec | None = None
    shape: str = "routed"
    ipv6: bool = False
    one_host: bool = False


def home(kind: str = "port-restricted", **options) -> SiteSpec:
    """A site behind one router."""
    return SiteSpec((nat.Nat(kind, **options),))


PUBLIC = SiteSpec()


def with_line(plan: Plan, line: Line) -> Plan:
    """The same, with that line between each site and the Internet."""
    agent, connector = (site and dataclasses.replace(site, line=line)
                        for site in (plan.agent, plan.connector))
    return dataclasses.replace(plan, agent=agent, connector=connector)


class Scene:
    def __init__(self, lab: Laboratory, plan: Plan, say=lambda *_: None):
        self.lab = lab
        self.plan = plan
        self._say = say
        self.wan = Wan(lab, plan.shape, plan.ipv6)
        self.system = System(self.wan)
        if plan.one_host:
            self.agent_site = self.connector_site = self.wan.site("house", plan.agent, (AGENT_HOST,))
            self.laptop = self.server = self.agent_site.hosts[0]
        elif plan.connector is None:
            site = self.wan.site("house", plan.agent, (AGENT_HOST, CONNECTOR_HOST))
            self.agent_site = self.connector_site = site
            self.laptop, self.server = site.hosts
        else:
            self.agent_site = self.wan.site("a", plan.agent, (AGENT_HOST,))
            self.connector_site = self.wan.site("b", plan.connector, (CONNECTOR_HOST,))
            self.laptop, self.server = self.agent_site.hosts[0], self.connector_site.hosts[0]

    # --- what a person reads

    def say(self, text: str):
        self._say(text)

    def expect(self, condition: bool, text: str):
        """`text` states what must be so, with the figures."""
        if not condition:
            raise Failed(f"not so: {text}")
        self.say(text)

    # --- the programs

    def start(self, intermediate_port: int | None = None, guests: tuple[str, ...] = (),
              connector_flags: tuple[str, ...] = (), agent_flags: tuple[str, ...] = ()):
        """Everything up to the point where the service could be used. No session yet. `guests` are
        Agents that may come later."""
        self.start_intermediate(guests)
        self.system.start_services(self.server)
        more = {} if intermediate_port is None else {"intermediate_port": intermediate_port}
        self.connector = self.system.start_connector(self.server, CONNECTOR, (WEB, ECHO),
                                                     *connector_flags, **more)
        self.agent = self.system.start_agent(self.laptop, AGENT, [(WEB, ECHO)], *agent_flags,
                                             **more)

    def start_intermediate(self, guests: tuple[str, ...] = ()):
        self.system.policy({agent: [WEB, ECHO] for agent in (AGENT, *guests)})
        self.intermediate = self.system.start_intermediate()

    def port(self, service: str) -> int:
        return self.system.forwards[AGENT][service]

    def hello(self) -> float:
        """The first request through the tunnel; seconds."""
        self.system.wait_service(self.agent, WEB)
        began = time.monotonic()
        body = traffic.get(self.laptop, self.port(WEB))
        took = time.monotonic() - began
        self.expect(body == HELLO, f"a request reaches the service ({1000 * took:.0f} ms)")
        return took

    def download(self, size: int, timeout: float = 90) -> traffic.Download:
        return traffic.Download(self.laptop, self.port(WEB), size, timeout)

    def game(self, rate: float = 60) -> traffic.Game:
        return traffic.Game(self.laptop, self.port(ECHO), rate)

    # --- paths

    def ends(self) -> tuple[dict, dict]:
        """The session as the Agent and as the Connector sees it."""
        return self.agent.session_with(CONNECTOR), self.connector.session_with(AGENT)

    def on(self, path: str) -> bool:
        return all(end.get("path", "none").lower() == path for end in self.ends())

    def wait_path(self, path: str, timeout: float) -> float:
        began = time.monotonic()
        wait_for(lambda: self.on(path), lambda: f"both ends on {path}: {self.describe()}", timeout)
        return time.monotonic() - began

    def expect_direct(self, agent_seen: str = "", connector_seen: str = "",
                      timeout: float = DIRECT_WITHIN) -> float:
        """Both ends, and each at the address where the other really is. A move is traffic's
        business, so there is some meanwhile."""
        game = self.game()
        try:
            took = self.wait_path("direct", timeout)
        finally:
            game.stop()
        at_agent, at_connector = self.ends()
        self.say(f"both ends are on DIRECT after {took:.2f} s: laptop sees {at_agent['peer']}, "
                 f"server sees {at_connector['peer']}")
        for seen, wanted in ((at_agent["peer"], connector_seen), (at_connector["peer"], agent_seen)):
            if wanted and seen.rpartition(":")[0].strip("[]") != wanted:
                raise Failed(f"not so: a peer at {seen} is at {wanted}")
        return took

    def expect_relay(self, seconds: float = RELAY_FOR):
        """For so long, with traffic, while both ends do try."""
        game = self.game()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(e.get("path") == "DIRECT" for e in self.ends()):
                game.stop()
                raise Failed(f"not so: the session stays on the relay: {self.describe()}")
            time.sleep(0.1)
        report = game.stop()
        sent = self.checks_sent(self.agent)
        self.expect(self.on("relay") and sent > 0,
                    f"both ends are still on RELAY after {seconds:g} s and {sent:g} checks")
        self.expect(report.answered >= 0.99 * report.sent,
                    f"{report.answered} of {report.sent} datagrams answered meanwhile")

    @staticmethod
    def checks_sent(daemon) -> float:
        return daemon.metrics().get('ztna_checks_total{path="direct",result="sent"}', 0)

    def describe(self) -> str:
        def one(name: str, end: dict) -> str:
            if not end:
                return f"{name} has no session"
            moves = ", ".join(f"{s['from']}→{s['to']} ({s['reason']}) {s['ago_s']:.1f} s ago"
                              for s in end["switches"]) or "no moves"
            tried = ", ".join(_tried(pair) for pair in end.get("direct", [])) or "nothing"
            return (f"{name} on {end['path']} via {end['peer']} ({end['rtt_ms']:.1f} ms), {moves}; "
                    f"tried {tried}")

        at_agent, at_connector = self.ends()
        return f"{one('agent', at_agent)}; {one('connector', at_connector)}"

    # --- events

    def flush_nat(self, router: Host):
        """The router forgets its connections. Its rules stay."""
        router.run("conntrack", "-F")

    def exact(self, size: int = 2_000_000):
        error = self.download(size).result(60)
        self.expect(not error, f"a download of {size:,} bytes is exact{error and ': ' + error}")

    def relay_switch(self, action: str) -> str:
        """What the Intermediate's admin types."""
        done = run([program("ztna"), "relay", action, "--control", self.intermediate.control])
        return done.stdout.strip()

    def relayed(self) -> dict:
        """The Intermediate's own count for the one session."""
        sessions = self.intermediate.status()["sessions"]
        return sessions[-1] if sessions else {"packets": 0, "bytes": 0}

    def settled(self) -> tuple[dict, dict, dict]:
        """(Agent's, Connector's, Intermediate's) counters of the session, once they stand still."""
        def figures():
            keys = ("relay_packets", "direct_packets")
            return [[end.get(key) for key in keys] for end in self.ends()]

        def still():
            before = figures()
            time.sleep(0.3)
            return figures() == before

        wait_for(still, "the session's counters to stand still", 20)
        return (*self.ends(), self.relayed())
