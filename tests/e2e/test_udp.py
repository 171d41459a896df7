"""UDP through a forward: echo, DNS and iperf3."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time

import pytest

from backends import UdpEcho, need
from ztna import failures, forward_port, free_port, wait_for, wait_listening, wait_service


@pytest.fixture
def echo():
    server = UdpEcho()
    yield server
    server.close()


def through(world, echo, *flags):
    world.allow({"alice": ["echo"]})
    world.intermediate()
    world.connector("home", {"echo": f"udp://127.0.0.1:{echo.port}"})
    agent = world.agent("alice", "--forward", "udp://127.0.0.1:0=echo", *flags)
    wait_service(agent, "echo")
    return agent, forward_port(agent, "echo", "udp")


def client(port: int) -> socket.socket:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.connect(("127.0.0.1", port))
    s.settimeout(2)
    return s


def ask(s: socket.socket, payload: bytes) -> bytes:
    """The answer. Datagrams may be lost, so it asks again, and passes over answers that are late."""

    def attempt():
        s.send(payload)
        try:
            while True:
                answer = s.recv(65536)
                if answer == payload:
                    return (answer,)
        except TimeoutError:
            return None

    return wait_for(attempt, f"an echo of {len(payload)} octets", 30)[0]


def test_payloads_of_any_size_come_back_whole(world, echo):
    agent, port = through(world, echo)
    with client(port) as s:
        # RFC 768 and 791: 65,535 octets less both headers is the most; nothing is the least.
        for size in (1, 0, 1200, 1400, 1472, 9000, 65507, 1):
            ask(s, os.urandom(size))
    assert len(agent.status()["flows"]) == 1, "one association, one flow"


def test_a_backend_without_a_name_costs_the_connector_nothing(world, echo):
    world.allow({"alice": ["echo"]})
    world.intermediate()
    connector = world.connector("home", {"echo": "udp://nowhere.invalid:9"}, health="127.0.0.1:0")
    agent = world.agent("alice", "--forward", "udp://127.0.0.1:0=echo")
    wait_service(agent, "echo")
    with client(forward_port(agent, "echo", "udp")) as s:

        def tried():
            s.send(bytes(1000))
            return connector.metrics()['ztna_flows_total{result="failed"}'] >= 3

        wait_for(tried, "three flows whose backend has no address", 60)
    agent.stop()
    wait_for(lambda: connector.metrics()["ztna_flows_active"] == 0, "the end of all flows")
    assert connector.metrics()['ztna_backend_connections{protocol="udp"}'] == 0


def test_a_backend_that_is_down_ends_the_flow_with_a_reason_until_it_is_up(world, echo):
    port = free_port(socket.SOCK_DGRAM)
    world.allow({"alice": ["late"]})
    world.intermediate()
    connector = world.connector("home", {"late": f"udp://127.0.0.1:{port}"})
    agent = world.agent("alice", "--forward", "udp://127.0.0.1:0=late")
    wait_service(agent, "late")
    with client(forward_port(agent, "late", "udp")) as s:
        s.send(b"is anybody there?")
        failure = wait_for(lambda: failures(agent, "late"), "a failure")[0]
        assert (failure["service"], failure["reason"]) == ("late", "backend_refused")
        backend = UdpEcho(port=port)
        try:
            assert ask(s, b"and now?") == b"and now?"
            assert len(agent.status()["flows"]) == 1
        finally:
            backend.close()
        # It was there: the flow waits for it to come back, and the Connector's log says so.
        s.send(b"gone?")
        connector.wait_log(f"Backend refuses backend=127.0.0.1:{port} protocol=udp")
        assert len(agent.status()["flows"]) == 1


def test_several_clients_get_their_own_answers(world, echo):
    agent, port = through(world, echo)
    clients = [client(port) for _ in range(20)]
    try:
        for round_ in range(3):
            for number, s in enumerate(clients):
                s.send(b"%d of %d" % (round_, number))
            for number, s in enumerate(clients):
                expected = b"%d of %d" % (round_, number)
                try:
                    # Whatever comes here is an answer to this client, be it one that is late.
                    while (got := s.recv(65536)) != expected:
                        assert got.endswith(b" of %d" % number), f"{got} reached client {number}"
                except TimeoutError:
                    ask(s, expected)
        status = agent.status()
        assert len(status["flows"]) == len(clients)
        assert [f["connections"] for f in status["forwards"]] == [len(clients)]
    finally:
        for s in clients:
            s.close()


def test_a_silent_association_ends_and_a_new_one_begins(world, echo):
    agent, port = through(world, echo, "--udp-flow-idle", "1s")
    with client(port) as s:
        ask(s, b"first")
        first = {f["id"] for f in agent.status()["flows"]}
        agent.wait_status(lambda status: not status["flows"], "the end of the flow", 30)
        ask(s, b"second")
        assert first.isdisjoint(f["id"] for f in agent.status()["flows"])


def test_the_backend_going_away_and_coming_back(world, echo):
    """What an ICMP "port unreachable" says at the Connector must not end the association."""
    agent, port = through(world, echo)
    with client(port) as s:
        ask(s, b"before")
        echo.close()
        s.send(b"into the void")
        again = UdpEcho(port=echo.port)
        try:
            ask(s, b"after")
        finally:
            again.close()


def three(world, echo):
    """The daemons by their roles; the Agent's port stays the same when it is restarted."""
    world.allow({"alice": ["echo"]})
    port = free_port(socket.SOCK_DGRAM)
    daemons = {"intermediate": world.intermediate(),
               "connector": world.connector("home", {"echo": f"udp://127.0.0.1:{echo.port}"}),
               "agent": world.agent("alice", "--forward", f"udp://127.0.0.1:{port}=echo")}
    wait_service(daemons["agent"], "echo")
    return daemons, port


