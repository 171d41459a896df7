"""Who may reach and serve what: refusals say why, changes cut live flows, the audit log tells it."""

import contextlib
import signal
import socket
import threading

import pytest

from backends import TcpServer
from ztna import failures, forward_port, free_port, is_reset, reset_at, wait_for, wait_service

# A refusal needs one round trip to the Intermediate. More than this is a hang, however busy the
# machine is; no timer of the product that ends a flow is shorter than 3 s.
AT_ONCE = 2.5


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 10)


def echo(connection: socket.socket):
    while data := connection.recv(65536):
        connection.sendall(data)


@pytest.fixture
def echo_server():
    server = TcpServer(echo)
    yield server
    server.close()


def exchange(connection: socket.socket, data: bytes = b"hello"):
    connection.settimeout(20)
    connection.sendall(data)
    got = b""
    while len(got) < len(data):
        more = connection.recv(65536)
        assert more, "ended early"
        got += more
    assert got == data


def forward(service: str) -> tuple[str, str]:
    return "--forward", f"tcp://127.0.0.1:0={service}"


def serve(services: str, allow: str) -> str:
    return f"""
[[serve]]
connectors = ["*"]
services = [{services}]
[[allow]]
agents = ["alice"]
services = [{allow}]
"""


def test_denied_and_unknown_services_end_at_once_with_a_reason(world, echo_server):
    world.policy(serve('"web", "secret"', '"web", "nosuch"'))
    intermediate = world.intermediate()
    backend = f"tcp://127.0.0.1:{echo_server.port}"
    world.connector("home", {"web": backend, "secret": backend})
    agent = world.agent("alice", *forward("web"), *forward("secret"), *forward("nosuch"))
    wait_service(agent, "web")
    assert [s["name"] for s in agent.status()["services"]] == ["web"], "only what it may reach"

    for service, reason in (("secret", "denied"), ("nosuch", "unknown_service")):
        took = reset_at(forward_port(agent, service))
        assert took is not None, f"{service}: an orderly end"
        assert took < AT_ONCE, service
        (failure,) = failures(agent, service)
        assert failure["reason"] == reason, failure
        assert failure["detail"], failure
        agent.wait_log(f"service={service} reason={reason}")
        (own,) = [e for e in agent.audit() if e["service"] == service]
        assert (own["verdict"], own["reason"].split(":")[0]) == ("deny", reason)

    denied = [e for e in intermediate.audit() if e["event"] == "session" and e["verdict"] == "deny"]
    assert [(e["agent"], e["service"], e["rule"]) for e in denied] == [
        ("alice", "secret", "default deny")]
    with connect(forward_port(agent, "web")) as connection:
        exchange(connection)


def test_connector_decides_again(world, echo_server):
    """The Intermediate would allow it; the Connector's own policy does not."""
    world.policy(serve('"web"', '"web"'))
    world.intermediate()
    strict = world.folder / "strict.toml"
    strict.write_text(serve('"web"', '"other"'))
    world.issue("connector", "home", "--serve", "*")
    connector = world.daemon(
        "app-connector", "strict", *world.uplink_flags, "--cert-dir", world.path("connector-home"),
        "--policy", str(strict), "--health", "off", "--p2p-listen-port", "0",
        "--service", f"web=tcp://127.0.0.1:{echo_server.port}")
    agent = world.agent("alice", *forward("web"))
    wait_service(agent, "web")
    assert reset_at(forward_port(agent, "web")) is not None
    assert failures(agent, "web")[0]["reason"] == "denied"
    flows = wait_for(lambda: [e for e in connector.audit() if e["event"] == "flow"], "an audit line")
    assert [(e["agent"], e["service"], e["verdict"], e["rule"]) for e in flows] == [
        ("alice", "web", "deny", "default deny")]


def test_policy_removed_under_a_live_flow_at_the_connector(world, echo_server):
    world.policy(serve('"web", "keep"', '"web", "keep"'))
    world.intermediate()
    backend = f"tcp://127.0.0.1:{echo_server.port}"
    connector = world.connector("home", {"web": backend, "keep": backend})
    agent = world.agent("alice", *forward("web"), *forward("keep"))
    wait_service(agent, "web")
    wait_service(agent, "keep")
    with connect(forward_port(agent, "web")) as web, connect(forward_port(agent, "keep")) as keep:
        exchange(web)
        exchange(keep)
        world.policy(serve('"web", "keep"', '"keep"'))
        connector.signal(signal.SIGHUP)
        assert is_reset(web), "the flow was not cut"
        exchange(keep)
    closed = wait_for(lambda: [e for e in connector.audit() if e["event"] == "flow_closed"
                               and e["service"] == "web"], "an audit line of the end")
    assert closed[0]["reason"].startswith("denied: policy changed"), closed
    assert reset_at(forward_port(agent, "web")) is not None
    assert failures(agent, "web")[-1]["reason"] == "denied"


