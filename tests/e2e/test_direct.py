"""Direct paths between hosts, some behind real NATs: sessions move there, and back when it fails."""

import hashlib
import subprocess

from backends import need, nginx, random_file
from netns import run
from ztna import forward_port, wait_for, wait_service

PORT = 4433
# Address of the outer side of a home's router, in the router's place of that host's link.
NAT = """
table ip home {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "up" masquerade %s
  }
  chain input {
    type filter hook input priority 0;
    iifname "up" ct state established,related accept
    iifname "up" drop
  }
}
"""
PRESERVING, SYMMETRIC = "", "random,fully-random"


def put_behind_nat(net, name: str, kind: str):
    """A gateway between the host and the Internet's router: the host moves to 192.168.7.0/24."""
    host = net.hosts[name]
    gateway = net._add(f"{name}-gw")
    index = net.HOSTS.index(name) + 1
    gateway.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    host.run("ip", "link", "set", "dev", "eth0", "netns", gateway.name)
    gateway.run("ip", "link", "set", "dev", "eth0", "name", "up")
    gateway.run("ip", "addr", "add", f"{host.address}/24", "dev", "up")
    gateway.run("ip", "link", "set", "dev", "up", "up")
    gateway.run("ip", "route", "add", "default", "via", f"10.77.{index}.1")
    run("ip", "-n", gateway.name, "link", "add", "home", "type", "veth", "peer", "name", "eth0",
        "netns", host.name)
    gateway.run("ip", "addr", "add", "192.168.7.1/24", "dev", "home")
    gateway.run("ip", "link", "set", "dev", "home", "up")
    host.run("ip", "addr", "add", "192.168.7.2/24", "dev", "eth0")
    host.run("ip", "link", "set", "dev", "eth0", "up")
    host.run("ip", "route", "add", "default", "via", "192.168.7.1")
    gateway.run(need("nft"), "-f", "-", data=NAT % kind)


def start(world, net):
    world.net = net
    world.issue("intermediate", "relay", "--ip", net.intermediate.address, "--force")
    _, port, www = nginx(world, port=8080, prefix=net.connector.prefix)
    random_file(www / "down", 200_000_000)
    world.www = www
    world.allow({"alice": ["web"]})
    world.relay = world.intermediate(listen=f"{net.intermediate.address}:{PORT}",
                                     prefix=net.intermediate.prefix)
    world.home = world.connector("home", {"web": f"tcp://127.0.0.1:{port}"},
                                 prefix=net.connector.prefix)
    world.alice = world.agent("alice", "--forward", "tcp://127.0.0.1:0=web", direct=True,
                              prefix=net.client.prefix)
    wait_service(world.alice, "web")
    world.url = f"http://127.0.0.1:{forward_port(world.alice, 'web')}/down"


def download(world, *extra: str):
    world.got = world.folder / "got"
    return subprocess.Popen([*world.net.client.prefix, need("curl"), "--silent", "--show-error",
                             "--fail", "--noproxy", "*", "--max-time", "100", *extra, "-o",
                             str(world.got), world.url], stderr=subprocess.PIPE)


def finish(world, curl):
    _, errors = curl.communicate(timeout=110)
    assert curl.returncode == 0, errors
    expected = hashlib.sha256((world.www / "down").read_bytes()).hexdigest()
    assert hashlib.sha256(world.got.read_bytes()).hexdigest() == expected


def wait_path(daemon, path: str, timeout: float = 20.0) -> dict:
    """The one session, once it is on that path."""
    status = daemon.wait_status(
        lambda s: len(s["sessions"]) == 1 and s["sessions"][0]["path"] == path, path, timeout)
    return status["sessions"][0]


def test_two_homes_meet_directly(world, net):
    put_behind_nat(net, "client", PRESERVING)
    put_behind_nat(net, "connector", PRESERVING)
    start(world, net)
    finish(world, download(world))
    session = wait_path(world.alice, "DIRECT")
    assert session["peer"].startswith(net.connector.address + ":")
    assert wait_path(world.home, "DIRECT")["peer"].startswith(net.client.address + ":")
    world.alice.wait_log(f"Path selected: DIRECT (peer: {net.connector.address}:")
    relayed = world.relay.status()["relay"]["bytes"]
    finish(world, download(world))
    assert world.relay.status()["relay"]["bytes"] - relayed < 1_000_000
    closed = wait_for(lambda: [e for e in world.home.audit() if e["event"] == "flow_closed"][1:],
                      "the second flow's end")
    assert closed[-1]["path"] == "DIRECT"
    # A log of flows has milliseconds: not all of its lines fall on a whole second.
    assert any(not e["time"].endswith(".000Z") for e in world.home.audit()), closed


