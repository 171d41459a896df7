"""What operators see and turn: health doors, metrics, status, relay switch, reload, logs."""

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import time

import pytest

from backends import TcpServer, need
from ztna import forward_port, free_port, wait_for, wait_service


def echo(connection: socket.socket):
    while data := connection.recv(65536):
        connection.sendall(data)


def echoes(connection: socket.socket) -> bool:
    connection.settimeout(20)
    connection.sendall(b"hello")
    return connection.recv(5) == b"hello"


@pytest.fixture
def stack(world):
    server = TcpServer(echo)
    world.allow({"alice": ["web"]})
    flags = ("--log-format", "json")
    health = "127.0.0.1:0"
    world.relay = world.intermediate(*flags, health=health)
    world.home = world.connector("home", {"web": f"tcp://127.0.0.1:{server.port}"}, *flags,
                                 health=health)
    world.alice = world.agent("alice", "--forward", "tcp://127.0.0.1:0=web", *flags, health=health)
    wait_service(world.alice, "web")
    world.daemons = (world.relay, world.home, world.alice)
    yield world
    server.close()


def dial(world) -> socket.socket:
    return socket.create_connection(("127.0.0.1", forward_port(world.alice, "web")), 10)


def get(daemon, path: str, method: str = "GET") -> tuple[int, str]:
    host, port = daemon.status()["health"].rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_health_doors_and_metrics(stack):
    with dial(stack) as connection:
        assert echoes(connection)
        for daemon in stack.daemons:
            assert get(daemon, "/healthz") == (200, "alive\n"), daemon.name
            assert get(daemon, "/readyz") == (200, "ready\n"), daemon.name
            status, text = get(daemon, "/metrics")
            assert status == 200
            checked = subprocess.run([need("promtool"), "check", "metrics"], input=text,
                                     capture_output=True, text=True, timeout=60)
            assert checked.returncode == 0, daemon.name + checked.stdout + checked.stderr
            assert "ztna_ready 1\n" in text
            # Read only, and nothing of the control socket's.
            assert get(daemon, "/v1/status")[0] == 404
            assert get(daemon, "/metrics", "POST")[0] == 405
        relayed = [line for line in get(stack.alice, "/metrics")[1].splitlines()
                   if line.startswith("ztna_packets_via_relay_total ")]
        assert int(relayed[0].split()[1]) > 0
        assert 'ztna_uplinks{role="connector"} 1\n' in get(stack.relay, "/metrics")[1]
    stack.relay.kill()
    status, text = wait_for(lambda: (a := get(stack.alice, "/readyz"))[0] == 503 and a,
                            "not ready without an Intermediate")
    assert str(stack.intermediates[0][1]) in text
    assert get(stack.alice, "/healthz")[0] == 200


def test_a_connector_that_can_serve_nothing_is_not_ready(world):
    world.allow({"alice": ["web", "other"]})
    world.intermediate()
    port, other = free_port(), free_port()
    home = world.connector("home", {"web": f"tcp://127.0.0.1:{port}", "other": f"tcp://127.0.0.1:{other}"},
                           health="127.0.0.1:0")

    def says_both():
        status, text = get(home, "/readyz")
        return (status == 503 and f"service web: its backend 127.0.0.1:{port} is down" in text
                and f"service other: its backend 127.0.0.1:{other} is down" in text)

    wait_for(says_both, "not ready: both backends are down")
    with socket.create_server(("127.0.0.1", port)):
        wait_for(lambda: get(home, "/readyz") == (200, "ready\n"), "ready for one of two services")


def test_an_agent_that_nothing_can_come_through_says_so(world):
    world.allow({"alice": ["web"]})
    world.intermediate()
    nothing = "No service can be reached here: give --forward, --socks or --auto-forward"
    world.agent("alice").wait_log(nothing)
    for flags in (["--auto-forward"], ["--socks", "127.0.0.1:0"], ["--forward", "tcp://127.0.0.1:0=web"]):
        assert nothing not in world.agent("alice", *flags, daemon_name=flags[0][2:]).log()


def test_control_socket_is_for_its_owner(stack):
    for daemon in stack.daemons:
        mode = os.stat(daemon.control).st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600, daemon.name


def test_ztna_status(stack):
    with dial(stack) as connection:
        assert echoes(connection)
        text = stack.ztna("status", "--control", stack.alice.control).stdout
        for expected in ("alice", "web", "RELAY", "connector/home"):
            assert expected in text, text
        report = json.loads(stack.ztna("status", "--control", stack.alice.control, "--json").stdout)
        assert report["sessions"][0]["path"] == "RELAY"
        for daemon in (stack.relay, stack.home):
            text = stack.ztna("status", "--control", daemon.control).stdout
            assert "home" in text and "alice" in text, text
    none = stack.ztna("status", "--control", stack.path("none.sock"), check=False)
    assert none.returncode == 1 and "none.sock" in none.stderr


