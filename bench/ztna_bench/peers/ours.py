"""The same of us: an Agent that may go direct, and one that may not."""

from __future__ import annotations

from ztna_lab.namespaces import wait_for

from .. import direct, load
from ..places import Homes
from ..system import path
from .peer import Peer, Relaying, Way


class Ours(Peer):
    def start(self, place: Homes) -> list[Way]:
        self.place = place
        self.system = direct.start(place)
        may_fail_over = Relaying(wait_direct=self._wait_direct, permit=place.wan.permit_udp,
                                 forbid=lambda: place.wan.forbid_udp(*place.wan.sites))
        return [Way("ztna, direct", direct.ADDRESSES[direct.DIRECT], may_fail_over),
                Way("ztna, relayed", direct.ADDRESSES[direct.RELAY], Relaying(restart=self._restart))]

    def _wait_direct(self):
        agent = self.system.agents[direct.DIRECT]
        address = direct.ADDRESSES[direct.DIRECT]
        # Flows that move data bring it there; an idle session may wait for the next round.
        wait_for(lambda: load.udp(self.place.client, address, 0.5) and path(agent) == "direct",
                 "the direct path", 90)

    def _restart(self):
        agent = self.system.agents[direct.RELAY]
        agent.stop()
        agent.start()
        self.system.wait_service(agent, "game")
