"""Certificates that must not be accepted, at the start and at the other end; revocation; renewal."""

import datetime
import http.client
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from backends import TcpServer, need
from ztna import (BIN, TRUST_DOMAIN, forward_port, free_port, is_reset, reset_at, wait_for,
                  wait_service)


def echo(connection: socket.socket):
    while data := connection.recv(65536):
        connection.sendall(data)


def echoes(connection: socket.socket) -> bool:
    connection.settimeout(20)
    connection.sendall(b"hello")
    return connection.recv(5) == b"hello"


@pytest.fixture
def stack(world):
    """An Intermediate and a Connector with an echo server; Agents are the tests' business."""
    server = TcpServer(echo)
    world.allow({"alice": ["web"]})
    world.relay = world.intermediate(health="127.0.0.1:0")
    world.home = world.connector("home", {"web": f"tcp://127.0.0.1:{server.port}"})
    yield world
    server.close()


def sign(world, role: str, name: str, until: datetime.datetime) -> pathlib.Path:
    """A certificate by the CA's key, made by openssl, that ends at the second `until`."""
    folder = pathlib.Path(world.issue(role, name, "--force"))
    ca = pathlib.Path(world.path("ca"))
    scratch = world.folder / "openssl"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    (scratch / "index").touch()
    usage = {"agent": "clientAuth", "connector": "clientAuth,serverAuth",
             "intermediate": "serverAuth"}[role]
    (scratch / "ca.conf").write_text(f"""
[ca]
default_ca = here
[here]
database = {scratch}/index
new_certs_dir = {scratch}
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = leaf
[any]
commonName = optional
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = {usage}
authorityKeyIdentifier = keyid
subjectAltName = URI:spiffe://{TRUST_DOMAIN}/{role}/{name}
""")
    run(need("openssl"), "req", "-new", "-key", str(folder / "key.pem"), "-subj", f"/CN={name}",
        "-out", str(scratch / "request"))
    start = min(datetime.datetime.now(datetime.timezone.utc), until) - datetime.timedelta(hours=1)
    run("openssl", "ca", "-batch", "-notext", "-config", str(scratch / "ca.conf"),
        "-cert", str(ca / "ca-cert.pem"), "-keyfile", str(ca / "ca-key.pem"),
        "-startdate", f"{start:%Y%m%d%H%M%SZ}", "-enddate", f"{until:%Y%m%d%H%M%SZ}",
        "-in", str(scratch / "request"), "-out", str(folder / "cert.pem"))
    return folder


def run(*argv: str):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def from_now(seconds: float) -> datetime.datetime:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now + datetime.timedelta(seconds=seconds)).replace(microsecond=0)


def run_agent(world, *flags: str) -> subprocess.CompletedProcess:
    """An Agent that is expected not to start."""
    return subprocess.run(
        [BIN / "ztna-agent", *world.uplink_flags, "--health", "off", "--control", "off", *flags],
        capture_output=True, text=True, timeout=30)


def metric(daemon, name: str) -> float:
    host, port = daemon.status()["health"].rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def refusals(daemon) -> list[dict]:
    return [e for e in daemon.audit() if e["event"] == "uplink" and e["verdict"] == "deny"]


# --- the own certificate: the daemon does not start


def test_expired_certificate_does_not_start(world):
    world.intermediates.append(("127.0.0.1", free_port(socket.SOCK_DGRAM)))
    folder = sign(world, "agent", "alice", from_now(-3600))
    done = run_agent(world, "--cert-dir", str(folder))
    assert done.returncode == 2
    assert f"{folder}/cert.pem" in done.stderr and "expired at" in done.stderr, done.stderr


