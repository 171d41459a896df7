"""Wrong flags, variables, files, addresses, names and certificates: one line that names the thing,
where it stands and what is expected; exit code 2; nothing half-started."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

from certificates import issue_odd, openssl, spiffe
from ztna import BIN, World, wait_for

INTERMEDIATE, CONNECTOR, AGENT, ZTNA = "intermediate-server", "app-connector", "ztna-agent", "ztna"
POLICY = '[[serve]]\nconnectors = ["*"]\nservices = ["web"]\n[[allow]]\nagents = ["alice"]\nservices = ["web"]\n'


@pytest.fixture(scope="module")
def pki():
    """One of everything, good and bad; tests only read it."""
    world = World()
    ca = pathlib.Path(world.path("ca"))
    world.policy(POLICY)
    world.issue("connector", "home", "--serve", "*")
    world.issue("agent", "alice")
    world.ztna("ca", "init", "--trust-domain", "example.org", "--out", world.path("other-ca"))
    world.ztna("ca", "init", "--trust-domain", "elsewhere.org", "--out", world.path("elsewhere-ca"))
    world.issue("agent", "foreign", ca="other-ca")
    folder = world.folder
    issue_odd(ca, folder / "good", spiffe("agent", "alice"))
    issue_odd(ca, folder / "expired", spiffe("agent", "alice"), end="20200201000000Z")
    issue_odd(ca, folder / "early", spiffe("agent", "alice"), start="20360101000000Z")
    issue_odd(ca, folder / "nameless", "")
    issue_odd(ca, folder / "oddrole", spiffe("admin", "alice"))
    issue_odd(ca, folder / "uppercase", spiffe("agent", "Alice"))
    issue_odd(ca, folder / "twonames", spiffe("agent", "alice") + "," + spiffe("agent", "bob"))
    (folder / "garbage").write_bytes(bytes(range(256)) * 8)
    (folder / "empty").touch()
    (folder / "broken").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (folder / "brokenkey").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256",
            "-pass", "pass:secret", "-out", str(folder / "locked"))
    with (folder / "huge").open("wb") as huge:
        huge.truncate(3 << 20)
    yield world
    world.close()


def valid(program: str, world: World) -> dict[str, list[str]]:
    """Flags with which the program starts."""
    p = world.path
    if program == INTERMEDIATE:
        return {"--cert-dir": [p("intermediate-relay")], "--policy": [p("policy.toml")],
                "--listen": ["127.0.0.1:0"], "--health": ["off"]}
    if program == CONNECTOR:
        return {"--cert-dir": [p("connector-home")], "--policy": [p("policy.toml")],
                "--intermediate": ["127.0.0.1:1"], "--service": ["web=tcp://127.0.0.1:1"],
                "--p2p-listen-port": ["0"], "--health": ["off"]}
    return {"--cert-dir": [p("agent-alice")], "--intermediate": ["127.0.0.1:1"],
            "--forward": ["tcp://127.0.0.1:0=web"], "--health": ["off"]}


def case(program, expected, *extra, env=None, file=None, name=None, **flags):
    """`flags` replace those of valid(): `cert_dir="x"`, a list for several, None for none. {pki} is
    the folder of certificates, {dir} that of this case, where `file` is written as a.toml."""
    if name is None:
        given = [*extra, *(f"{k}={v}" for k, v in flags.items()), *(f"{k}={v}" for k, v in (env or {}).items()),
                 *([file] if file else [])]
        name = program + " " + " ".join(str(g) for g in given)
    return pytest.param(program, expected, extra, env or {}, file, flags, id=name[:90].replace("\n", " ").strip())


def config(program, text, expected, **flags):
    return case(program, expected, "--config", "{dir}/a.toml", file=text, **flags)


FLAGS = [
    # flags as such
    case(INTERMEDIATE, ["unknown flag", '"--listn"', '"--listen"'], "--listn", "1"),
    case(CONNECTOR, ["unknown flag", '"--servce"', '"--service"'], "--servce=web=tcp://h:1"),
    case(AGENT, ["unknown flag", '"--policy"'], "--policy", "x"),
    case(AGENT, ["unknown flag", '"-x"'], "-x"),
    case(AGENT, ['"stray"', "--"], "stray"),
    case(AGENT, ["--forward", "needs a value", "ADDR:PORT"], "--forward"),
    case(AGENT, ["--cert-dir", "needs a value", "DIR"], "--cert-dir", "--auto-forward", cert_dir=None),
    case(AGENT, ["--cert-dir", "empty", "DIR"], cert_dir=""),
    case(AGENT, ["--auto-forward", "true nor false", "maybe"], "--auto-forward=maybe", name="toggle"),
    case(AGENT, ["--json", "--print-config"], "--json"),
    case(CONNECTOR, ["--p2p-cert", "--cert"], "--cert", "{pki}/good/cert.pem", "--p2p-cert", "{pki}/good/cert.pem"),
    # addresses and ports
    case(INTERMEDIATE, ["--listen", '"localhost"', "ADDR:PORT"], listen="localhost:4433"),
    case(INTERMEDIATE, ["--listen", '"127.0.0.1"', "missing port", "expected"], listen="127.0.0.1"),
    case(INTERMEDIATE, ["--listen", "127.0.0.1:70000", "0 to 65535"], listen="127.0.0.1:70000"),
    case(INTERMEDIATE, ["--listen", "127.0.0.1:x", "0 to 65535"], listen="127.0.0.1:x"),
    case(INTERMEDIATE, ["--listen", "127.0.0.1:-1", "0 to 65535"], listen="127.0.0.1:-1"),
    case(INTERMEDIATE, ["--listen", '"256.0.0.1"', "ADDR:PORT"], listen="256.0.0.1:1"),
    case(INTERMEDIATE, ["--listen", '"[::1:1"', "expected"], listen="[::1:1"),
    case(INTERMEDIATE, ["--listen", '"::1:1:x"', "expected"], listen="::1:1:x"),
    case(INTERMEDIATE, ["--listen", "127.0.0.1:5", "given twice"], listen=["127.0.0.1:5", "127.0.0.1:5"]),
    case(INTERMEDIATE, ["--alt-listen", "127.0.0.1:5", "given twice"], listen="127.0.0.1:5", alt_listen="127.0.0.1:5"),
    case(INTERMEDIATE, ["--alt-listen", '"x"', "missing port", "expected"], alt_listen="x"),
    case(INTERMEDIATE, ["--listen", "192.0.2.1:0", "no such address"], listen="192.0.2.1:0"),
    case(INTERMEDIATE, ["--alt-listen", "192.0.2.1:0", "no such address"], alt_listen="192.0.2.1:0"),
    case(INTERMEDIATE, ["--health", '"localhost"', "ADDR:PORT", "off"], health="localhost:1"),
    case(INTERMEDIATE, ["--health", "192.0.2.1:0", "no such address"], health="192.0.2.1:0"),
    case(INTERMEDIATE, ["--relay", '"maybe"', "on|off"], relay="maybe"),
    case(INTERMEDIATE, ["--quic-lb-server-id", '"0xa1"', "16 hexadecimal digits"], quic_lb_server_id="0xa1"),
    case(INTERMEDIATE, ["--max-uplinks", '"0"', "1 to 10000000"], max_uplinks="0"),
    case(INTERMEDIATE, ["--max-uplinks", '"many"', "1 to 10000000"], max_uplinks="many"),
    case(INTERMEDIATE, ["--max-sessions-per-uplink", '"-1"', "1 to 1000000"], max_sessions_per_uplink="-1"),
    case(INTERMEDIATE, ["--retry-threshold", '"1.5"', "0 to 10000000"], retry_threshold="1.5"),
    case(INTERMEDIATE, ["--log-level", '"loud"', "error|warn|info|debug"], log_level="loud"),
    case(INTERMEDIATE, ["--log-format", '"xml"', "text|json"], log_format="xml"),
    case(CONNECTOR, ["--intermediate", "missing", "HOST"], intermediate=None),
    case(CONNECTOR, ["--intermediate", '"https://relay"', "URL", "HOST:PORT"], intermediate="https://relay"),
    case(CONNECTOR, ["--intermediate", '"relay:0"', "1 to 65535"], intermediate="relay:0"),
    case(CONNECTOR, ["--intermediate", "relay:99999", "65535"], intermediate="relay:99999"),
    case(CONNECTOR, ["--intermediate", '"10.0.0.256:4433"', "IPv4"], intermediate="10.0.0.256:4433"),
    case(CONNECTOR, ["--intermediate", '"a..b"', "host name"], intermediate="a..b"),
    case(CONNECTOR, ["--intermediate", '"-x-"', "host name"], intermediate="-x-"),
    case(CONNECTOR, ["--service", '300.1.1.1', "IPv4"], service="web=tcp://300.1.1.1:80"),
    case(CONNECTOR, ["--intermediate", '"a b"', "expected"], intermediate="a b"),
    case(CONNECTOR, ["--intermediate", "relay:4433", "given twice"], intermediate=["relay", "relay:4433"]),
    case(CONNECTOR, ["--p2p-listen-port", '"70000"', "0 to 65535"], p2p_listen_port="70000"),
    case(CONNECTOR, ["--p2p-listen-port", '"-1"', "0 to 65535"], p2p_listen_port="-1"),
    case(CONNECTOR, ["--p2p-listen-address", '"localhost"', "ADDR or any"], p2p_listen_address="localhost"),
    case(CONNECTOR, ["--p2p-listen-", "192.0.2.1", "no such address"], p2p_listen_address="192.0.2.1"),
    case(CONNECTOR, ["--p2p-advertise", "0.0.0.0:4434", "not an address"], p2p_advertise="0.0.0.0:4434"),
    case(CONNECTOR, ["--p2p-advertise", "198.51.100.1:0", "1 to 65535"], p2p_advertise="198.51.100.1:0"),
    case(CONNECTOR, ["--p2p-advertise", "--no-p2p"], "--no-p2p", p2p_advertise="198.51.100.1:4434"),
    case(CONNECTOR, ["--connect-timeout", '"5"', "expected", "5s"], connect_timeout="5"),
    case(CONNECTOR, ["--connect-timeout", '"0s"', "100ms to 2m"], connect_timeout="0s"),
    case(CONNECTOR, ["--max-flows", '"0"', "1 to 1000000"], max_flows="0"),
    # services and forwards
    case(CONNECTOR, ["--service", "missing", "expected"], service=None),
    case(CONNECTOR, ["--service", '"web"', "NAME=tcp://HOST:PORT"], service="web"),
    case(CONNECTOR, ["--service", "web=127.0.0.1:80", "NAME=tcp://HOST:PORT"], service="web=127.0.0.1:80"),
    case(CONNECTOR, ["--service", "http://h:1", "tcp://", "udp://"], service="web=http://h:1"),
    case(CONNECTOR, ["--service", '"Web"', "a-z"], service="Web=tcp://h:1"),
    case(CONNECTOR, ["--service", '"-web"', "a-z"], service="-web=tcp://h:1"),
    case(CONNECTOR, ["--service", '"we_b"', "a-z"], service="we_b=tcp://h:1"),
    case(CONNECTOR, ["--service", "w" * 64, "1 to 63"], service="w" * 64 + "=tcp://h:1"),
    case(CONNECTOR, ["--service", "h:0", "1 to 65535"], service="web=tcp://h:0"),
    case(CONNECTOR, ["--service", '"h"', "port"], service="web=tcp://h"),
    case(CONNECTOR, ["--service", "health=maybe", "health=tcp or health=none"], service="web=tcp://h:1?health=maybe"),
    case(CONNECTOR, ["--service", "health=tcp", "udp", "health=none"], service="web=udp://h:1?health=tcp"),
    case(CONNECTOR, ["--service", '"web"', "two services"], service=["web=tcp://h:1", "web=tcp://h:2"]),
    case(CONNECTOR, ["--service-id", "--local-addr"], service=None, service_id="web"),
    case(CONNECTOR, ["--local-addr", "--service-id"], service=None, local_addr="h:1"),
    case(CONNECTOR, ["--service-id", '"WEB"', "a-z"], service=None, service_id="WEB", local_addr="h:1"),
    case(CONNECTOR, ["--local-addr", '"h"', "port"], service=None, service_id="web", local_addr="h"),
    case(AGENT, ["--intermediate", "missing", "HOST"], intermediate=None),
    case(AGENT, ["--forward", "127.0.0.1:1=web", "tcp://ADDR:PORT=NAME"], forward="127.0.0.1:1=web"),
    case(AGENT, ["--forward", "tcp://127.0.0.1:1", "tcp://ADDR:PORT=NAME"], forward="tcp://127.0.0.1:1"),
    case(AGENT, ["--forward", "127.0.0.1:x", "expected"], forward="tcp://127.0.0.1:x=web"),
    case(AGENT, ["--forward", '"localhost"', "ADDR:PORT"], forward="tcp://localhost:1=web"),
    case(AGENT, ["--forward", '"web.ztna"', "a-z"], forward="tcp://127.0.0.1:1=web.ztna"),
    case(AGENT, ["--forward", '""', "a-z"], forward="tcp://127.0.0.1:1="),
    case(AGENT, ["--forward", "127.0.0.1:5", "given twice"], forward=["tcp://127.0.0.1:5=a", "tcp://127.0.0.1:5=b"]),
    case(AGENT, ["--forward", "192.0.2.1:0=web", "no such address"], "--log-level=error", forward="tcp://192.0.2.1:0=web"),
    case(AGENT, ["--socks", '"1080"', "missing port", "expected"], socks="1080"),
    case(AGENT, ["--socks", "127.0.0.1:5", "--forward"], forward="tcp://127.0.0.1:5=a", socks="127.0.0.1:5"),
    case(AGENT, ["--health", "127.0.0.1:5", "--forward"], forward="tcp://127.0.0.1:5=a", health="127.0.0.1:5"),
    case(AGENT, ["--direct-only", "--no-p2p"], "--direct-only", "--no-p2p"),
    case(AGENT, ["--udp-flow-idle", '"0s"', "1s to 24h"], udp_flow_idle="0s"),
    case(AGENT, ["--udp-flow-idle", '"soon"', "1s to 24h"], udp_flow_idle="soon"),
    # what no flag may smuggle into the line
    case(AGENT, ["--socks", r"a\x0ab"], socks="a\nb", name="a line break in a value"),
    # files
    case(AGENT, ["--cert-dir", "missing", "--cert-dir DIR"], cert_dir=None),
    case(AGENT, ["{pki}/nowhere/cert.pem", "No such file"], cert_dir="{pki}/nowhere"),
    case(AGENT, ["--key", "missing", "--cert is given"], "--cert", "{pki}/good/cert.pem", cert_dir=None),
    case(AGENT, ["--cert", "missing", "--key is given"], "--key", "{pki}/good/key.pem", cert_dir=None),
    case(CONNECTOR, ["--ca", "missing", "ca-cert.pem"], "--p2p-cert", "{dir}/c", "--p2p-key", "{dir}/k", cert_dir=None),
    case(INTERMEDIATE, ["--policy", "missing", "policy.toml"], policy=None),
    case(INTERMEDIATE, ["{dir}/none.toml", "No such file"], policy="{dir}/none.toml"),
    case(INTERMEDIATE, ["{pki}", "directory"], policy="{pki}"),
    case(INTERMEDIATE, ["{pki}/huge", "1 MiB"], policy="{pki}/huge"),
    case(AGENT, ["--config", "{dir}/none.toml", "No such file"], "--config", "{dir}/none.toml"),
    case(AGENT, ["--config", "{dir}", "directory"], "--config", "{dir}"),
    case(AGENT, ["--config", "needs a value", "FILE"], "--config"),
    case(AGENT, ["--audit-log", "{dir}/no/audit", "No such file"], audit_log="{dir}/no/audit"),
    case(AGENT, ["--audit-log", "{dir}", "Is a directory"], audit_log="{dir}"),
    case(AGENT, ["--control", "{dir}/no/such/", "No such file"], control="{dir}/no/such/sock"),
    case(AGENT, ["--control", "107 characters"], control="{dir}/" + "x" * 120),
    case(AGENT, ["--control", "{pki}/empty", "of another kind"], control="{pki}/empty"),
]

ENVIRONMENT = [
    case(INTERMEDIATE, ["environment variable ZTNA_LISTEN", '"here"', "missing port"], env={"ZTNA_LISTEN": "here"}, listen=None),
    case(INTERMEDIATE, ["environment variable ZTNA_LISTEN", '"b"'], env={"ZTNA_LISTEN": "127.0.0.1:0, b"}, listen=None),
    case(INTERMEDIATE, ["environment variable ZTNA_RELAY", '"1"', "on|off"], env={"ZTNA_RELAY": "1"}),
    case(INTERMEDIATE, ["environment variable ZTNA_MAX_UPLINKS", '"x"', "1 to"], env={"ZTNA_MAX_UPLINKS": "x"}),
    case(CONNECTOR, ["environment variable ZTNA_SERVICE", '"web"', "NAME=tcp"], env={"ZTNA_SERVICE": "web"}, service=None),
    case(CONNECTOR, ["environment variable SERVICE_ID", '"A"', "a-z"], env={"SERVICE_ID": "A"}, service=None, local_addr="h:1"),
    case(CONNECTOR, ["environment variable SERVICE_ID", "--local-addr"], env={"SERVICE_ID": "web"}, service=None),
    case(CONNECTOR, ["environment variable INTERMEDIATE_PORT", '"x"', "1 to 65535"],
         env={"INTERMEDIATE_HOST": "relay", "INTERMEDIATE_PORT": "x"}, intermediate=None),
    case(CONNECTOR, ["environment variable INTERMEDIATE_HOST", "a b"], env={"INTERMEDIATE_HOST": "a b"}, intermediate=None),
    case(CONNECTOR, ["--intermediate", "missing"], env={"INTERMEDIATE_PORT": "udp://10.0.0.1:4433"}, intermediate=None),
    case(CONNECTOR, ["ZTNA_P2P_CERT", "ZTNA_CERT"], env={"ZTNA_CERT": "a", "ZTNA_P2P_CERT": "b"}),
    case(AGENT, ["environment variable ZTNA_CONFIG", "{dir}/none.toml", "No such file"], env={"ZTNA_CONFIG": "{dir}/none.toml"}),
    case(AGENT, ["environment variable ZTNA_AUTO_FORWARD", '"si"', "true", "false"], env={"ZTNA_AUTO_FORWARD": "si"}),
    case(AGENT, ["{pki}/nowhere/cert.pem", "No such file"], env={"CERT_DIR": "{pki}/nowhere"}, cert_dir=None),
    case(AGENT, ["--control", "ZTNA_RUNTIME_DIR", "{dir}/no/such"], env={"ZTNA_RUNTIME_DIR": "{dir}/no/such"}, control=None),
]

TOML = [
    config(INTERMEDIATE, "relay = \n", ["{dir}/a.toml:1:", "not TOML"]),
    config(INTERMEDIATE, 'relay = "on"\nlistn = []\n', ["{dir}/a.toml:2:1", '"listn"', '"listen"']),
    config(INTERMEDIATE, "[relay]\n", ["{dir}/a.toml:1:1: relay", "table", "string"]),
    config(INTERMEDIATE, 'relay = "maybe"\n', ["{dir}/a.toml:1:9: relay", '"maybe"', "on|off"]),
    config(INTERMEDIATE, "relay = true\n", ["{dir}/a.toml:1:9: relay", "boolean", "string"]),
    config(INTERMEDIATE, 'max-uplinks = "5"\n', ["{dir}/a.toml:1:15: max-uplinks", "string", "integer"]),
    config(INTERMEDIATE, "max-uplinks = -5\n", ["{dir}/a.toml:1:15: max-uplinks", '"-5"', "1 to"]),
    config(INTERMEDIATE, 'listen = ["127.0.0.1:0", 7]\n', ["{dir}/a.toml:1:26: listen", "integer", "strings"], listen=None),
    config(INTERMEDIATE, 'listen = ["127.0.0.1:0",\n  "x"]\n', ["{dir}/a.toml:2:3: listen", '"x"', "missing port", "expected"], listen=None),
    config(INTERMEDIATE, "relay = \"on\"\nrelay = \"off\"\n", ["{dir}/a.toml:2:", "relay"]),
    config(INTERMEDIATE, "r\x01 = 1\n", ["{dir}/a.toml:1:2", "control character"]),
    config(INTERMEDIATE, "# first\n é = 1\n", ["{dir}/a.toml:2:2", "ASCII"]),
    config(CONNECTOR, 'cert = "a"\np2p-cert = "b"\n', ["{dir}/a.toml:2:1", '"p2p-cert"', '"cert"']),
    config(CONNECTOR, 'service = ["web"]\n', ["{dir}/a.toml:1:12: service", '"web"', "NAME=tcp"], service=None),
    config(AGENT, 'auto-forward = "yes"\n', ["{dir}/a.toml:1:16: auto-forward", "string", "true or false"]),
    config(AGENT, 'policy = "x"\n', ["{dir}/a.toml:1:1", '"policy"']),
    config(AGENT, 'control = ""\n', ["{dir}/a.toml:1:11: control", "empty"], control=None),
    # relative paths are taken from the file's folder
    config(AGENT, 'cert-dir = "certs"\n', ["{dir}/certs/cert.pem", "No such file"], cert_dir=None),
]

PEM = [
    case(AGENT, ["{pki}/garbage", "certificate"], cert="{pki}/garbage"),
    case(AGENT, ["{pki}/empty", "certificate"], cert="{pki}/empty"),
    case(AGENT, ["{pki}/broken", "certificate"], cert="{pki}/broken"),
    case(AGENT, ["{pki}/good/key.pem", "certificate"], cert="{pki}/good/key.pem"),
    case(AGENT, ["{pki}/garbage", "private key"], key="{pki}/garbage"),
    case(AGENT, ["{pki}/empty", "private key"], key="{pki}/empty"),
    case(AGENT, ["{pki}/brokenkey", "private key"], key="{pki}/brokenkey"),
    case(AGENT, ["{pki}/locked", "private key", "encrypted"], key="{pki}/locked"),
    case(AGENT, ["{pki}/good/cert.pem", "private key"], key="{pki}/good/cert.pem"),
    case(AGENT, ["{pki}/good/key.pem", "does not belong", "{pki}/agent-alice/cert.pem"], key="{pki}/good/key.pem"),
    case(AGENT, ["{pki}/agent-alice/nokey", "No such file"], key="{pki}/agent-alice/nokey"),
    case(AGENT, ["{pki}/good", "directory"], key="{pki}/good"),
    case(AGENT, ["{pki}/garbage", "certificate"], ca="{pki}/garbage"),
    case(AGENT, ["{pki}/empty", "certificate"], ca="{pki}/empty"),
    case(AGENT, ["{pki}/huge", "1 MiB"], ca="{pki}/huge"),
    case(AGENT, ["{pki}/agent-alice/cert.pem", "not issued by a CA in {pki}/other-ca/ca-cert.pem"], ca="{pki}/other-ca/ca-cert.pem"),
    case(AGENT, ["{pki}/expired/cert.pem", "expired", "2020-02-01"], cert_dir="{pki}/expired"),
    case(AGENT, ["{pki}/early/cert.pem", "not valid before", "2036-01-01"], cert_dir="{pki}/early"),
    case(AGENT, ["{pki}/nameless/cert.pem", "spiffe://"], cert_dir="{pki}/nameless"),
    case(AGENT, ["{pki}/oddrole/cert.pem", "role"], cert_dir="{pki}/oddrole"),
    case(AGENT, ["{pki}/uppercase/cert.pem", "Alice"], cert_dir="{pki}/uppercase"),
    case(AGENT, ["{pki}/twonames/cert.pem", "one"], cert_dir="{pki}/twonames"),
    case(AGENT, ["{pki}/connector-home/cert.pem", "role connector", "role agent"], cert_dir="{pki}/connector-home"),
    case(CONNECTOR, ["{pki}/agent-alice/cert.pem", "role agent", "role connector"], cert_dir="{pki}/agent-alice"),
    case(INTERMEDIATE, ["{pki}/connector-home/cert.pem", "role connector", "role intermediate"], cert_dir="{pki}/connector-home"),
]


def policy(text, expected):
    return case(INTERMEDIATE, expected, file=text, policy="{dir}/a.toml")


ALLOW = '[[allow]]\nagents = ["a"]\nservices = ["w"]\n'
POLICIES = [
    policy("[[allow]\n", ["{dir}/a.toml:1:", "]"]),
    policy("[[alow]]\n", ["{dir}/a.toml:1:3", '"alow"', "[[allow]]"]),
    policy("[allow]\n", ["{dir}/a.toml:1:", "allow", "[[allow]]"]),
    policy("allow = 3\n", ["{dir}/a.toml:1:1", "[[allow]]"]),
    policy('[[allow]]\nagents = ["a"]\n', ["{dir}/a.toml:1:", '"services"', "expected"]),
    policy('[[allow]]\nagents = "a"\nservices = ["w"]\n', ["{dir}/a.toml:2:10", "agents", "list"]),
    policy('[[allow]]\nagents = []\nservices = ["w"]\n', ["{dir}/a.toml:2:10", "agents", "empty"]),
    policy('[[allow]]\nagents = ["a", 3]\nservices = ["w"]\n', ["{dir}/a.toml:2:16", "agents", "text"]),
    policy('[[allow]]\nagents = ["A"]\nservices = ["w"]\n', ["{dir}/a.toml:2:11", '"A"', "a-z"]),
    policy(ALLOW + "port = 3\n", ["{dir}/a.toml:4:1", '"port"', "agents or services"]),
    policy(ALLOW + '[[serve]]\nagents = ["a"]\n', ["{dir}/a.toml:5:1", '"agents"', "connectors or services"]),
    policy("[[revoke]]\n", ["{dir}/a.toml:1:", '"spki"', "64 hexadecimal digits"]),
    policy('[[revoke]]\nspki = "12"\n', ["{dir}/a.toml:2:8", "spki", "64 hexadecimal digits"]),
    policy(ALLOW + "é\n", ["{dir}/a.toml:4:1", "ASCII"]),
    policy(ALLOW + "x\0\n", ["{dir}/a.toml:4:"]),
]


def fill(text: str, world: World, folder: pathlib.Path) -> str:
    return text.replace("{pki}", str(world.folder)).replace("{dir}", str(folder))


def command(program, extra, flags, world, folder) -> list[str]:
    given = {"--control": [str(folder / "c.sock")], **valid(program, world)}
    for name, value in flags.items():
        flag = "--" + name.replace("_", "-")
        given.pop(flag, None)
        if value is not None:
            given[flag] = [value] if isinstance(value, str) else value
    argv = [str(BIN / program)]
    # With "=", so that a value that starts with "-" is one.
    argv += [f"{flag}={fill(value, world, folder)}" for flag, values in given.items() for value in values]
    return argv + [fill(argument, world, folder) for argument in extra]


def refused(argv, env, folder, prefix=()) -> str:
    """Runs it; it must refuse as the house does. The line."""
    before = sorted(os.listdir(folder))
    done = subprocess.run([*prefix, *argv], capture_output=True, timeout=30, cwd=folder,
                          env={"PATH": os.environ["PATH"], **env}, stdin=subprocess.DEVNULL)
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 2, f"exit {done.returncode}:\n{said}"
    assert done.stdout == b""
    assert said.count("\n") == 1 and said.endswith("\n"), said
    assert said.startswith(pathlib.Path(argv[0]).name), said
    assert sorted(os.listdir(folder)) == before, "it left something behind"
    return said


@pytest.mark.parametrize("program, expected, extra, env, file, flags",
                         [*FLAGS, *ENVIRONMENT, *TOML, *PEM, *POLICIES])
def test_refused(pki, tmp_path, program, expected, extra, env, file, flags):
    if file is not None:
        (tmp_path / "a.toml").write_text(file)
    env = {name: fill(value, pki, tmp_path) for name, value in env.items()}
    said = refused(command(program, extra, flags, pki, tmp_path), env, tmp_path)
    for fragment in expected:
        assert fill(fragment, pki, tmp_path) in said, said


@pytest.mark.parametrize("program", [INTERMEDIATE, CONNECTOR, AGENT])
def test_what_the_cases_start_from_is_right(pki, tmp_path, program):
    process = pki.spawn(f"{program}-valid", command(program, [], {}, pki, tmp_path))
    wait_for(lambda: (tmp_path / "c.sock").exists() or not process.running(), "its control socket")
    assert process.running(), process.log()
    assert process.stop() == 0
    assert os.listdir(tmp_path) == []


def test_a_good_certificate_made_by_the_same_hands_is_taken(pki, tmp_path):
    """So that the odd ones are refused for what is odd about them."""
    argv = command(AGENT, [], {"cert_dir": "{pki}/good"}, pki, tmp_path)
    process = pki.spawn("agent-good", argv)
    wait_for(lambda: (tmp_path / "c.sock").exists() or not process.running(), "its control socket")
    assert process.running(), process.log()
    assert process.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a file that this user may not read")
def test_a_key_that_may_not_be_read(pki, tmp_path):
    for path in (pki.folder, tmp_path):
        for each in [path, *path.parents]:
            if each.stat().st_uid == os.geteuid() and each != pathlib.Path("/"):
                each.chmod(each.stat().st_mode | 0o055)
    tmp_path.chmod(0o777)
    shutil.copytree(pki.path("agent-alice"), tmp_path / "certs")
    (tmp_path / "certs").chmod(0o755)
    (tmp_path / "certs" / "key.pem").chmod(0o600)
    said = refused(command(AGENT, [], {"cert_dir": "{dir}/certs"}, pki, tmp_path), {}, tmp_path,
                   prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    assert str(tmp_path / "certs" / "key.pem") in said and "Permission denied" in said, said


BUSY = [
    (INTERMEDIATE, socket.SOCK_DGRAM, "--listen", "127.0.0.1:{}"),
    (INTERMEDIATE, socket.SOCK_DGRAM, "--alt-listen", "127.0.0.1:{}"),
    (INTERMEDIATE, socket.SOCK_STREAM, "--health", "127.0.0.1:{}"),
    (CONNECTOR, socket.SOCK_DGRAM, "--p2p-listen-port", "{}"),
    (CONNECTOR, socket.SOCK_STREAM, "--health", "127.0.0.1:{}"),
    (AGENT, socket.SOCK_DGRAM, "--p2p-listen-port", "{}"),
    (AGENT, socket.SOCK_STREAM, "--health", "127.0.0.1:{}"),
    (AGENT, socket.SOCK_STREAM, "--forward", "tcp://127.0.0.1:{}=web"),
    (AGENT, socket.SOCK_DGRAM, "--forward", "udp://127.0.0.1:{}=web"),
    (AGENT, socket.SOCK_STREAM, "--socks", "127.0.0.1:{}"),
]


@pytest.mark.parametrize("program, kind, flag, form", BUSY, ids=[f"{b[0]} {b[2]} {b[3]}" for b in BUSY])
def test_a_busy_port(pki, tmp_path, program, kind, flag, form):
    with socket.socket(socket.AF_INET, kind) as holder:
        # A UDP port for every address, as the Connector wants it.
        holder.bind(("" if flag == "--p2p-listen-port" else "127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        argv = command(program, [], {flag[2:].replace("-", "_"): form.format(port)}, pki, tmp_path)
        said = refused(argv, {}, tmp_path)
    assert flag in said and str(port) in said, said
    assert f"already uses this {'TCP' if kind == socket.SOCK_STREAM else 'UDP'} port" in said, said


def test_a_control_socket_in_use_stays_with_its_owner(pki, tmp_path):
    argv = command(AGENT, [], {}, pki, tmp_path)
    first = pki.spawn("agent-first", argv)
    wait_for(lambda: (tmp_path / "c.sock").exists() or not first.running(), "its control socket")
    said = refused(argv, {}, tmp_path)
    assert "--control" in said and str(tmp_path / "c.sock") in said, said
    assert first.running()
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(tmp_path / "c.sock"))
    assert first.stop() == 0


def test_a_killed_daemons_control_socket_is_no_obstacle(pki, tmp_path):
    argv = command(AGENT, [], {}, pki, tmp_path)
    first = pki.spawn("agent-killed", argv)
    wait_for(lambda: (tmp_path / "c.sock").exists() or not first.running(), "its control socket")
    first.signal(signal.SIGKILL)
    first.process.wait()
    assert (tmp_path / "c.sock").exists()
    second = pki.spawn("agent-second", argv)
    wait_for(lambda: "Forwarding" in second.log() or not second.running(), "the second one")
    assert second.running(), second.log()
    assert second.stop() == 0


TOOL = [
    (["frobnicate"], ["ztna", '"frobnicate"', "--help"]),
    (["statsu"], ['"statsu"', '"status"']),
    ([], ["ztna", "--help"]),
    (["ca"], ["ztna ca", "--help"]),
    (["ca", "init"], ["ztna ca init", "--trust-domain"]),
    (["ca", "init", "--trust-domain", "a b", "--out", "{dir}/x"], ["ztna ca init", "--trust-domain", '"a b"']),
    (["ca", "init", "--trust-domain", "example.org", "--days", "0", "--out", "{dir}/x"], ["--days"]),
    (["ca", "init", "--trust-domain", "example.org", "--out", "{pki}/ca"], ["{pki}/ca", "--force"]),
    (["ca", "issue", "--ca-dir", "{pki}/ca", "--role", "king", "--name", "a", "--out", "{dir}/x"], ["--role", "king", "agent"]),
    (["ca", "issue", "--ca-dir", "{pki}/ca", "--role", "agent", "--name", "A", "--out", "{dir}/x"], ["--name", '"A"', "a-z"]),
    (["ca", "issue", "--ca-dir", "{dir}/no", "--role", "agent", "--name", "a", "--out", "{dir}/x"], ["{dir}/no"]),
    (["ca", "issue", "--ca-dir", "{pki}/ca", "--role", "agent", "--name", "a", "--serve", "web", "--out", "{dir}/x"], ["--serve"]),
    (["ca", "issue", "--ca-dir", "{pki}/ca", "--role", "connector", "--name", "a", "--serve", "We", "--out", "{dir}/x"], ["--serve", '"We"']),
    (["ca", "issue", "--ca-dir", "{pki}/ca", "--role", "intermediate", "--name", "a", "--ip", "1.2", "--out", "{dir}/x"], ["--ip", '"1.2"']),
    (["ca", "issue", "--ca-dir", "{pki}/ca", "--role", "agent", "--name", "alice", "--out", "{pki}/agent-alice"], ["{pki}/agent-alice", "--force"]),
    (["ca", "issue", "--ca-dir", "{pki}/ca", "--role", "agent", "--name", "a", "--csr", "{pki}/garbage", "--out", "{dir}/x"], ["{pki}/garbage"]),
    (["ca", "list", "--ca-dir", "{dir}/no"], ["{dir}/no"]),
    (["ca", "revoke", "--ca-dir", "{pki}/ca", "--role", "agent", "--name", "nobody", "--policy", "{pki}/policy.toml"], ["nobody"]),
    (["policy", "check", "--policy", "{dir}/no.toml", "--agent", "a", "--service", "w"], ["{dir}/no.toml", "No such file"]),
    (["policy", "check", "--policy", "{pki}/garbage", "--agent", "a", "--service", "w"], ["{pki}/garbage:1:"]),
    (["status", "--wat"], ["ztna status", '"--wat"']),
    (["quickstart", "--expose", "web"], ["ztna quickstart", "--expose", '"web"', "NAME=tcp://HOST:PORT"]),
    (["quickstart", "--expose", "web=tcp://h:1", "--expose", "web=tcp://h:2"], ["--expose", '"web"', "twice"]),
]


@pytest.mark.parametrize("arguments, expected", TOOL, ids=[" ".join(t[0])[:80] or "nothing" for t in TOOL])
def test_the_tool(pki, tmp_path, arguments, expected):
    argv = [str(BIN / ZTNA), *(fill(argument, pki, tmp_path) for argument in arguments)]
    said = refused(argv, {}, tmp_path)
    for fragment in expected:
        assert fill(fragment, pki, tmp_path) in said, said
