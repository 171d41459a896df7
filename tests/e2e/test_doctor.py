"""`ztna doctor` on a healthy system, and with each thing broken in turn."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from backends import need, nginx
from test_direct import PRESERVING, put_behind_nat
from test_identity import from_now, sign
from ztna import BIN, TRUST_DOMAIN, free_port, wait_service

PORT, OTHER_PORT, P2P_PORT = 4433, 4435, 4434  # in namespaces of their own


def names(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def env_file(world, **values) -> str:
    path = world.folder / "test.env"
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return str(path)


def run_doctor(world, *args: str, prefix=()) -> subprocess.CompletedProcess:
    """With the environment of nobody: what counts is the file and the flags."""
    clean = {k: v for k, v in os.environ.items()
             if not k.startswith("ZTNA_") and k not in ("INTERMEDIATE_HOST", "CERT_DIR", "SERVICE_ID")}
    return subprocess.run([*prefix, BIN / "ztna", "doctor", *args], capture_output=True, text=True,
                          timeout=60, env={**clean, "ZTNA_RUNTIME_DIR": str(world.folder)})


def doctor(world, *args: str, code: int, prefix=()) -> list[dict]:
    started = time.monotonic()
    done = run_doctor(world, "--json", *args, prefix=prefix)
    assert done.returncode == code, done.stdout + done.stderr
    assert time.monotonic() - started < 30, "each wait has a limit of 2 s; the rest is for slow machines"
    findings = json.loads(done.stdout)
    assert (code == 1) == any(f["status"] == "problem" for f in findings)
    return findings


def of(findings: list[dict], check: str) -> list[dict]:
    return [f for f in findings if f["check"] == check]


def the(findings: list[dict], check: str) -> dict:
    found = of(findings, check)
    assert len(found) == 1, f"{check}: {found}"
    return found[0]


def not_well(findings: list[dict]) -> list[dict]:
    """But for the clock, which is this machine's matter, and for what was not looked at."""
    return [f for f in findings if f["status"] not in ("ok", "skipped") and f["check"] != "clock"]


def problems(findings: list[dict]) -> set[str]:
    return {f["check"] for f in findings if f["status"] == "problem"}


@pytest.fixture
def stack(world):
    """An Intermediate and an Agent that is connected, by an env file that both programs read."""
    world.allow({"alice": ["web"]})
    world.relay = world.intermediate("--alt-listen", f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}")
    world.certificates = pathlib.Path(world.issue("agent", "alice"))
    host, port = world.intermediates[0]
    world.values = {"INTERMEDIATE_HOST": host, "INTERMEDIATE_PORT": port,
                    "CERT_DIR": str(world.certificates), "ZTNA_HEALTH": "off"}
    world.env = env_file(world, **world.values)
    world.alice = world.daemon("ztna-agent", "agent", env=names(pathlib.Path(world.env).read_text()))
    world.alice.wait_status(lambda s: s["ready"], "ready")
    # Without a Connector there is no service.
    findings = doctor(world, "--env", world.env, code=0)
    assert {f["check"] for f in not_well(findings)} == {"service"}, findings
    return world


# --- all right


def start_in_namespaces(world, net):
    first = net.intermediate.address
    put_behind_nat(net, "client", PRESERVING)
    world.issue("intermediate", "relay", "--ip", first, "--force")
    world.issue("connector", "home", "--serve", "web")
    world.issue("agent", "alice")
    policy = world.allow({"alice": ["web"]})
    _, port, _ = nginx(world, port=8080, prefix=net.connector.prefix)
    plan = {"INTERMEDIATE_HOST": first, "INTERMEDIATE_PORT": PORT, "SERVICE_ID": "web",
            "ZTNA_HEALTH": "off"}
    return {
        "intermediate": {"ZTNA_LISTEN": f"{first}:{PORT}", "ZTNA_ALT_LISTEN": f"{first}:{OTHER_PORT}",
                         "CERT_DIR": world.path("intermediate-relay"), "ZTNA_POLICY": policy,
                         "ZTNA_HEALTH": "off"},
        "connector": {**plan, "CERT_DIR": world.path("connector-home"), "ZTNA_POLICY": policy,
                      "ZTNA_LOCAL_ADDR": f"127.0.0.1:{port}"},
        "agent": {**plan, "CERT_DIR": world.path("agent-alice"), "ZTNA_FORWARD": "tcp://127.0.0.1:0=web"},
    }


