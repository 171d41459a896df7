"""HTTP through a forward: curl, nginx and httpbin."""

import hashlib
import json
import os
import subprocess

import pytest

from backends import httpbin, need, nginx, random_file
from ztna import curl, forward_port, wait_service

SIZE = 200_000_000


def test_httpbin_endpoints(world):
    _, port = httpbin(world)
    world.allow({"alice": ["web"]})
    world.intermediate()
    world.connector("home", {"web": f"tcp://127.0.0.1:{port}"})
    agent = world.agent("alice", "--forward", "tcp://127.0.0.1:0=web")
    wait_service(agent, "web")
    url = f"http://127.0.0.1:{forward_port(agent, 'web')}"

    got = json.loads(curl(f"{url}/get?x=1").stdout)
    assert got["args"] == {"x": "1"}
    delayed = curl("-w", "%{time_total}", "-o", "/dev/null", f"{url}/delay/1")
    assert float(delayed.stdout) >= 1.0
    posted = json.loads(curl("-X", "POST", "-d", "test data", f"{url}/post").stdout)
    assert posted["form"] == {"test data": ""}
    status = curl("-o", "/dev/null", "-w", "%{http_code}", f"{url}/status/418")
    assert status.stdout == b"418"


def test_200_megabytes_down_and_up(world):
    _, port, www = nginx(world)
    random_file(www / "down", SIZE)
    world.allow({"alice": ["web"]})
    world.intermediate()
    world.connector("home", {"web": f"tcp://127.0.0.1:{port}"})
    agent = world.agent("alice", "--forward", "tcp://127.0.0.1:0=web")
    wait_service(agent, "web")
    url = f"http://127.0.0.1:{forward_port(agent, 'web')}"

    target = world.folder / "got"
    done = curl("--fail", "-o", str(target), f"{url}/down")
    assert done.returncode == 0, done.stderr
    digest = sha256(www / "down")
    assert sha256(target) == digest
    os.unlink(target)

    done = curl("--fail", "-T", str(www / "down"), f"{url}/up")
    assert done.returncode == 0, done.stderr
    assert sha256(www / "up") == digest


def test_wrk_with_50_connections(world):
    _, port, www = nginx(world)
    (www / "index.html").write_text("hello")
    world.allow({"alice": ["web"]})
    world.intermediate()
    world.connector("home", {"web": f"tcp://127.0.0.1:{port}"})
    agent = world.agent("alice", "--forward", "tcp://127.0.0.1:0=web")
    wait_service(agent, "web")
    done = subprocess.run([need("wrk"), "-t2", "-c50", "-d5s",
                           f"http://127.0.0.1:{forward_port(agent, 'web')}/index.html"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "requests in" in done.stdout
    assert "Socket errors" not in done.stdout, done.stdout
    assert "Non-2xx" not in done.stdout, done.stdout


@pytest.mark.parametrize("connections", [1])
def test_websocket_held_for_a_minute(world, connections):
    """A connection that is silent but for one message a while stays up."""
    client = """
import asyncio, sys, websockets
async def main(url):
    async with websockets.connect(url, ping_interval=None) as ws:
        for i in range(7):
            await ws.send(str(i))
            assert await asyncio.wait_for(ws.recv(), 10) == str(i)
            if i < 6:
                await asyncio.sleep(10)
asyncio.run(main(sys.argv[1]))
"""
    server = """
import asyncio, sys, websockets
async def echo(ws):
    async for message in ws:
        await ws.send(message)
async def main(port):
    async with websockets.serve(echo, "127.0.0.1", port, ping_interval=None):
        await asyncio.Future()
asyncio.run(main(int(sys.argv[1])))
"""
    from ztna import free_port, wait_listening

    port = free_port()
    world.spawn("websockets", ["/usr/bin/python3", "-c", server, str(port)])
    wait_listening(port)
    world.allow({"alice": ["ws"]})
    world.intermediate()
    world.connector("home", {"ws": f"tcp://127.0.0.1:{port}"})
    agent = world.agent("alice", "--forward", "tcp://127.0.0.1:0=ws")
    wait_service(agent, "ws")
    done = subprocess.run(["/usr/bin/python3", "-c", client,
                           f"ws://127.0.0.1:{forward_port(agent, 'ws')}"],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def sha256(path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as source:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