@pytest.mark.parametrize("which", ["intermediate", "connector", "agent"])
def test_datagrams_flow_again_after_a_part_was_killed(world, echo, which):
    daemons, port = three(world, echo)
    with client(port) as s:
        ask(s, os.urandom(1000))
        daemons[which].kill()
        with contextlib.suppress(ConnectionRefusedError):
            s.send(b"into the void")
    daemons[which].start()
    wait_service(daemons["agent"], "echo", 30)
    with client(port) as s:
        ask(s, os.urandom(1000))


@pytest.mark.parametrize("which", ["intermediate", "connector", "agent"])
def test_an_association_outlives_five_seconds_of_silence(world, echo, which):
    daemons, port = three(world, echo)
    with client(port) as s:
        ask(s, os.urandom(1000))
        (flow,) = daemons["agent"].status()["flows"]
        daemons[which].signal(signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            def five_seconds():
                s.send(b"from the time of silence")
                return time.monotonic() - stopped >= 5
            wait_for(five_seconds, "five seconds")
        finally:
            daemons[which].signal(signal.SIGCONT)
        ask(s, os.urandom(1000))
        assert [f["id"] for f in daemons["agent"].status()["flows"]] == [flow["id"]]


def test_policy_removed_under_a_live_association(world, echo):
    daemons, port = three(world, echo)
    with client(port) as s:
        ask(s, b"allowed")
        world.allow({"alice": ["other"]})
        daemons["connector"].signal(signal.SIGHUP)
        (failure, *_) = wait_for(lambda: s.send(b"denied") and failures(daemons["agent"], "echo"),
                                 "a refusal")
        assert failure["reason"] == "denied"
    closed = [e for e in daemons["connector"].audit() if e["event"] == "flow_closed"]
    assert closed[0]["reason"].startswith("denied: policy changed"), closed


def test_dns(world):
    server = free_port(socket.SOCK_DGRAM)
    process = world.spawn("dnsmasq", [need("dnsmasq"), "--keep-in-foreground", "--conf-file=/dev/null",
                                      "--no-resolv", "--no-hosts", "--user=", "--pid-file=",
                                      "--listen-address=127.0.0.1", "--bind-interfaces",
                                      f"--port={server}", "--address=/db.internal/10.1.2.3",
                                      "--txt-record=long.internal," + ",".join(["x" * 200] * 5)])
    wait_for(lambda: not process.running() or f"{server:04X}" in open("/proc/net/udp").read(), "dnsmasq")
    assert process.running(), process.log()
    world.allow({"alice": ["dns"]})
    world.intermediate()
    world.connector("home", {"dns": f"udp://127.0.0.1:{server}"})
    agent = world.agent("alice", "--forward", "udp://127.0.0.1:0=dns")
    wait_service(agent, "dns")
    port = str(forward_port(agent, "dns", "udp"))

    def kdig(*question):
        done = subprocess.run([need("kdig"), "@127.0.0.1", "-p", port, "+timeout=10", "+retry=3",
                               "+notcp", "+bufsize=4096", "+short", *question],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    assert kdig("db.internal", "A") == "10.1.2.3"
    assert kdig("long.internal", "TXT").count("x") == 1000


def iperf3(world, *flags):
    """iperf3 wants its TCP control connection and its UDP at the same port number. Its server takes one
    control connection at a time and closes its listener after one that says nothing, so nobody may
    knock: no health checks."""
    server = free_port()
    world.spawn("iperf3", [need("iperf3"), "-s", "-p", str(server), "-B", "127.0.0.1"])
    wait_listening(server, what="iperf3")
    world.allow({"alice": ["perf", "perf-udp"]})
    world.intermediate()
    world.connector("home", {"perf": f"tcp://127.0.0.1:{server}?health=none", "perf-udp": f"udp://127.0.0.1:{server}"})
    local = free_port()
    agent = world.agent("alice", "--forward", f"tcp://127.0.0.1:{local}=perf",
                        "--forward", f"udp://127.0.0.1:{local}=perf-udp")
    wait_service(agent, "perf")
    wait_service(agent, "perf-udp")
    done = subprocess.run([need("iperf3"), "-c", "127.0.0.1", "-p", str(local), "-J", *flags],
                          capture_output=True, text=True, timeout=120)
    report = json.loads(done.stdout)
    assert done.returncode == 0 and "error" not in report, done.stdout
    return report["end"]


def test_iperf3_tcp(world):
    end = iperf3(world, "-n", "100M", "-P", "2")
    # The sender counts what it gave; what the receiver got may still lack what is on its way: two
    # streams of up to 8 MiB of window and 1 MiB of buffer each, and what four sockets hold.
    assert end["sum_received"]["bytes"] >= 60_000_000


def test_iperf3_udp(world):
    end = iperf3(world, "-u", "-b", "10M", "-l", "1400", "-t", "3")
    assert end["sum"]["packets"] > 1000
    # No packet is lost by design; a machine that stops for a moment overruns a socket's buffer.
    assert end["sum"]["lost_percent"] < 5


def test_iperf3_udp_towards_the_agent(world):
    end = iperf3(world, "-u", "-b", "10M", "-l", "1400", "-t", "3", "-R")
    assert end["sum"]["packets"] > 1000
    assert end["sum"]["lost_percent"] < 5
