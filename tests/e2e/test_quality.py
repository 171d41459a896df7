"""`ztna quality`: what datagrams meet on the way to a service, and the grade."""

import json
import subprocess
import xml.etree.ElementTree

from backends import need
from test_direct import PRESERVING, put_behind_nat, start


def quality(world, *args: str) -> subprocess.CompletedProcess:
    return world.ztna("quality", "--control", world.alice.control, *args, check=False)


def test_a_table_and_a_picture(local):
    picture = local.folder / "quality.svg"
    done = quality(local, "web", "--seconds", "2", "--svg", str(picture))
    assert done.returncode == 0, done.stderr
    first, _, header, *rest = done.stdout.splitlines()
    assert first == ("web at connector home: datagrams of 100 octets, 50 a second, each sent back")
    assert header.split() == ["path", "sent", "lost", "p50", "p95", "p99", "jitter", "grade"]
    assert rest[0].split()[:2] == ["RELAY", "100"]
    assert len(done.stderr.splitlines()) == 2  # a line each second
    circles = xml.etree.ElementTree.parse(picture).getroot().iter("{http://www.w3.org/2000/svg}circle")
    assert len(list(circles)) > 90


def test_json_has_every_datagram(local):
    done = quality(local, "web", "--seconds", "1", "--rate", "100", "--size", "1200", "--json")
    assert done.returncode == 0 and done.stderr == ""
    report = json.loads(done.stdout)
    assert [report["service"], report["connector"], report["rate"], report["size"]] == \
        ["web", "home", 100, 1200]
    assert len(report["samples"]) == 100
    assert all(s["via"] == "RELAY" for s in report["samples"])
    assert report["paths"][0]["sent"] == 100 and report["switches"] == []


def test_the_policy_decides_and_the_backend_is_not_asked(local):
    assert quality(local, "web", "--seconds", "1").returncode == 0
    assert [r["service"] for r in local.home.audit() if r.get("event") == "flow"] == ["web"]
    assert {s["name"]: s for s in local.home.status()["services"]}["web"]["flows_total"] == 0
    done = quality(local, "payroll")
    assert done.returncode == 1 and done.stdout == "" and "payroll" in done.stderr


def test_errors_say_what_to_do(local):
    done = quality(local, "web", "--at-least", "splendid")
    assert done.returncode == 2 and "expected excellent, good or acceptable" in done.stderr
    done = quality(local, "web", "--seconds", "1", "--svg", "/nowhere/picture.svg")
    assert done.returncode == 1 and "/nowhere/picture.svg" in done.stderr
    assert quality(local, "web", "--rate", "501").returncode == 2


LOSSY = """
table ip lossy {
  chain output {
    type filter hook output priority 0;
    oifname "eth0" meta l4proto udp numgen inc mod 10 == 0 drop
  }
}
"""


def test_what_the_network_loses_is_counted(world, net):
    """Every tenth packet that leaves the Agent's machine."""
    start(world, net)
    done = quality(world, "web", "--seconds", "1", "--at-least", "excellent")
    assert done.returncode == 0, done.stdout + done.stderr
    net.client.run(need("nft"), "-f", "-", data=LOSSY)
    done = quality(world, "web", "--seconds", "2", "--at-least", "good", "--json")
    report = json.loads(done.stdout)
    assert 1 <= report["paths"][-1]["lost"] <= 40, report["paths"]
    assert done.returncode == 1 and report["grade"] in ("Acceptable", "Poor")


def test_the_direct_path_is_named(world, net):
    put_behind_nat(net, "client", PRESERVING)
    put_behind_nat(net, "connector", PRESERVING)
    start(world, net)
    done = world.ztna("ping", "--control", world.alice.control, "web", "--until-direct",
                      "--interval", "0.1", check=False)
    assert done.returncode == 0, done.stdout
    done = quality(world, "web", "--seconds", "1", "--json")
    assert {s["via"] for s in json.loads(done.stdout)["samples"]} == {"DIRECT"}
