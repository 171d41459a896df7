"""Two Intermediates behind a load balancer that knows a connection by the server id in its connection id, as
draft-ietf-quic-load-balancers has it: nothing else tells it where a packet belongs."""

import selectors
import socket
import threading

from ztna import wait_for

SERVER_IDS = (bytes.fromhex("00000000000000a1"), bytes.fromhex("00000000000000b2"))
ID_LENGTH = 18


class Balancer:
    """A socket in front, and one to each target for each client. `scatter` replaces those: to the targets it
    looks as if every client's NAT had forgotten it."""

    def __init__(self, targets: dict[bytes, tuple[str, int]]):
        self.targets = targets
        self.unroutable = 0
        self.begun = {server_id: 0 for server_id in targets}  # connections that were given to it
        self._next = 0
        self._initials: dict[bytes, bytes] = {}               # a client's first choice of an id: its target
        self._back: dict[tuple, socket.socket] = {}
        self._scatter = self._over = False
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self.address = self._front.getsockname()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._front, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def scatter(self) -> None:
        self._scatter = True

    def close(self) -> None:
        self._over = True
        self._thread.join()
        for each in (self._front, *self._back.values()):
            each.close()

    def _target(self, packet: bytes) -> bytes | None:
        is_long = bool(packet[0] & 0x80)
        at = 6 if is_long else 1
        connection_id = packet[at:at + (packet[5] if is_long else ID_LENGTH)]
        # Three bits of configuration (ours is 0), five of any kind, the server id.
        if connection_id[0] >> 5 == 0 and connection_id[1:9] in self.targets:
            return connection_id[1:9]
        if not is_long:
            return None
        if connection_id not in self._initials:
            chosen = list(self.targets)[self._next % len(self.targets)]
            self._next += 1
            self.begun[chosen] += 1
            self._initials[connection_id] = chosen
        return self._initials[connection_id]

    def _run(self) -> None:
        while not self._over:
            for key, _ in self._selector.select(0.05):
                sock: socket.socket = key.fileobj
                if sock is not self._front:
                    self._front.sendto(sock.recv(65536), key.data)
                    continue
                packet, client = sock.recvfrom(65536)
                if self._scatter:
                    self._forget()
                target = self._target(packet)
                if target is None:
                    self.unroutable += 1
                else:
                    self._to(client, target).send(packet)

    def _forget(self) -> None:
        for each in self._back.values():
            self._selector.unregister(each)
            each.close()
        self._back.clear()
        self._scatter = False

    def _to(self, client: tuple, target: bytes) -> socket.socket:
        if (client, target) not in self._back:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", 0))
            sock.connect(self.targets[target])
            self._selector.register(sock, selectors.EVENT_READ, client)
            self._back[client, target] = sock
        return self._back[client, target]


def test_connections_stay_with_their_intermediate_through_a_balancer(world):
    world.allow({"alice": ["web"]})
    targets = {}
    for number, server_id in enumerate(SERVER_IDS):
        # With 0x and without, as people and AWS write it.
        world.intermediate("--quic-lb-server-id", ("0x" if number else "") + server_id.hex(),
                           name=f"intermediate-{number}")
        targets[server_id] = world.intermediates[-1]
    balancer = Balancer(targets)
    try:
        world.intermediates = [balancer.address]
        agents = [world.agent("alice", daemon_name=f"alice-{i}") for i in range(4)]
        assert list(balancer.begun.values()) == [2, 2]

        def seen(agent) -> str:
            return agent.status()["uplinks"][0]["observed_address"]

        before = [seen(agent) for agent in agents]
        balancer.scatter()
        for agent, address in zip(agents, before, strict=True):
            # The Intermediate that has the connection saw it move, and says so.
            wait_for(lambda: seen(agent) not in ("", address), "another address", 30)
            assert agent.status()["uplinks"][0]["connects"] == 1
        assert balancer.unroutable == 0 and list(balancer.begun.values()) == [2, 2]
    finally:
        balancer.close()
