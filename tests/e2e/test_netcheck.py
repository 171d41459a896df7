"""`ztna netcheck` behind real NATs, against what nftables does and what Debian's stun-client says."""

import json
import re
import subprocess

import pytest

from backends import need
from test_direct import PRESERVING, SYMMETRIC, put_behind_nat
from ztna import BIN

PORT, OTHER_PORT = 4433, 4435
SECOND = "10.77.2.9"  # a second address of the Intermediate


def start_intermediate(world, net, two_addresses: bool = True):
    first = net.intermediate.address
    world.issue("intermediate", "relay", "--ip", first, "--force")
    world.allow({"alice": ["web"]})
    extra = ["--alt-listen", f"{first}:{OTHER_PORT}"]
    if two_addresses:
        net.intermediate.run("ip", "addr", "add", f"{SECOND}/24", "dev", "eth0")
        extra += ["--alt-listen", f"{SECOND}:{PORT}", "--alt-listen", f"{SECOND}:{OTHER_PORT}"]
    world.intermediate(*extra, listen=f"{first}:{PORT}", prefix=net.intermediate.prefix)


def netcheck(net, *args: str, host: str = "client", code: int = 0) -> subprocess.CompletedProcess:
    done = subprocess.run([*net.hosts[host].prefix, BIN / "ztna", "netcheck", "--intermediate",
                           net.intermediate.address, *args],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def ipv4(net, *args: str, code: int = 0) -> dict:
    return json.loads(netcheck(net, "--json", *args, code=code).stdout)["ipv4"]


def stun_client(net) -> str:
    """Its verdict on UDP, by RFC 3489."""
    done = subprocess.run([*net.client.prefix, need("stun"),
                           f"{net.intermediate.address}:{PORT}"], capture_output=True, text=True, timeout=60)
    return re.search(r"Primary: (.*)", done.stdout + done.stderr).group(1).strip()


INDEPENDENT, BY_ADDRESS, BY_PORT = ("endpoint-independent", "address-dependent",
                                    "address-and-port-dependent")
# Added to the gateway of put_behind_nat, which lets nothing in that was not asked for.
OPEN_TO_ALL = """
table ip open {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    iifname "up" udp dport 1024-65535 dnat to 192.168.7.2
  }
}
"""
OPEN_TO_SEEN = """
table ip open {
  set seen { type inet_service . ipv4_addr; flags dynamic, timeout; timeout 1m; }
  chain forward {
    type filter hook forward priority 0;
    iifname "home" oifname "up" update @seen { udp sport . ip daddr }
  }
  chain prerouting {
    type nat hook prerouting priority dstnat;
    iifname "up" udp dport . ip saddr @seen dnat to 192.168.7.2
  }
}
"""
HAIRPIN = """
table ip hairpin {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    iifname "home" ip daddr 10.77.1.2 udp dport 1024-65535 dnat to 192.168.7.2
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    iifname "home" oifname "home" masquerade
  }
}
"""
NEW_PORT = """
table ip ports {
  chain postrouting {
    type nat hook postrouting priority srcnat - 1;
    oifname "up" meta l4proto udp masquerade to :40000-40999 persistent
  }
}
"""
# masquerade's kind, further rules: kind, mapping, filtering, port kept, hairpin (None: not told),
# expected towards a port-restricted and a symmetric NAT, and stun-client's words (None: it repeats
# its filter test after it has sent to the other address itself, which opens an address's filter).
NATS = {
    "preserving": (PRESERVING, "", "port-restricted cone NAT", INDEPENDENT, BY_PORT, True, False,
                   "direct", "relay",
                   "Independent Mapping, Port Dependent Filter, preserves ports, no hairpin"),
    "new port": (PRESERVING, NEW_PORT, "port-restricted cone NAT", INDEPENDENT, BY_PORT, False, False,
                 "direct", "relay",
                 "Independent Mapping, Port Dependent Filter, random port, no hairpin"),
    "symmetric": (SYMMETRIC, "", "symmetric NAT", BY_PORT, BY_PORT, False, None,
                  "relay", "relay", "Dependent Mapping, random port, no hairpin"),
    "full cone": (PRESERVING, OPEN_TO_ALL, "full cone NAT", INDEPENDENT, INDEPENDENT, True, False,
                  "direct", "direct",
                  "Independent Mapping, Independent Filter, preserves ports, no hairpin"),
    "address": (PRESERVING, OPEN_TO_SEEN, "restricted cone NAT", INDEPENDENT, BY_ADDRESS, True,
                False, "direct", "direct", None),
    "hairpin": (PRESERVING, OPEN_TO_ALL + HAIRPIN, "full cone NAT", INDEPENDENT, INDEPENDENT, True,
                True, "direct", "direct",
                "Independent Mapping, Independent Filter, preserves ports, will hairpin"),
}


@pytest.mark.parametrize("nat", NATS)
def test_a_real_nat_is_told_by_its_behaviour(world, net, nat):
    (masquerade, rules, kind, mapping, filtering, keeps, hairpins, restricted, symmetric,
     by_stun_client) = NATS[nat]
    put_behind_nat(net, "client", masquerade)
    if rules:
        net.hosts["client-gw"].run(need("nft"), "-f", "-", data=rules)
    start_intermediate(world, net)
    found = ipv4(net)
    assert found["udp"] and found["kind"] == kind
    assert (found["mapping"], found["filtering"]) == (mapping, filtering)
    assert found["preserves_ports"] is keeps and found["hairpins"] is hairpins
    assert found["public_addresses"] == [net.client.address]
    assert found["local_addresses"] == ["192.168.7.2"]
    assert found["open_questions"] == [] and found["mtu"] == 1500
    assert {a["server"] for a in found["asked"] if a["mapped"]} == {
        f"{ip}:{port}" for ip in (net.intermediate.address, SECOND) for port in (PORT, OTHER_PORT)}
    expect = {peer["peer"]: peer["expect"] for peer in found["peers"]}
    assert expect["port-restricted cone NAT"] == restricted
    assert expect["symmetric NAT"] == symmetric
    if by_stun_client is not None:
        assert stun_client(net) == by_stun_client


def test_no_nat(world, net):
    start_intermediate(world, net)
    found = ipv4(net)
    assert found["kind"] == "no NAT, open to all"
    assert found["preserves_ports"] is None and found["hairpins"] is None
    assert stun_client(net) == "Open"


def test_one_address_leaves_open_what_takes_two(world, net):
    put_behind_nat(net, "client", PRESERVING)
    start_intermediate(world, net, two_addresses=False)
    found = ipv4(net)
    assert found["mapping"] == "endpoint-independent or address-dependent"
    assert found["filtering"] == BY_PORT
    assert len(found["open_questions"]) == 1 and "second address" in found["open_questions"][0]


def test_blocked_udp_is_an_error_that_says_what_to_do(world, net):
    start_intermediate(world, net)
    net.router.run(need("nft"), "-f", "-", data="""
table ip block {
  chain forward {
    type filter hook forward priority 0;
    meta l4proto udp drop
  }
}
""")
    done = netcheck(net, code=1)
    assert "IPv4: UDP: no answer" in done.stdout
    assert "no Intermediate answers UDP; check that it runs" in done.stderr


def test_a_narrow_link_is_measured(world, net):
    start_intermediate(world, net)
    net.set_mtu("client", 1420)
    found = ipv4(net)
    assert (found["mtu"], found["mtu_too_large"]) == (1420, 1440)


def test_the_lifetime_of_a_mapping_is_bracketed(world, net):
    put_behind_nat(net, "client", PRESERVING)
    for kind in ("udp_timeout", "udp_timeout_stream"):
        net.hosts["client-gw"].run("sysctl", "-qw", f"net.netfilter.nf_conntrack_{kind}=7")
    start_intermediate(world, net)
    found = ipv4(net, "--binding-lifetime")
    assert found["binding_lifetime"] == {"at_least_s": 5, "less_than_s": 10}


def test_the_record_has_the_plans_form(world, net):
    put_behind_nat(net, "client", PRESERVING)
    start_intermediate(world, net)
    record = world.folder / "nat-classification.md"
    for name in ("Home Network (Test 1)", "Office"):
        netcheck(net, "--record", str(record), "--name", name, "--router", "Netgear R7000")
    text = record.read_text()
    assert text.startswith("# NAT classification\n\n## Home Network (Test 1)\n- Router: Netgear R7000\n")
    assert text.count("# NAT classification") == 1 and "\n## Office\n" in text
    ports = re.search(r"- IPv4 QAD ports \(4 tests, by STUN\): (.*) \(consistent = not symmetric\)",
                      text).group(1)
    assert len(set(ports.split(", "))) == 1
    assert "- IPv4 result: port-restricted cone NAT" in text


def test_ipv6_and_a_text_for_people(world):
    world.allow({"alice": ["web"]})
    relay = world.intermediate(listen="[::1]:0")
    port = relay.status()["listen"][0].rsplit(":", 1)[1]
    done = world.ztna("netcheck", "--intermediate", f"[::1]:{port}")
    assert "IPv6: UDP works" in done.stdout and "IPv4: no Intermediate has an address" in done.stdout
    assert re.search(r"kind +no NAT", done.stdout)
    assert f"IPv6: asking [::1]:{port}" in done.stderr


def test_wrong_usage_is_told(world):
    done = world.ztna("netcheck", "--intermediate", "no port:x", check=False)
    assert done.returncode == 2 and "--intermediate" in done.stderr