def test_policy_removed_at_the_intermediate_ends_the_session(world, echo_server):
    world.policy(serve('"web"', '"web"'))
    intermediate = world.intermediate()
    world.connector("home", {"web": f"tcp://127.0.0.1:{echo_server.port}"})
    agent = world.agent("alice", *forward("web"))
    wait_service(agent, "web")
    with connect(forward_port(agent, "web")) as web:
        exchange(web)
        world.policy(serve('"web"', '"other"'))
        intermediate.signal(signal.SIGHUP)
        assert is_reset(web), "the flow was not cut"
    agent.wait_log("policy no longer allows it")
    assert failures(agent, "web")[-1]["reason"] == "session_lost"
    intermediate.wait_status(lambda s: s["sessions"] == [], "no session")
    agent.wait_status(lambda s: s["services"] == [], "no service is visible")
    assert reset_at(forward_port(agent, "web")) is not None
    assert failures(agent, "web")[-1]["reason"] == "denied"


def test_audit_lines(world, echo_server):
    world.policy(serve('"web"', '"web"'))
    intermediate = world.intermediate()
    connector = world.connector("home", {"web": f"tcp://127.0.0.1:{echo_server.port}"})
    agent = world.agent("alice", *forward("web"))
    wait_service(agent, "web")
    with connect(forward_port(agent, "web")) as connection:
        exchange(connection, b"x" * 1000)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""

    def lines(daemon, event):
        return [e for e in daemon.audit() if e["event"] == event]

    closed = wait_for(lambda: lines(connector, "flow_closed"), "the flow's end")
    assert len(closed) == 1
    assert closed[0]["reason"] == "finished"
    assert closed[0]["path"] == "RELAY"
    assert (closed[0]["bytes_to_service"], closed[0]["bytes_to_agent"]) == (1000, 1000)
    (flow,) = lines(connector, "flow")
    rule = f"allow[1] at {world.path('policy.toml')}:5"
    assert (flow["agent"], flow["connector"], flow["service"]) == ("alice", "home", "web")
    assert (flow["verdict"], flow["rule"]) == ("allow", rule)
    assert flow["flow"] == closed[0]["flow"]

    (seen,) = wait_for(lambda: lines(agent, "flow_closed"), "the flow's end at the Agent")
    assert (seen["agent"], seen["connector"], seen["service"]) == ("alice", "home", "web")
    assert (seen["session"], seen["path"], seen["reason"]) == (flow["session"], "RELAY", "finished")
    assert (seen["bytes_to_service"], seen["bytes_to_agent"]) == (1000, 1000)
    (own,) = lines(agent, "flow")
    assert (own["verdict"], own["rule"]) == ("allow", "the Connector's certificate")
    assert [r["flow"] for r in (own, seen)] == [flow["flow"]] * 2, "one flow, by one number at both ends"
    assert {r["protocol"] for r in (own, seen, flow, closed[0])} == {"tcp"}

    (session,) = lines(intermediate, "session")
    assert (session["agent"], session["connector"], session["service"]) == ("alice", "home", "web")
    assert (session["verdict"], session["rule"]) == ("allow", rule)
    assert session["session"] == flow["session"]
    (offer,) = lines(intermediate, "offer")
    assert (offer["connector"], offer["service"], offer["verdict"]) == ("home", "web", "allow")
    assert offer["rule"] == f"serve[1] at {world.path('policy.toml')}:2"
    uplinks = {e.get("agent") or e.get("connector"): e for e in lines(intermediate, "uplink")}
    assert {n: e["verdict"] for n, e in uplinks.items()} == {"alice": "allow", "home": "allow"}
    assert all(e["address"].startswith("127.0.0.1:") for e in uplinks.values())

    agent.stop()
    (over,) = wait_for(lambda: lines(intermediate, "session_closed"), "the session's end")
    assert (over["agent"], over["connector"]) == ("alice", "home")
    assert over["session"] == flow["session"]
    assert over["bytes_relayed"] > 2000
    assert over["duration_ms"] > 0


def test_offer_that_the_certificate_does_not_name_is_refused(world, echo_server):
    world.policy(serve('"web", "other"', '"web", "other"'))
    intermediate = world.intermediate()
    world.issue("connector", "home", "--serve", "other")
    backend = f"tcp://127.0.0.1:{echo_server.port}"
    connector = world.connector("home", {"web": backend, "other": backend})
    agent = world.agent("alice", *forward("web"))
    wait_service(agent, "other")
    assert [s["name"] for s in agent.status()["services"]] == ["other"]
    refused = [e for e in intermediate.audit() if e["event"] == "offer" and e["verdict"] == "deny"]
    assert [(e["service"], e["rule"]) for e in refused] == [
        ("web", "certificate does not name web")]
    connector.wait_log("certificate does not name web")
    assert reset_at(forward_port(agent, "web")) is not None
    assert failures(agent, "web")[-1]["reason"] == "unknown_service"