def test_all_is_well_with_the_environment_that_the_daemons_have(world, net):
    values = start_in_namespaces(world, net)
    hosts = {"intermediate": net.intermediate, "connector": net.connector, "agent": net.client}
    programs = {"intermediate": "intermediate-server", "connector": "app-connector",
                "agent": "ztna-agent"}
    daemons = {}
    for role, host in hosts.items():
        daemons[role] = world.daemon(programs[role], role, prefix=host.prefix,
                                     env={k: str(v) for k, v in values[role].items()})
        daemons[role].wait_status(lambda s: s["ready"], "ready")
    wait_service(daemons["agent"], "web")
    for role, host in hosts.items():
        findings = doctor(world, "--env", env_file(world, **values[role]), prefix=host.prefix, code=0)
        assert not_well(findings) == [], role
        assert not_well(doctor(world, "--role", role, prefix=host.prefix, code=0)) == [], "as it runs"
        assert the(findings, "config")["text"].startswith(f"{role} (as its certificate says)")
        assert f"{role} " in the(findings, "daemon")["text"]
        assert "and ready" in the(findings, "daemon")["text"]
        assert "spiffe://" in the(findings, "certificate")["text"]
        for check in ("key", "trust", "version"):
            assert the(findings, check)["status"] == "ok"
        if role == "intermediate":
            held = of(findings, "listen")
            assert [f"held by the running intermediate relay" in f["text"] for f in held] == [True, True]
            continue
        assert f"{net.intermediate.address}:{PORT} answers in" in the(findings, "udp")["text"]
        assert f":{OTHER_PORT} answers in" in the(findings, "udp-alt")["text"]
        behind = "192.168.7.2) is behind a NAT, seen as 10.77.1.2:" in the(findings, "udp")["text"]
        assert behind == (role == "agent")
        assert the(findings, "uplink")["status"] == "ok"
        if role == "connector":
            assert f"0.0.0.0:{P2P_PORT} is held by the running connector" in of(findings, "p2p-port")[0]["text"]
            assert the(findings, "names")["text"] == "the certificate names the services web"
            assert the(findings, "policy")["text"] == "connector home may serve web"
        else:
            assert the(findings, "service")["text"] == "this Agent sees web"


def test_without_a_word_the_running_daemon_tells(stack):
    done = run_doctor(stack)
    assert done.returncode == 0, done.stdout
    host, port = stack.intermediates[0]
    assert "agent (whose control socket is here)" in done.stdout
    assert f"Intermediate {host}:{port}, certificate {stack.certificates}/cert.pem" in done.stdout
    assert "as the running daemon has it" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("no problems, ")


# --- the environment file


def test_a_folder_that_is_not_here_is_told_of_and_the_daemon_s_looked_at(stack):
    env = env_file(stack, **{**stack.values, "CERT_DIR": "/nowhere"})
    findings = doctor(stack, "--env", env, code=0)
    told = the(findings, "config")
    assert told["status"] == "warning" and "/nowhere/cert.pem is not on this machine" in told["text"]
    assert the(findings, "certificate")["status"] == "ok"


def test_the_second_port_is_the_file_s_where_the_intermediate_says_none(world):
    world.allow({"alice": ["web"]})
    world.intermediate()
    host, port = world.intermediates[0]
    second = free_port(socket.SOCK_DGRAM)
    env = env_file(world, INTERMEDIATE_HOST=host, INTERMEDIATE_PORT=port, STUN_ALT_PORT=second,
                   CERT_DIR=world.issue("agent", "alice"))
    findings = doctor(world, "--env", env, "--control", "off", code=0)
    assert f"{host}:{second}: no answer" in the(findings, "udp-alt")["text"]