def test_relay_switch_stops_and_resumes_flows(stack):
    """A flow in its midst stands still, with what is on its way; a session needs little."""
    chunk = b"x" * 1_000_000
    with dial(stack) as connection:
        assert echoes(connection)
        done = stack.ztna("relay", "off", "--control", stack.relay.control)
        assert "off" in done.stdout
        assert not stack.relay.status()["relay"]["on"]
        sent, got = 0, bytearray()
        connection.setblocking(False)
        stalled = time.monotonic()
        seen = 0
        while time.monotonic() - stalled < 2:
            for action in ("send", "receive"):
                try:
                    if action == "send" and sent < len(chunk):
                        sent += connection.send(chunk[sent:])
                    elif action == "receive":
                        got += connection.recv(65536)
                except BlockingIOError:
                    pass
            if len(got) >= seen + 100_000:  # not stalled: more than the allowance's trickle
                seen, stalled = len(got), time.monotonic()
            time.sleep(0.01)
        assert len(got) < len(chunk) // 2, f"{len(got)} octets came back over a relay that is off"
        assert [f["state"] for f in stack.alice.status()["flows"]] == ["waiting for a direct path"]
        stack.ztna("relay", "on", "--control", stack.relay.control)
        assert stack.relay.status()["relay"]["on"]
        connection.setblocking(True)
        connection.settimeout(30)
        while len(got) < len(chunk):
            if sent < len(chunk):
                sent += connection.send(chunk[sent:sent + 65536])
            connection.setblocking(sent >= len(chunk))
            try:
                got += connection.recv(65536)
            except BlockingIOError:
                connection.setblocking(True)
            connection.settimeout(30)
        assert got == chunk
    switches = [e["reason"] for e in stack.relay.audit() if e["event"] == "relay_switch"]
    assert switches == ["off", "on"]


def test_reload_drops_nobody(stack):
    with dial(stack) as connection:
        assert echoes(connection)
        session = stack.alice.status()["sessions"][0]["id"]
        for daemon in stack.daemons:
            for _ in range(2):
                before = daemon.log().count("Certificates and policy reloaded")
                daemon.signal(signal.SIGHUP)
                wait_for(lambda d=daemon, n=before:
                         d.log().count("Certificates and policy reloaded") > n, "a reload")
                assert echoes(connection), daemon.name
        assert stack.alice.status()["sessions"][0]["id"] == session
    for daemon in (stack.home, stack.alice):
        assert daemon.status()["uplinks"][0]["connects"] == 1


def test_broken_policy_is_not_taken(stack):
    stack.policy("[[allow]]\nagents = nonsense\n")
    stack.relay.signal(signal.SIGHUP)
    stack.relay.wait_log("Reload failed, everything stays as it was")
    assert "policy.toml:2" in stack.relay.log()
    with dial(stack) as connection:
        assert echoes(connection)


def test_audit_log_is_reopened_after_rotation(stack):
    def flows(path):
        return [e for e in map(json.loads, path.read_text().splitlines()) if e["event"] == "flow"]

    with dial(stack) as connection:
        assert echoes(connection)
    rotated = stack.home.audit_path.with_suffix(".audit.1")
    wait_for(lambda: "flow_closed" in stack.home.audit_path.read_text(), "the flow's end")
    stack.home.audit_path.rename(rotated)
    before = rotated.read_text()
    stack.home.signal(signal.SIGHUP)
    wait_for(stack.home.audit_path.exists, "a new audit log")
    with dial(stack) as connection:
        assert echoes(connection)
    assert len(flows(stack.home.audit_path)) == 1
    assert rotated.read_text() == before
    assert stat.S_IMODE(stack.home.audit_path.stat().st_mode) == 0o600


def test_logs_are_json_lines_and_name_the_path(stack):
    with dial(stack) as connection:
        assert echoes(connection)
    for daemon in stack.daemons:
        lines = [json.loads(line) for line in daemon.log().splitlines()]
        assert lines, daemon.name
        for line in lines:
            assert {"time", "level", "program", "message"} <= line.keys(), line
    relay = f"127.0.0.1:{stack.intermediates[0][1]}"
    for daemon in (stack.home, stack.alice):
        (line,) = [e for e in map(json.loads, daemon.log().splitlines())
                   if e["message"].startswith("Path selected:")]
        assert line["message"] == f"Path selected: RELAY (peer: {relay})"
        assert {"session", "reason", "rtt_ms"} <= line.keys()