def test_a_new_policy_at_the_intermediate_decides_standing_offers(world, echo_server):
    """... and the Connector's status says what became of them, as long as it is so."""
    world.policy(serve('"other"', '"web"'))
    intermediate = world.intermediate()
    world.policy(serve('"web"', '"web"'))
    connector = world.connector("home", {"web": f"tcp://127.0.0.1:{echo_server.port}"})
    agent = world.agent("alice", *forward("web"))

    def refused(status):
        return status["services"][0]["refused"]

    host, port = world.intermediates[0]
    connector.wait_status(lambda s: refused(s).endswith(f"({host}:{port})"), "who refuses it")
    intermediate.signal(signal.SIGHUP)
    connector.wait_status(lambda s: refused(s) == "", "no refusal")
    connector.wait_log("No longer refused by the Intermediate")
    wait_service(agent, "web")
    with connect(forward_port(agent, "web")) as web:
        exchange(web)
    world.policy(serve('"other"', '"web"'))
    intermediate.signal(signal.SIGHUP)
    agent.wait_status(lambda s: s["services"] == [], "no service is visible")
    connector.wait_status(refused, "a refusal")
    verdicts = [e["verdict"] for e in intermediate.audit() if e["event"] == "offer"]
    assert verdicts == ["deny", "allow", "deny"]


def test_agent_itself_checks_the_certificate_for_the_service(world, echo_server):
    """An Intermediate knows the Connector by the certificate of its uplink. With another one in the
    session, the Agent alone can see that it does not name the service. After a renewal that is so
    for some seconds at all Intermediates but the first."""
    world.policy(serve('"web"', '"web"'))
    world.intermediate(name="first")
    intermediate = world.intermediate(name="second")
    world.issue("connector", "home", "--serve", "web")
    connector = world.connector("home", {"web": f"tcp://127.0.0.1:{echo_server.port}"})
    del world.intermediates[0]
    agent = world.agent("alice", *forward("web"))
    wait_service(agent, "web")
    world.issue("connector", "home", "--serve", "other", "--force")
    connector.signal(signal.SIGHUP)
    connector.wait_log("Certificates and policy reloaded")
    assert reset_at(forward_port(agent, "web")) is not None
    failure = failures(agent, "web")[-1]
    assert failure["reason"] == "untrusted", failure
    assert "no certificate for web" in failure["detail"]
    (refused,) = [e for e in agent.audit() if e["event"] == "flow"]
    assert refused["verdict"] == "deny"
    assert refused["reason"].startswith("untrusted: "), refused
    opened = [e for e in intermediate.audit() if e["event"] == "session"]
    assert [e["verdict"] for e in opened] == ["allow"], "the Intermediate was to suspect nothing"


@pytest.mark.parametrize("names", [("one", "two"), ("home", "home")],
                         ids=["two connectors", "two instances of one name"])
def test_another_instance_takes_over(world, names):
    """kill -9 of the one that serves: new flows reach the other."""

    def banner(text):
        def serve_one(connection):
            connection.sendall(text)
            while connection.recv(65536):
                pass
        return serve_one

    servers = [TcpServer(banner(text)) for text in (b"A", b"B")]
    world.policy(serve('"web"', '"web"'))
    intermediate = world.intermediate()
    connectors = {
        text: world.connector(name, {"web": f"tcp://127.0.0.1:{server.port}"},
                              daemon_name=f"connector-{index}")
        for index, (text, name, server) in enumerate(zip((b"A", b"B"), names, servers))}
    agent = world.agent("alice", *forward("web"))
    agent.wait_status(lambda s: s["services"] and len(s["services"][0]["instances"]) == 2,
                      "two instances")
    uris = {u["uri"] for u in intermediate.status()["uplinks"] if u["role"] == "connector"}
    assert len(uris) == len(set(names))
    port = forward_port(agent, "web")
    live = connect(port)
    live.settimeout(20)
    first = live.recv(1)
    assert first in connectors
    cut = threading.Event()

    def watch():
        if is_reset(live, 60):
            cut.set()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    connectors[first].kill()

    def other_answers():
        with contextlib.suppress(OSError), connect(port) as connection:
            connection.settimeout(15)
            return connection.recv(1) not in (b"", first)
        return False

    wait_for(other_answers, "an answer from the other instance", 30)
    watcher.join(60)
    assert cut.is_set(), "the live flow did not end with its Connector"
    for server in servers:
        server.close()


def test_audit_of_an_allowed_flow_whose_backend_refuses(world):
    """What was allowed gets an end, in the same session, whatever became of it."""
    world.allow({"alice": ["web"]})
    world.intermediate()
    connector = world.connector("home", {"web": f"tcp://127.0.0.1:{free_port()}?health=none"})
    agent = world.agent("alice", "--forward", "tcp://127.0.0.1:0=web")
    wait_service(agent, "web")
    assert reset_at(forward_port(agent, "web")) is not None
    closed = wait_for(lambda: [r for r in connector.audit() if r["event"] == "flow_closed"],
                      "the end of the flow")
    opened = [r for r in connector.audit() if r["event"] == "flow"]
    assert len(opened) == len(closed) == 1
    assert closed[0]["reason"].startswith("backend_refused"), closed
    assert (closed[0]["session"], closed[0]["flow"]) == (opened[0]["session"], opened[0]["flow"])