def test_a_placeholder_is_a_problem_and_the_rest_is_looked_at(stack):
    env = env_file(stack, **{**stack.values, "INTERMEDIATE_HOST": "<cloud-ip>"})
    findings = doctor(stack, "--env", env, code=1)
    placeholder = the(findings, "env")
    assert placeholder["status"] == "problem"
    assert placeholder["text"] == f'{env}:1: INTERMEDIATE_HOST is still the placeholder "<cloud-ip>"'
    assert placeholder["todo"] == "put the real value there"
    assert problems(findings) == {"env"}
    # A flag fills the place, and the file stays wrong.
    host, port = stack.intermediates[0]
    findings = doctor(stack, "--env", env, "--intermediate", f"{host}:{port}", code=1)
    assert the(findings, "udp")["status"] == "ok"


def test_a_name_that_nobody_reads_is_a_warning(stack):
    env = env_file(stack, **stack.values, INTERMEDIATE_HOTS="relay", REGION="us-east-2")
    findings = doctor(stack, "--env", env, code=0)
    unknown = the(findings, "env")
    assert unknown["status"] == "warning"
    assert unknown["text"] == f"{env}:5: INTERMEDIATE_HOTS is read by no daemon"
    assert "did you mean INTERMEDIATE_HOST?" in unknown["todo"]


def test_values_that_are_none_are_told_all_at_once(stack):
    env = env_file(stack, **{**stack.values, "INTERMEDIATE_PORT": "443x", "ZTNA_LOG_LEVEL": "loud"})
    findings = doctor(stack, "--env", env, code=1)
    texts = [f["text"] for f in of(findings, "config")]
    assert len(texts) == 2
    assert any("INTERMEDIATE_PORT" in t and "443x" in t for t in texts), texts
    assert any("ZTNA_LOG_LEVEL" in t and "loud" in t for t in texts), texts


# --- the network


def test_an_intermediate_that_is_away(world):
    port = free_port(socket.SOCK_DGRAM)
    world.allow({"alice": ["web"]})
    folder = world.issue("agent", "alice")
    env = env_file(world, INTERMEDIATE_HOST="127.0.0.1", INTERMEDIATE_PORT=port, CERT_DIR=folder,
                   ZTNA_HEALTH="off")
    agent = world.daemon("ztna-agent", "agent", env=names(pathlib.Path(env).read_text()))
    agent.wait_status(lambda s: s["uplinks"], "an uplink")
    findings = doctor(world, "--env", env, code=1)
    assert problems(findings) == {"udp", "daemon", "uplink"}
    silent = the(findings, "udp")
    assert silent["text"] == f"127.0.0.1:{port}: no answer in 2.0 s"
    assert silent["todo"].startswith("check that the Intermediate runs and listens there")
    assert "but NOT ready" in the(findings, "daemon")["text"]
    assert the(findings, "uplink")["text"].startswith(f"127.0.0.1:{port} is ")
    done = run_doctor(world, "--env", env)
    assert f"==> waiting for UDP from 127.0.0.1:{port}" in done.stderr, "more than a second"


def test_a_name_that_does_not_resolve(stack):
    env = env_file(stack, **{**stack.values, "INTERMEDIATE_HOST": "nobody.invalid"})
    findings = doctor(stack, "--env", env, code=1)
    assert problems(findings) == {"dns"}
    assert "nobody.invalid" in the(findings, "dns")["text"]
    assert the(findings, "udp")["text"] == "no address of nobody.invalid to ask"
    # Which is not what the running daemon was told.
    assert "does not use nobody.invalid" in of(findings, "uplink")[1]["text"]