def test_wrong_role_does_not_start(world):
    world.intermediates.append(("127.0.0.1", free_port(socket.SOCK_DGRAM)))
    folder = world.issue("connector", "home", "--serve", "*")
    done = run_agent(world, "--cert-dir", folder)
    assert done.returncode == 2
    assert "is the certificate of role connector, expected role agent" in done.stderr
    agent = world.issue("agent", "alice")
    world.allow({"alice": ["web"]})
    for program, flags in (("intermediate-server", ["--listen", "127.0.0.1:0"]),
                           ("app-connector", [*world.uplink_flags, "--p2p-listen-port", "0",
                                              "--service", "web=tcp://127.0.0.1:1"])):
        done = subprocess.run(
            [BIN / program, *flags, "--cert-dir", agent, "--policy", world.path("policy.toml"),
             "--health", "off", "--control", "off"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 2, program
        assert "is the certificate of role agent, expected role" in done.stderr


def test_none_and_self_signed_do_not_start(world):
    world.intermediates.append(("127.0.0.1", free_port(socket.SOCK_DGRAM)))
    done = run_agent(world)
    assert done.returncode == 2 and "--cert-dir" in done.stderr, done.stderr
    folder = pathlib.Path(world.issue("agent", "alice"))
    run(need("openssl"), "req", "-x509", "-new", "-key", str(folder / "key.pem"), "-subj", "/CN=alice",
        "-days", "1", "-addext", f"subjectAltName=URI:spiffe://{TRUST_DOMAIN}/agent/alice",
        "-addext", "basicConstraints=critical,CA:FALSE", "-out", str(folder / "cert.pem"))
    done = run_agent(world, "--cert-dir", str(folder))
    assert done.returncode == 2
    assert "is not issued by a CA" in done.stderr and f"{folder}/cert.pem" in done.stderr


# --- the certificate of the other end


def test_certificate_of_another_ca_is_refused_and_audited(stack):
    """Mallory has a CA of her own with the same trust domain, and trusts ours as well."""
    stack.ztna("ca", "init", "--trust-domain", TRUST_DOMAIN, "--out", stack.path("evil"))
    folder = pathlib.Path(stack.issue("agent", "alice", ca="evil"))
    with (folder / "ca-cert.pem").open("a") as roots:
        roots.write(pathlib.Path(stack.path("ca/ca-cert.pem")).read_text())
    failed = metric(stack.relay, "ztna_handshakes_failed_total")
    agent = stack.agent("alice", "--forward", "tcp://127.0.0.1:0=web", wait=False,
                        health="127.0.0.1:0")
    (refused, *_) = wait_for(lambda: refusals(stack.relay), "an audited refusal")
    assert "not issued by a CA" in refused["reason"], refused
    assert refused["address"].startswith("127.0.0.1:")
    assert "agent" not in refused, "an identity that was not proven"
    wait_for(lambda: metric(stack.relay, "ztna_handshakes_failed_total") > failed, "a count")
    # Refused with an alert, so that the person at the Agent sees what it is about.
    status = agent.wait_status(lambda s: s["uplinks"][0]["last_error"], "an error")
    assert status["uplinks"][0]["state"] != "up" and not status["ready"]
    host, port = status["health"].rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 503
    assert f"127.0.0.1:{stack.intermediates[0][1]}" in text and "certificate" in text, text
    assert reset_at(forward_port(agent, "web")) is not None
    assert all(u["role"] != "agent" for u in stack.relay.status()["uplinks"])


def test_intermediate_of_another_ca_is_refused(world):
    world.allow({"alice": ["web"]})
    relay = world.intermediate()
    world.ztna("ca", "init", "--trust-domain", TRUST_DOMAIN, "--out", world.path("evil"))
    world.issue("agent", "alice", ca="evil")
    agent = world.agent("alice", "--forward", "tcp://127.0.0.1:0=web", wait=False)
    status = agent.wait_status(lambda s: s["uplinks"][0]["last_error"], "an error")
    assert "not issued by a CA" in status["uplinks"][0]["last_error"]
    assert relay.status()["uplinks"] == []


def test_certificate_that_expires_ends_the_uplink(stack):
    sign(stack, "agent", "alice", from_now(8))
    agent = stack.agent("alice", "--forward", "tcp://127.0.0.1:0=web")
    wait_service(agent, "web")
    with socket.create_connection(("127.0.0.1", forward_port(agent, "web")), 10) as connection:
        assert echoes(connection)
        assert is_reset(connection, 40), "the flow outlived the certificate"
    stack.relay.wait_status(lambda s: all(u["role"] != "agent" for u in s["uplinks"]), "no agent")
    (refused, *_) = wait_for(lambda: refusals(stack.relay), "an audited refusal of the redial")
    assert "expired at" in refused["reason"], refused
    agent.wait_log("expired")


# --- revocation and renewal


@pytest.mark.parametrize("role", ["agent", "connector"])
def test_revocation_ends_live_uplinks(stack, role):
    agent = stack.agent("alice", "--forward", "tcp://127.0.0.1:0=web")
    wait_service(agent, "web")
    name = {"agent": "alice", "connector": "home"}[role]
    with socket.create_connection(("127.0.0.1", forward_port(agent, "web")), 10) as connection:
        assert echoes(connection)
        stack.ztna("ca", "revoke", "--ca-dir", stack.path("ca"), "--role", role, "--name", name,
                   "--policy", stack.path("policy.toml"))
        stack.relay.signal(signal.SIGHUP)
        assert is_reset(connection, 20), "the flow outlived the revocation"
    stack.relay.wait_status(lambda s: all(u["role"] != role for u in s["uplinks"]), "no such uplink")
    ended = [e for e in stack.relay.audit() if e["event"] == "revoked"]
    assert [(e.get(role), e["verdict"]) for e in ended] == [(name, "deny")]
    assert "revoke[1]" in ended[0]["rule"]
    (refused, *_) = wait_for(lambda: refusals(stack.relay), "a refused redial")
    assert refused[role] == name and "revoke[1]" in refused["rule"]
    daemon = agent if role == "agent" else stack.home
    status = daemon.wait_status(lambda s: not s["ready"], "not ready")
    assert "revoke" in status["not_ready_reason"], status["not_ready_reason"]


def test_revocation_at_the_connector_alone_ends_the_session(stack):
    agent = stack.agent("alice", "--forward", "tcp://127.0.0.1:0=web")
    wait_service(agent, "web")
    with socket.create_connection(("127.0.0.1", forward_port(agent, "web")), 10) as connection:
        assert echoes(connection)
        stack.ztna("ca", "revoke", "--ca-dir", stack.path("ca"), "--role", "agent", "--name",
                   "alice", "--policy", stack.path("policy.toml"))
        stack.home.signal(signal.SIGHUP)
        assert is_reset(connection, 20), "the flow outlived the revocation"
    assert reset_at(forward_port(agent, "web")) is not None


def test_renewed_certificates_drop_nothing(stack):
    agent = stack.agent("alice", "--forward", "tcp://127.0.0.1:0=web")
    wait_service(agent, "web")
    nodes = (("intermediate", "relay", stack.relay), ("connector", "home", stack.home),
             ("agent", "alice", agent))
    with socket.create_connection(("127.0.0.1", forward_port(agent, "web")), 10) as connection:
        assert echoes(connection)
        session = agent.status()["sessions"][0]["id"]
        for role, name, daemon in nodes:
            before = daemon.status()["certificate"]["not_after"]
            stack.ztna("ca", "renew", "--ca-dir", stack.path("ca"), "--role", role, "--name", name,
                       "--days", "200", "--out", stack.path(f"{role}-{name}"))
            daemon.signal(signal.SIGHUP)
            daemon.wait_status(lambda s, old=before: s["certificate"]["not_after"] != old,
                               "the new certificate")
            assert echoes(connection), role
        # Beyond the time after which an uplink that went wrong would be given up.
        until = time.monotonic() + 4
        while time.monotonic() < until:
            assert echoes(connection)
        assert agent.status()["sessions"][0]["id"] == session
    # Their uplinks are dialled anew, with the new certificate, once; the session came through that.
    assert agent.status()["uplinks"][0]["connects"] == 2
    assert stack.home.status()["uplinks"][0]["connects"] == 2


def test_an_intermediates_certificate_holds_for_the_hosts_it_names(world):
    """Issued for 127.0.0.1: by another name or address it is nobody."""
    world.allow({"alice": ["web"]})
    relay = world.intermediate(listen="0.0.0.0:0")
    port = relay.status()["listen"][0].rsplit(":", 1)[1]
    world.intermediates = [("127.0.0.2", port)]
    agent = world.agent("alice", wait=False)
    agent.wait_log("the certificate does not name the host")
    world.intermediates = [("127.0.0.1", port)]
    world.agent("alice", daemon_name="alice-again")
