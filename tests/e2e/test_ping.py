"""`ztna ping`: round trips through the session, and the path they took."""

import json
import re
import signal
import subprocess

from test_direct import PRESERVING, SYMMETRIC, put_behind_nat, start
from ztna import BIN


def ping(world, *args: str) -> subprocess.CompletedProcess:
    return world.ztna("ping", "--control", world.alice.control, *args, check=False)


def test_a_line_a_reply_and_totals(local):
    done = ping(local, "web", "--count", "3", "--interval", "0.05")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    host, port = local.intermediates[0]
    for seq, line in enumerate(lines, 1):
        assert re.fullmatch(rf"web: seq={seq} from home via RELAY \({host}:{port}\) time=[\d.]+ ms",
                            line), line
    assert len(lines) == 3
    assert done.stderr.startswith("3 asked, 3 answered (0 direct), round trip min / mean / max ")


def test_json_is_one_object_a_line(local):
    done = ping(local, "web", "--count", "2", "--interval", "0.05", "--json")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [a["seq"] for a in answers] == [1, 2] and done.stderr == ""
    for answer in answers:
        assert answer["via"] == "RELAY" and 0 < answer["rtt_ms"] < 5000
        assert answer["connector"].endswith("/connector/home")


def test_the_policy_decides_and_the_backend_is_not_asked(local):
    assert ping(local, "web", "--count", "1").returncode == 0
    audit = local.home.audit()
    flows = [r for r in audit if r.get("event") == "flow"]
    assert [(r["service"], r["protocol"]) for r in flows] == [("web", "ping")]
    services = {s["name"]: s for s in local.home.status()["services"]}
    assert services["web"]["flows_total"] == 0, services  # what reached the backend
    assert local.alice.status()["failures"] == []
    # Nobody may know that there is a payroll: it is unknown to alice, and asked for once only.
    done = ping(local, "payroll", "--interval", "0.05")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1 and "no answer: " in done.stdout


def test_a_connector_that_is_gone_is_no_answer(local):
    assert ping(local, "web", "--count", "1").returncode == 0
    local.home.stop()
    done = ping(local, "web", "--count", "1")
    assert done.returncode == 1 and "no answer: " in done.stdout
    assert done.stderr.startswith("1 asked, 0 answered")


def test_ctrl_c_ends_it_with_totals(local):
    process = subprocess.Popen([BIN / "ztna", "ping", "--control", local.alice.control, "web"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "seq=1" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0 and " answered" in errors


def test_errors_say_what_to_do(local):
    done = local.ztna("ping", "--control", local.path("nothing.sock"), "web", check=False)
    assert done.returncode == 1 and "no daemon is running there" in done.stderr
    done = local.ztna("ping", "--control", local.home.control, "web", check=False)
    assert done.returncode == 1 and "no Agent that can ping" in done.stderr
    assert ping(local, "not a name", "--count", "1").returncode == 2
    assert local.ztna("ping", check=False).returncode == 2


def test_until_direct_behind_two_nats(world, net):
    put_behind_nat(net, "client", PRESERVING)
    put_behind_nat(net, "connector", PRESERVING)
    start(world, net)
    done = ping(world, "web", "--until-direct", "--interval", "0.1")
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert re.search(rf"via DIRECT \({net.connector.address}:\d+\) time=", last), last
    assert f"via RELAY ({net.intermediate.address}:" in done.stdout or len(done.stdout.splitlines()) == 1


def test_until_direct_says_when_it_did_not_get_there(world, net):
    put_behind_nat(net, "client", SYMMETRIC)
    put_behind_nat(net, "connector", SYMMETRIC)
    start(world, net)
    done = ping(world, "web", "--until-direct", "--interval", "0.2", "--count", "10")
    assert done.returncode == 1
    assert done.stdout.count(f"via RELAY ({net.intermediate.address}:") == 10