def test_blocked_udp_and_a_silent_resolver_end_in_time(world, net):
    values = start_in_namespaces(world, net)
    world.daemon("intermediate-server", "intermediate", prefix=net.intermediate.prefix,
                 env=values["intermediate"]).wait_status(lambda s: s["ready"], "ready")
    env = env_file(world, **values["agent"])
    assert problems(doctor(world, "--env", env, prefix=net.client.prefix, code=1)) == {"daemon"}
    net.router.run(need("nft"), "-f", "-", data="""
table ip block {
  chain forward {
    type filter hook forward priority 0;
    meta l4proto udp drop
  }
}
""")
    findings = doctor(world, "--env", env, prefix=net.client.prefix, code=1)
    assert problems(findings) == {"udp", "daemon"}
    assert "no answer" in the(findings, "udp")["text"]
    # A resolver behind that: every look-up takes longer than anybody waits.
    resolver = world.folder / "resolv.conf"
    resolver.write_text(f"nameserver {net.intermediate.address}\noptions timeout:30 attempts:3\n")
    prefix = (*net.client.prefix, need("unshare"), "-m", "--", "sh", "-c",
              f'mount --bind {resolver} /etc/resolv.conf && exec "$@"', "sh")
    findings = doctor(world, "--env", env, "--intermediate", "relay.example.org", prefix=prefix, code=1)
    assert the(findings, "dns")["text"] == "relay.example.org: no answer in 2.0 s from the resolver"


# --- certificates


def test_an_expired_certificate(stack):
    sign(stack, "agent", "alice", from_now(-3600))
    findings = doctor(stack, "--env", stack.env, code=1)
    assert problems(findings) == {"certificate"}
    found = the(findings, "certificate")
    assert f"{stack.certificates}/cert.pem expired at" in found["text"]
    assert found["todo"].startswith("renew it: ztna ca renew --role agent --name alice")


def test_a_certificate_that_ends_soon(stack):
    sign(stack, "agent", "alice", from_now(13.5 * 86400))
    findings = doctor(stack, "--env", stack.env, code=0)
    assert the(findings, "certificate")["status"] == "warning"
    assert "expires in 13 days" in the(findings, "certificate")["text"]
    assert "still uses a certificate" in of(findings, "daemon")[1]["text"], "it was not told yet"
    stack.alice.signal(signal.SIGHUP)
    # With it the uplink is dialled anew.
    stack.alice.wait_status(lambda s: s["certificate"]["days_left"] < 14 and s["ready"] and
                            s["uplinks"][0]["connects"] > 1, "the new certificate in use")
    assert len(of(doctor(stack, "--env", stack.env, code=0), "daemon")) == 1


def test_a_ca_that_did_not_issue_it(stack):
    stack.ztna("ca", "init", "--trust-domain", TRUST_DOMAIN, "--out", stack.path("other"))
    shutil.copy(stack.path("other/ca-cert.pem"), stack.certificates / "ca-cert.pem")
    findings = doctor(stack, "--env", stack.env, code=1)
    assert problems(findings) == {"trust"}
    assert "is not issued by a CA in" in the(findings, "trust")["text"]


def test_the_key_of_another_certificate(stack):
    other = stack.issue("agent", "bob")
    shutil.copy(f"{other}/key.pem", stack.certificates / "key.pem")
    findings = doctor(stack, "--env", stack.env, code=1)
    assert problems(findings) == {"key"}
    assert "does not belong to the certificate" in the(findings, "key")["text"]


def test_a_key_that_cannot_be_read(stack):
    key = stack.certificates / "key.pem"
    key.chmod(0)
    # Root reads everything, unless it is told not to.
    prefix = () if os.geteuid() != 0 else (
        need("setpriv"), "--bounding-set=-dac_override,-dac_read_search",
        "--inh-caps=-dac_override,-dac_read_search")
    findings = doctor(stack, "--env", stack.env, prefix=prefix, code=1)
    assert problems(findings) == {"key"}
    assert the(findings, "key")["text"] == f'"{key}": Permission denied'
    assert the(findings, "key")["todo"] == "let the user that the daemon runs as read it"
    key.chmod(0o644)
    findings = doctor(stack, "--env", stack.env, code=0)
    assert the(findings, "key")["status"] == "warning"
    assert the(findings, "key")["todo"] == f"chmod g-w,o= {key}"


