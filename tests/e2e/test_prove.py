"""`ztna prove`: four tests of a live session, signed by all three who handle its packets."""

import json
import subprocess

import pytest

from test_direct import PRESERVING, SYMMETRIC, download, finish, put_behind_nat, start, wait_path
from ztna import wait_for

PROVE = """
[[prove]]
agents = ["alice"]
services = ["web"]
"""


def allow_proofs(world):
    world.policy((world.folder / "policy.toml").read_text() + PROVE)
    for daemon in (world.relay, world.home):
        seen = len(daemon.log())
        daemon.signal(1)  # SIGHUP
        daemon.wait_log("policy reloaded", after=seen)


@pytest.fixture
def homes(world, net):
    put_behind_nat(net, "client", PRESERVING)
    put_behind_nat(net, "connector", PRESERVING)
    start(world, net)
    return world


def prove(world, *args: str) -> subprocess.CompletedProcess:
    return world.ztna("prove", *args, check=False)


def live(world, *args: str) -> subprocess.CompletedProcess:
    return prove(world, "web", "--control", world.alice.control, *args)


def verify(world, report: str, ca: str = "ca/ca-cert.pem") -> subprocess.CompletedProcess:
    path = world.folder / "report.json"
    path.write_text(report)
    return prove(world, "--verify", str(path), "--ca", world.path(ca))


def outcomes(report: str) -> list[bool]:
    return [test["passed"] for test in json.loads(report)["verdict"]["tests"]]


def test_all_four_between_two_homes(homes):
    allow_proofs(homes)
    done = live(homes, "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    assert outcomes(done.stdout) == [True] * 4
    checked = verify(homes, done.stdout)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "4 of 4 tests passed" in checked.stdout
    assert f"alice sends DIRECT to {homes.net.connector.address}:" in checked.stdout
    # What an operator of either sees of it: who suspended what, by which rule.
    for daemon, path in ((homes.relay, "RELAY"), (homes.home, "DIRECT")):
        asked = [r for r in daemon.audit() if r["event"] == "suspend"]
        assert [(r["agent"], r["service"], r["path"], r["verdict"]) for r in asked] == [
            ("alice", "web", path, "allow")], asked
        assert asked[0]["rule"].startswith("prove[1]") and asked[0]["duration_ms"] <= 10_000
    # And it left nothing behind.
    wait_path(homes.alice, "DIRECT")
    finish(homes, download(homes))


def test_a_report_that_was_changed_is_refused(homes, net):
    allow_proofs(homes)
    report = json.loads(live(homes, "--json").stdout)
    said = report["snapshots"][1]["intermediate"]
    said["text"] = said["text"].replace('"packets":', '"packets":1')
    changed = verify(homes, json.dumps(report))
    assert changed.returncode == 1 and "signature" in changed.stderr, changed.stdout
    homes.ztna("ca", "init", "--trust-domain", "example.org", "--out", homes.path("other"))
    said["text"] = said["text"].replace('"packets":1', '"packets":', 1)
    assert verify(homes, json.dumps(report)).returncode == 0
    stranger = verify(homes, json.dumps(report), "other/ca-cert.pem")
    assert stranger.returncode == 1 and "not issued by a CA" in stranger.stderr


def test_without_a_rule_nothing_is_suspended(homes):
    done = live(homes, "--json")
    assert done.returncode == 1
    assert "default deny" in done.stderr and "needs a [[prove]] block" in done.stderr
    assert outcomes(done.stdout) == [True, True, False, False]
    assert homes.relay.status()["relay"]["dropped"]["suspended"] == 0
    asked = [r for r in homes.relay.audit() if r["event"] == "suspend"]
    assert [r["verdict"] for r in asked] == ["deny"]


def test_on_the_relay_it_says_so(world, net):
    put_behind_nat(net, "client", SYMMETRIC)
    put_behind_nat(net, "connector", SYMMETRIC)
    start(world, net)
    done = live(world, "--json")
    assert done.returncode == 1
    assert outcomes(done.stdout) == [False] * 4
    assert "alice sends RELAY to" in json.loads(done.stdout)["verdict"]["tests"][0]["evidence"]


# Only this session: what others have open through the same Intermediate does not notice.
def test_a_suspended_relay_stops_this_session_alone(world, net):
    start(world, net)
    allow_proofs(world)
    bob_policy = (world.folder / "policy.toml").read_text().replace('["alice"]', '["alice", "bob"]')
    world.policy(bob_policy)
    world.relay.signal(1)
    world.home.signal(1)
    bob = world.agent("bob", "--forward", "tcp://127.0.0.1:0=web", prefix=net.client.prefix)
    asked = world.ztna("ping", "--control", bob.control, "web", "--count", "1", "--json")
    assert json.loads(asked.stdout)["via"] == "RELAY"
    assert world.ztna("ping", "--control", world.alice.control, "web", "--until-direct").returncode == 0
    session = wait_path(world.alice, "DIRECT")["id"]
    target = f"/v1/prove/suspend?session={session}&service=web&path=relay&ms=10000"
    status, body = world.alice.request("POST", target)
    assert status == 200 and json.loads(body)["ms"] == 10_000, body
    done = world.ztna("ping", "--control", bob.control, "web", "--count", "3", "--interval", "0.05")
    assert done.stdout.count("via RELAY") == 3
    # What its own session's packets do meanwhile is seen in the simulator (prove_test.cpp).
    assert len(wait_for(lambda: world.relay.status()["sessions"], "sessions")) == 2
    # A session that is another's cannot be touched.
    status, body = bob.request("POST", target)
    assert status == 400 and "no such session" in body


def test_usage(world):
    for args in ((), ("web", "--verify", "x"), ("--verify", "x"), ("web", "--ca", "x"),
                 ("web", "--packets", "1")):
        assert prove(world, *args).returncode == 2, args
    (world.folder / "junk.json").write_text("{}")
    done = prove(world, "--verify", world.path("junk.json"), "--ca", world.path("ca/ca-cert.pem"))
    assert done.returncode == 2 and "junk.json" in done.stderr
    done = prove(world, "web", "--control", world.path("nothing.sock"))
    assert done.returncode == 1 and "no daemon is running there" in done.stderr
