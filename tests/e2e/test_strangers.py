"""Datagrams at the public port from those who have no certificate."""

import hashlib
import os
import random
import re
import socket
import subprocess
import sys
import time

import pytest

from backends import need, nginx, random_file
from initials import Template, is_initial
from ztna import BIN, curl, forward_port, wait_for, wait_service

PACKETS = 1_000_000
# What the flood may add to the Intermediate's memory: the handshakes that it may begin before it
# wants proof of an address (200 at once and 50 a second, each for 5 s), and no more with each
# packet: a tenth of the flood and the whole of it come out the same.
FLOOD_KIB, FLAT_KIB = 24 * 1024, 4 * 1024


def capture_initial(world) -> bytes:
    """What a real Agent sends first, caught by a socket that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(30)
        folder = world.issue("agent", "bait")
        bait = world.spawn("bait", [str(BIN / "ztna-agent"), "--intermediate",
                                    f"127.0.0.1:{sink.getsockname()[1]}", "--cert-dir", folder,
                                    "--health", "off", "--control", "off"])
        packet = sink.recv(65536)
        bait.kill()
    assert is_initial(packet), packet[:32].hex()
    return packet


@pytest.fixture
def site(world):
    _, port, www = nginx(world)
    random_file(www / "down", 60_000_000)
    (www / "small").write_text("small")
    world.allow({"alice": ["web"]})
    world.relay = world.intermediate(health="127.0.0.1:0")
    world.home = world.connector("home", {"web": f"tcp://127.0.0.1:{port}"})
    world.alice = world.agent("alice", "--forward", "tcp://127.0.0.1:0=web")
    wait_service(world.alice, "web")
    world.port = forward_port(world.alice, "web")
    world.www = www
    return world


def garbage(initial: bytes, seed: int) -> list[bytes]:
    """Datagrams of every kind that a parser may trip over."""
    rng = random.Random(seed)
    out = []
    for _ in range(500):
        out.append(rng.randbytes(rng.randrange(0, 1500)))
        out.append(initial[:rng.randrange(1, len(initial))])
        fuzzed = bytearray(initial)
        for _ in range(rng.randrange(1, 8)):
            fuzzed[rng.randrange(0, rng.choice((40, len(fuzzed))))] = rng.randrange(256)
        out.append(bytes(fuzzed))
        stun = b"\x00\x01" + rng.randrange(0, 64).to_bytes(2, "big") + b"\x21\x12\xa4\x42"
        out.append(stun + rng.randbytes(12 + rng.randrange(0, 80)))
        out.append(bytes([0x40 | rng.randrange(64)]) + rng.randbytes(rng.randrange(1, 1300)))
        version = rng.randbytes(4)
        out.append(bytes([0xc0 | rng.randrange(64)]) + version + rng.randbytes(1300))
    return out


def flood(port: int, initial: bytes, count: int, seed: int) -> int:
    """Sends `count` datagrams from 50 source ports; how many the kernel took."""
    sockets = []
    for _ in range(50):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.connect(("127.0.0.1", port))
        s.setblocking(False)
        sockets.append(s)
    packets = garbage(initial, seed)
    sent = 0
    while sent < count:
        s = sockets[sent // 1000 % len(sockets)]
        for packet in packets[:min(1000, count - sent)]:
            try:
                s.send(packet)
            except OSError:  # no room, or an ICMP error for an earlier one
                pass
            sent += 1
        if sent % 100_000 == 0:
            packets = garbage(initial, seed + sent)
    return sent


def run_flood(world, initial: bytes, count: int, seed: int):
    path = world.folder / "initial"
    path.write_bytes(initial)
    program = ("import pathlib, sys; sys.path.insert(0, sys.argv[1]); import test_strangers as t; "
               "t.flood(int(sys.argv[2]), pathlib.Path(sys.argv[3]).read_bytes(), "
               "int(sys.argv[4]), int(sys.argv[5]))")
    done = subprocess.run(
        [sys.executable, "-c", program, os.path.dirname(__file__), str(world.intermediates[0][1]),
         str(path), str(count), str(seed)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def test_a_million_hostile_datagrams(site):
    initial = capture_initial(site)
    target = site.folder / "got"
    download = subprocess.Popen(
        [need("curl"), "--silent", "--show-error", "--fail", "--noproxy", "*", "--limit-rate", "2M",
         "--max-time", "240", "-o", str(target), f"http://127.0.0.1:{site.port}/down"],
        stderr=subprocess.PIPE)
    wait_for(lambda: target.exists() and target.stat().st_size > 1_000_000, "a download")
    before = site.relay.memory_kib()
    received = site.relay.metrics()['ztna_udp_packets_total{direction="received"}']
    run_flood(site, initial, PACKETS // 10, 1)
    warm = site.relay.memory_kib()
    started = time.monotonic()
    run_flood(site, initial, PACKETS - PACKETS // 10, 2)
    took = time.monotonic() - started
    after = site.relay.memory_kib()
    seen = site.relay.metrics()['ztna_udp_packets_total{direction="received"}'] - received
    print(f"{PACKETS} sent, {seen:.0f} read by the Intermediate (with the download's), last 90 % in "
          f"{took:.0f} s; VmRSS {before} KiB, {warm} KiB after a tenth, {after} KiB at the end")
    assert seen > PACKETS / 20, "the flood did not reach the Intermediate"
    assert after - before < FLOOD_KIB
    assert after - warm < FLAT_KIB
    assert download.wait(240) == 0, download.stderr.read()
    assert sha256(target) == sha256(site.www / "down")
    assert site.alice.status()["uplinks"][0]["connects"] == 1
    new = site.agent("bob", wait=True)
    assert new.status()["ready"]
    strangers = {k: v for k, v in site.relay.metrics().items() if "strangers" in k}
    assert sum(strangers.values()) > 0, strangers


def test_a_thousand_half_open_handshakes(site):
    template = Template(capture_initial(site))
    relay = ("127.0.0.1", site.intermediates[0][1])
    before = site.relay.metrics()
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(50)]
    for index in range(1000):
        sockets[index % 50].sendto(template.to(os.urandom(template.destination_size)), relay)
    now = site.relay.metrics()

    def grown(name):
        return now[name] - before[name]

    begun = grown("ztna_handshakes_total")
    retried = grown('ztna_stateless_replies_total{kind="retry"}')
    print(f"{begun:.0f} handshakes begun, {retried:.0f} told to prove their address")
    assert begun >= 50, "the Initials were not taken for genuine"
    assert retried >= 100, "nobody was asked to prove its address"
    assert now["ztna_handshakes_pending"] <= 400
    # Real nodes still get in, while those are pending.
    assert now["ztna_handshakes_pending"] >= 50
    started = time.monotonic()
    agent = site.agent("bob")
    print(f"a new Agent was in after {time.monotonic() - started:.2f} s")
    assert curl("--fail", f"http://127.0.0.1:{site.port}/small").stdout == b"small"
    assert agent.status()["ready"]
    wait_for(lambda: site.relay.metrics()["ztna_handshakes_pending"] == 0, "they are given up", 30)
    for s in sockets:
        s.close()


def test_plain_stun_client_learns_its_address(site):
    done = subprocess.run([need("stun"), f"127.0.0.1:{site.intermediates[0][1]}", "1", "-v"],
                          capture_output=True, text=True, timeout=60)
    text = done.stdout + done.stderr
    mapped = re.findall(r"MappedAddress = <?(\S+?)[>\s]", text) or re.findall(
        r"mappedAddr=(\S+)", text)
    assert any(address.startswith("127.0.0.1") for address in mapped), text


def sha256(path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as source:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