def test_files_that_are_not_there(stack):
    (stack.certificates / "ca-cert.pem").unlink()
    findings = doctor(stack, "--env", stack.env, code=1)
    assert problems(findings) == {"trust"}
    assert the(findings, "trust")["todo"] == "put it there, or correct CERT_DIR"


def test_the_role_of_another(stack):
    findings = doctor(stack, "--env", stack.env, "--role", "connector", "--policy",
                      stack.path("policy.toml"), code=1)
    assert "is the certificate of role agent, expected role connector" in the(findings, "certificate")["text"]
    assert "no connector is running here" in the(findings, "daemon")["text"]


# --- policy and daemons


def test_a_policy_that_allows_nothing(stack):
    policy = stack.policy('[[allow]]\nagents = ["bob"]\nservices = ["web"]\n')
    findings = doctor(stack, "--env", stack.env, "--policy", policy, code=1)
    assert problems(findings) == {"policy"}
    assert the(findings, "policy")["text"] == f"{policy} lets agent alice reach nothing"
    assert the(findings, "policy")["todo"].startswith("add an [[allow]] block")
    stack.policy("[[allow]]\nagents = alice\n")
    findings = doctor(stack, "--env", stack.env, "--policy", policy, code=1)
    assert f"{policy}:2:" in the(findings, "policy")["text"]


def test_a_daemon_that_does_not_run(stack):
    assert stack.alice.stop() == 0
    findings = doctor(stack, "--env", stack.env, code=1)
    assert problems(findings) == {"daemon"}
    assert the(findings, "daemon")["text"].startswith("no agent is running here, looked for ")
    assert the(findings, "daemon")["todo"].startswith("start ztna-agent")
    assert of(findings, "version") == []


def test_a_daemon_that_hangs_is_not_waited_for(stack):
    stack.alice.signal(signal.SIGSTOP)
    try:
        done = run_doctor(stack, "--env", stack.env)
    finally:
        stack.alice.signal(signal.SIGCONT)
    assert done.returncode == 1
    assert "no answer in time" in done.stdout and "it hangs or is stopped" in done.stdout
    assert f"==> waiting for the daemon at {stack.path('agent.sock')}" in done.stderr


def test_a_port_that_another_program_holds(stack):
    folder = stack.issue("connector", "home", "--serve", "web")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 0))
        port = other.getsockname()[1]
        env = env_file(stack, **{**stack.values, "CERT_DIR": folder, "ZTNA_P2P_LISTEN_PORT": port,
                                 "ZTNA_POLICY": stack.path("policy.toml")})
        findings = doctor(stack, "--env", env, code=1)
        taken = [f for f in of(findings, "p2p-port") if f["status"] == "problem"]
        assert [f["text"] for f in taken] == [f"UDP 0.0.0.0:{port} is taken by another program"]
        assert f"ss -lunp 'sport = :{port}'" in taken[0]["todo"]
    findings = doctor(stack, "--env", env, code=1)
    assert problems(findings) == {"daemon"}, "the Connector does not run"
    assert all("is free" in f["text"] for f in of(findings, "p2p-port"))


# --- usage


@pytest.mark.parametrize("args, word", [
    (["--role", "boss"], "--role"), (["--env", "/nowhere/home.env"], "--env"),
    (["--intermediate", "no port:x"], "--intermediate"), (["--loud"], "--loud")])
def test_wrong_usage(world, args, word):
    done = run_doctor(world, *args)
    assert done.returncode == 2 and word in done.stderr and done.stdout == "", done.stderr
    assert done.stderr.count("\n") == 1
