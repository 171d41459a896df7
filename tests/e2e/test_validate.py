"""`ztna validate`: a deployment of real programs between two NATs, judged from the Agent's machine."""

import json
import os
import subprocess

import pytest

from backends import need, nginx
from test_direct import PRESERVING, SYMMETRIC, put_behind_nat
from test_prove import PROVE
from ztna import BIN, wait_for, wait_service

PORT, OTHER_PORT = 4433, 4435  # in namespaces of their own
BY_HAND = {"Connector runs behind a NAT", "Browser client connects by WebSocket"}
# The laboratory's Internet has addresses of RFC 1918.
IN_A_LABORATORY = BY_HAND | {"Intermediate runs, with a public IP"}


def quake(world, prefix) -> None:
    home = world.folder / "home"
    home.mkdir()
    server = world.spawn("openarena", [
        *prefix, need("openarena-server"), "+set", "dedicated", "1", "+set", "net_ip", "127.0.0.1",
        "+set", "net_port", "27960", "+set", "sv_pure", "0", "+set", "sv_maxclients", "7",
        "+set", "sv_hostname", "arena", "+map", "oa_dm1"], env={"HOME": str(home)})
    wait_for(lambda: "Opening IP socket" in server.log() and server.running(), "the game server", 60)


def start(world, net, kind: str):
    put_behind_nat(net, "client", kind)
    put_behind_nat(net, "connector", kind)
    world.issue("intermediate", "relay", "--ip", net.intermediate.address, "--force")
    _, _, www = nginx(world, port=8080, prefix=net.connector.prefix)
    (www / "index.html").write_text("a page")
    quake(world, net.connector.prefix)
    world.policy(open(world.allow({"alice": ["web", "quake"]})).read() + PROVE)
    world.relay = world.intermediate("--alt-listen", f"{net.intermediate.address}:{OTHER_PORT}",
                                     listen=f"{net.intermediate.address}:{PORT}",
                                     prefix=net.intermediate.prefix)
    world.home = world.connector("home", {"web": "tcp://127.0.0.1:8080",
                                          "quake": "udp://127.0.0.1:27960"},
                                 prefix=net.connector.prefix)
    world.alice = world.agent("alice", "--forward", "tcp://127.0.0.1:0=web", "--forward",
                              "udp://127.0.0.1:0=quake", direct=True, prefix=net.client.prefix)
    for service in ("web", "quake"):
        wait_service(world.alice, service)
    # As in the plan's file: the folder of the Connector's machine, which is not there on the Agent's.
    world.env = world.folder / "home.env"
    world.env.write_text(f"INTERMEDIATE_HOST={net.intermediate.address}\nINTERMEDIATE_PORT={PORT}\n"
                         f"SERVICE_ID=web\nGAME_SERVICE_ID=quake\nCERT_DIR={world.folder}/of-the-connector\n")


def validate(world, *args: str, prefix=()) -> subprocess.CompletedProcess:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ZTNA_") and k not in (
        "INTERMEDIATE_HOST", "CERT_DIR", "SERVICE_ID", "GAME_SERVICE_ID")}
    return subprocess.run([*prefix, BIN / "ztna", "validate", *args], capture_output=True, text=True,
                          timeout=150, env={**clean, "ZTNA_RUNTIME_DIR": str(world.folder)})


def by_standing(report: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {"met": set(), "not met": set(), "open": set()}
    for criterion in json.loads(report)["criteria"]:
        found[criterion["standing"]].add(criterion["text"])
    return found


def test_two_homes_with_a_page_and_a_game(world, net):
    start(world, net, PRESERVING)
    record = world.folder / "validation.md"
    done = validate(world, "--env", str(world.env), "--control", world.alice.control, "--seconds", "2",
                    "--record", str(record), "--name", "Two homes", prefix=net.client.prefix)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"open: 17 met, 0 not met, {len(IN_A_LABORATORY)} open\n" in done.stdout
    assert "answered 200, 6 octets" in done.stdout
    assert "answers getinfo: arena, 0 of 7 players" in done.stdout
    assert "port-restricted cone NAT" in done.stdout
    text = record.read_text()
    assert text.startswith("# Validation\n\n## Two homes\n") and text.count("| [x] |") == 17
    # And it left nothing behind.
    assert world.alice.status()["sessions"][0]["path"] == "DIRECT"


def test_two_symmetric_nats_fail_the_proofs_alone(world, net):
    start(world, net, SYMMETRIC)
    done = validate(world, "--env", str(world.env), "--control", world.alice.control, "--seconds", "1",
                    "--json", prefix=net.client.prefix)
    assert done.returncode == 1, done.stdout + done.stderr
    found = by_standing(done.stdout)
    assert found["not met"] == {text for text in found["not met"] if text.startswith("PROOF")} | {
        "Candidates are exchanged, and a direct path found"}, found
    assert len(found["not met"]) == 5
    assert found["open"] == IN_A_LABORATORY


@pytest.fixture
def stopped(local):
    """An Agent that has been told to end, beside a system that works."""
    local.alice.signal(15)
    wait_for(lambda: not local.alice.running(), "its end")
    return local


def test_without_an_agent_the_table_says_so(stopped):
    done = validate(stopped, "--service", "web", "--json")
    assert done.returncode == 1, done.stderr
    found = by_standing(done.stdout)
    assert "App Connector is connected to the Intermediate" in found["not met"]
    assert not any(text.startswith("PROOF") for text in found["met"])


@pytest.mark.parametrize("args, said", [
    ((), "SERVICE_ID"),
    (("--service", "no/name"), "no/name"),
    (("--env", "/nowhere"), "/nowhere"),
])
def test_usage_errors_say_what_to_do(world, args, said):
    done = validate(world, *args)
    assert done.returncode == 2 and said in done.stderr and done.stdout == ""
