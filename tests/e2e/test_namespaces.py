"""Client, Intermediate and Connector on hosts of their own: small MTUs, loss, and what an
eavesdropper at the Intermediate sees."""

import hashlib
import pathlib
import subprocess

import pytest

from backends import need, nginx, random_file
from ztna import forward_port, wait_for, wait_service

MARKER = b"The quick brown fox and the secret of the lazy dog."
PORT = 4433

UDP_ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 7777))
print("bound", flush=True)
while True:
    data, source = s.recvfrom(65536)
    s.sendto(data, source)
"""

# Prints how many of ten datagrams of each size came back.
UDP_CLIENT = """
import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("127.0.0.1", int(sys.argv[1])))
s.settimeout(5)
for size in map(int, sys.argv[2:]):
    good = 0
    for _ in range(10):
        data = os.urandom(size)
        s.send(data)
        try:
            while (got := s.recv(65536)) != data:
                pass
            good += 1
        except TimeoutError:
            pass
    print(size, good)
"""


@pytest.fixture
def site(net, world):
    """Only the network's shape differs between the tests: they set it before start()."""
    world.net = net
    return world


def start(world):
    net = world.net
    world.issue("intermediate", "relay", "--ip", net.intermediate.address, "--force")
    _, port, www = nginx(world, port=8080, prefix=net.connector.prefix)
    (www / "page").write_bytes(MARKER * 2000)
    random_file(www / "down", 30_000_000)
    world.allow({"alice": ["web", "echo"]})
    world.relay = world.intermediate(listen=f"{net.intermediate.address}:{PORT}",
                                     prefix=net.intermediate.prefix)
    echo = world.spawn("echo", ["/usr/bin/python3", "-c", UDP_ECHO], prefix=net.connector.prefix)
    echo.wait_log("bound")
    world.home = world.connector("home", {"web": f"tcp://127.0.0.1:{port}",
                                          "echo": "udp://127.0.0.1:7777"},
                                 prefix=net.connector.prefix)
    world.alice = world.agent("alice", "--forward", "tcp://127.0.0.1:0=web",
                              "--forward", "udp://127.0.0.1:0=echo", prefix=net.client.prefix)
    wait_service(world.alice, "web")
    world.www = www
    world.url = f"http://127.0.0.1:{forward_port(world.alice, 'web')}"