def test_two_symmetric_nats_stay_on_the_relay(world, net):
    put_behind_nat(net, "client", SYMMETRIC)
    put_behind_nat(net, "connector", SYMMETRIC)
    start(world, net)
    finish(world, download(world))
    checks = 'ztna_checks_total{path="direct",result="sent"}'
    wait_for(lambda: len(world.alice.status()["sessions"][0]["direct"]) > 0, "candidates")
    finish(world, download(world))
    session = world.alice.status()["sessions"][0]
    assert session["path"] == "RELAY" and session["direct_packets"] == 0, checks
    assert session["switches"] == []


def test_between_two_symmetric_nats_flows_end_while_the_relay_is_off(world, net):
    """Not even a small page comes through; the user reads why, and nobody has to restart anything."""
    put_behind_nat(net, "client", SYMMETRIC)
    put_behind_nat(net, "connector", SYMMETRIC)
    start(world, net)
    (world.www / "small").write_text("hello")
    relay = f"{net.intermediate.address}:{PORT}"

    def fetch() -> subprocess.CompletedProcess:
        return subprocess.run([*net.client.prefix, need("curl"), "--silent", "--fail", "--noproxy", "*",
                               "--max-time", "30", world.url.replace("/down", "/small")],
                              capture_output=True, text=True, timeout=40)

    world.ztna("relay", "off", "--control", world.relay.control)
    world.alice.wait_log("The relay is off: flows need a direct path")
    done = fetch()
    assert done.returncode != 0 and done.stdout == ""
    text = world.ztna("status", "--control", world.alice.control).stdout
    assert "up, relay off" in text, text
    reason = f"no direct path to the Connector was found, and the relay at {relay} is off"
    assert reason in " ".join(text.split()), text
    world.alice.wait_log(reason)
    assert not [e for e in world.home.audit() if e["event"] == "flow"]
    assert world.relay.status()["relay"]["bytes"] < 20_000
    world.ztna("relay", "on", "--control", world.relay.control)
    world.alice.wait_log("The relay is on again")
    done = fetch()
    assert done.returncode == 0 and done.stdout == "hello", done.stderr


def test_a_download_survives_a_block_of_the_direct_path(world, net):
    start(world, net)
    subprocess.run([*net.client.prefix, need("curl"), "--silent", "--noproxy", "*", "-o",
                    "/dev/null", "--range", "0-100", world.url], check=True, timeout=30)
    wait_path(world.alice, "DIRECT")
    curl = download(world, "--limit-rate", "20M")
    wait_for(lambda: world.got.exists() and world.got.stat().st_size > 10_000_000, "some octets")
    # No ICMP, no reset: what goes from one to the other is not heard of again.
    net.router.run(need("nft"), "-f", "-", data=f"""
table ip block {{
  chain forward {{
    type filter hook forward priority 0;
    ip saddr {net.client.address} ip daddr {net.connector.address} drop
    ip saddr {net.connector.address} ip daddr {net.client.address} drop
  }}
}}
""")
    assert wait_path(world.alice, "RELAY")["path_reason"] == "doubt"
    finish(world, curl)
    net.router.run(need("nft"), "delete", "table", "ip", "block")
    # However many rounds failed meanwhile, the next is at most a minute away.
    wait_path(world.alice, "DIRECT", timeout=75)


def test_no_p2p_at_either_end_keeps_the_relay(world, net):
    start(world, net)
    world.alice.stop()
    world.alice = world.agent("alice", "--forward", "tcp://127.0.0.1:0=web",
                              prefix=net.client.prefix, daemon_name="alice-relayed")
    wait_service(world.alice, "web")
    world.url = f"http://127.0.0.1:{forward_port(world.alice, 'web')}/down"
    finish(world, download(world))
    session = world.alice.status()["sessions"][0]
    assert session["path"] == "RELAY" and session["direct_packets"] == 0