def fetch(world, path: str, timeout: float = 100) -> bytes:
    target = world.folder / "got"
    target.unlink(missing_ok=True)
    done = subprocess.run([*world.net.client.prefix, need("curl"), "--silent", "--show-error",
                           "--fail", "--noproxy", "*", "--max-time", str(timeout), "-o",
                           str(target), f"{world.url}/{path}"], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return target.read_bytes()


def exchange_udp(world, *sizes: int) -> dict[int, int]:
    port = forward_port(world.alice, "echo", "udp")
    done = subprocess.run([*world.net.client.prefix, "/usr/bin/python3", "-c", UDP_CLIENT, str(port),
                           *map(str, sizes)], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return {int(size): int(good) for size, good in map(str.split, done.stdout.splitlines())}


def same(world, got: bytes):
    expected = hashlib.sha256((world.www / "down").read_bytes()).hexdigest()
    assert hashlib.sha256(got).hexdigest() == expected


def test_http_and_udp_between_hosts(site):
    start(site)
    same(site, fetch(site, "down"))
    assert exchange_udp(site, 1, 1472) == {1: 10, 1472: 10}
    seen = {u["role"]: u["address"] for u in site.relay.status()["uplinks"]}
    assert seen["agent"].startswith(site.net.client.address + ":")
    assert seen["connector"].startswith(site.net.connector.address + ":")


# IPv4: 28 octets of headers. 1260 carries the UDP payload that an IPv6 link of the least MTU,
# 1280, does; 1228 carries 1200, the least that QUIC itself can live with.
@pytest.mark.parametrize("mtu", [1260, 1228])
@pytest.mark.parametrize("where", ["client", "connector", "intermediate"])
def test_small_outer_mtu(site, mtu, where):
    site.net.set_mtu(where, mtu)
    start(site)
    same(site, fetch(site, "down"))
    assert exchange_udp(site, 1200, 1472) == {1200: 10, 1472: 10}
    if mtu == 1228:
        assert site.relay.status()["relay"]["split"] > 0 or any(
            d.status()["uplinks"][0]["mtu"] <= 1200 for d in (site.alice, site.home)), \
            "the narrow link was not noticed"


def test_loss(site):
    site.net.set_loss(3)
    start(site)
    same(site, fetch(site, "down"))
    assert site.net.lost() > 100, "nothing was lost"


def capture(host, interface: str, path, world):
    dump = world.spawn(f"tcpdump-{interface}", [need("tcpdump"), "-i", interface, "-U", "-s", "0",
                                                "-B", "65536", "-Z", "root", "-w", str(path)],
                       prefix=host.prefix)
    dump.wait_log("listening on")
    return dump


def test_the_intermediate_sees_ciphertext_to_one_port(site):
    net = site.net
    outside, inside = site.folder / "outside.pcap", site.folder / "inside.pcap"
    dumps = [capture(net.intermediate, "eth0", outside, site),
             capture(net.connector, "lo", inside, site)]
    start(site)
    got = fetch(site, "page")
    assert got == MARKER * 2000
    relayed = site.relay.status()["relay"]["bytes"]
    assert relayed > len(got)
    wait_for(lambda: inside.read_bytes().count(MARKER) > 1000 and
             outside.stat().st_size > relayed, "the captures")
    for dump in dumps:
        dump.stop()
    assert MARKER not in outside.read_bytes(), "plaintext on the wire"
    # Nor a part of it: any 16 octets in a row of what was fetched.
    seen = outside.read_bytes()
    assert not any(MARKER[i:i + 16] in seen for i in range(len(MARKER) - 15))
    assert packets(outside, f"udp port {PORT} and host {net.intermediate.address}") > 50
    assert packets(outside, f"not arp and not (udp port {PORT})") == 0


def packets(path, expression: str) -> int:
    done = subprocess.run([need("tcpdump"), "-n", "-r", str(path), expression],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return len(done.stdout.splitlines())


def test_a_name_that_nobody_resolves_holds_up_no_other(world, net):
    """The resolver of the Connector's host is an address that swallows everything."""
    folder = pathlib.Path("/etc/netns") / net.connector.name
    folder.mkdir(parents=True)
    try:
        (folder / "resolv.conf").write_text("nameserver 10.77.1.99\noptions timeout:5 attempts:3\n")
        world.issue("intermediate", "relay", "--ip", net.intermediate.address, "--force")
        _, port, www = nginx(world, port=8080, prefix=net.connector.prefix)
        (www / "page").write_text("here")
        world.allow({"alice": ["web", "bad"]})
        world.intermediate(listen=f"{net.intermediate.address}:{PORT}", prefix=net.intermediate.prefix)
        home = world.connector("home", {"bad": "tcp://db.corp.example:5432", "web": f"tcp://localhost:{port}"},
                               prefix=net.connector.prefix)
        alice = world.agent("alice", "--forward", "tcp://127.0.0.1:0=web", prefix=net.client.prefix)
        wait_service(alice, "web")
        # The one is found to be down by the checks that go on; the other is served meanwhile.
        home.wait_log("Backend is down")
        for _ in range(5):
            got = subprocess.run([*net.client.prefix, need("curl"), "--silent", "--show-error", "--fail", "--noproxy",
                                  "*", "--max-time", "5", f"http://127.0.0.1:{forward_port(alice, 'web')}/page"],
                                 capture_output=True, text=True, timeout=30)
            assert got.returncode == 0 and got.stdout == "here", got.stderr
        assert home.log().count("Backend is down") == 1
    finally:
        (folder / "resolv.conf").unlink(missing_ok=True)
        folder.rmdir()
