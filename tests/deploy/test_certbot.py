"""A public certificate for the Intermediate, as Let's Encrypt would give it: Debian's certbot obtains and
renews it from Debian's pebble (http-01 on loopback), the deploy hook puts it in place, and the daemon
takes it under load."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request

import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "e2e")]

from backends import TcpServer, need  # noqa: E402
from netns import require_netns  # noqa: E402
from ztna import World, forward_port, free_port, listening, wait_for, wait_service  # noqa: E402

NAME = "relay.example.org"
HOOK = ROOT / "deploy/certbot/ztna-certbot-hook"

SYSTEMCTL = """#!/bin/sh
# Of the one unit, ztna-intermediate.service.
echo "$*" >>"{folder}/systemctl.log"
[ -e "{folder}/pid" ] || exit 3
case $1 in reload) kill -HUP "$(cat "{folder}/pid")" ;; esac
"""


def openssl(*arguments: str):
    subprocess.run([need("openssl"), *map(str, arguments)], check=True, capture_output=True, timeout=60)


class Acme:
    """pebble on loopback, certbot with folders of its own, and a resolver that knows NAME."""

    def __init__(self, world: World):
        self.world = world
        self.folder = world.folder / "acme"
        self.folder.mkdir()
        self.cert_dir = pathlib.Path(world.path("intermediate-relay"))
        self.directory, self.management, self.http = free_port(), free_port(), free_port()
        hosts = self.folder / "hosts"
        hosts.write_text(f"127.0.0.1 localhost {NAME}\n")
        self.prefix = ("unshare", "--mount", "--propagation", "private", "sh", "-c",
                       'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts))
        self.tls, key = self.folder / "tls.pem", self.folder / "tls-key.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2", "-keyout", key,
                "-out", self.tls)
        config = self.folder / "pebble.json"
        config.write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{self.directory}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(self.tls), "privateKey": str(key),
            "httpPort": self.http, "tlsPort": free_port(), "ocspResponderURL": ""}}))
        self.pebble = world.spawn(
            "pebble", [need("pebble"), "-config", str(config)], prefix=self.prefix,
            env={"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"})
        wait_for(lambda: listening(self.directory) and listening(self.management), "pebble")
        (self.folder / "systemctl").write_text(SYSTEMCTL.format(folder=self.folder))
        (self.folder / "systemctl").chmod(0o755)
        self.env = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}",
                    "REQUESTS_CA_BUNDLE": str(self.tls),
                    "ZTNA_CERTBOT_HOOK": str(self.folder / "ztna-certbot-hook")}
        self.certbot = ["--config-dir", str(self.folder / "config"), "--work-dir", str(self.folder / "work"),
                        "--logs-dir", str(self.folder / "logs"), "--http-01-port", str(self.http),
                        "--http-01-address", "127.0.0.1",
                        "--server", f"https://localhost:{self.directory}/dir"]

    def roots(self) -> str:
        """What a system's bundle would have of Let's Encrypt."""
        context = ssl.create_default_context(cafile=str(self.tls))
        url = f"https://localhost:{self.management}/roots/0"
        file = self.folder / "roots.pem"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=context))
        file.write_bytes(opener.open(url, timeout=20).read())
        return str(file)

    def run(self, *argv: str) -> subprocess.CompletedProcess:
        return subprocess.run([*self.prefix, *map(str, argv)], env=self.env, capture_output=True, text=True,
                              timeout=120)

    def obtain(self) -> subprocess.CompletedProcess:
        env = self.folder / "a.env"
        env.write_text(f"INTERMEDIATE_HOST={NAME}\n")
        return self.run(ROOT / "deploy/certbot/obtain.sh", "--env", env, "--cert-dir", self.cert_dir, "--",
                        *self.certbot)

    def renew(self) -> subprocess.CompletedProcess:
        return self.run("certbot", "renew", "--force-renewal", "--no-random-sleep-on-renew", *self.certbot)

    def reloads(self) -> int:
        log = self.folder / "systemctl.log"
        return log.read_text().count("reload ztna-intermediate.service") if log.exists() else 0

    def serial(self) -> str:
        return subprocess.run(["openssl", "x509", "-in", self.cert_dir / "cert.pem", "-noout", "-serial"],
                              check=True, capture_output=True, text=True).stdout


@pytest.fixture
def world():
    require_netns()
    need("certbot")
    world = World()
    yield world
    world.close()


class Load:
    """Connections that talk all the time; `failed` says which of them saw anything but its own words."""

    def __init__(self, port: int, count: int):
        self.stop = threading.Event()
        self.rounds, self.failed = [0] * count, []
        self.threads = [threading.Thread(target=self.talk, args=(port, i)) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def talk(self, port: int, number: int):
        try:
            with socket.create_connection(("127.0.0.1", port), 20) as connection:
                connection.settimeout(20)
                while not self.stop.is_set():
                    word = f"{number}:{self.rounds[number]:08}\n".encode() * 50
                    connection.sendall(word)
                    got = b""
                    while len(got) < len(word):
                        data = connection.recv(65536)
                        if not data:
                            raise ConnectionError("ended")
                        got += data
                    assert got == word
                    self.rounds[number] += 1
        except (OSError, AssertionError) as error:
            self.failed.append(f"{number}: {error!r}")

    def wait_more(self, rounds: int):
        """Until each has come so many rounds further."""
        goal = [r + rounds for r in self.rounds]
        wait_for(lambda: self.failed or all(r >= g for r, g in zip(self.rounds, goal)), "progress under load")
        assert not self.failed, self.failed

    def close(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)


def echo(connection: socket.socket):
    while data := connection.recv(65536):
        connection.sendall(data)


def test_renewed_under_load(world):
    acme = Acme(world)
    done = acme.obtain()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (acme.cert_dir / "cert.pem").resolve().parent == (acme.cert_dir / "key.pem").resolve().parent
    first = acme.serial()

    world.allow({"alice": ["web"], "bob": ["web"]})
    relay = world.intermediate()
    (acme.folder / "pid").write_text(str(relay.pid))
    assert (relay.status()["name"], relay.status()["trust_domain"]) == (NAME, "example.org")
    port = relay.status()["listen"][0].rsplit(":", 1)[1]
    world.intermediates = [(NAME, int(port))]
    roots = acme.roots()
    server = TcpServer(echo)
    world.connector("home", {"web": f"tcp://127.0.0.1:{server.port}"}, "--public-roots", roots,
                    prefix=acme.prefix)
    forward = ("--forward", "tcp://127.0.0.1:0=web")
    agent = world.agent("alice", *forward, "--public-roots", roots, prefix=acme.prefix)
    wait_service(agent, "web")
    load = Load(forward_port(agent, "web"), 8)
    try:
        load.wait_more(3)
        session = agent.status()["sessions"][0]["id"]
        for _ in range(2):
            before, reloads = relay.status()["certificate"]["not_after"], acme.reloads()
            serial, log = acme.serial(), len(relay.log())
            done = acme.renew()
            assert done.returncode == 0, done.stdout + done.stderr
            assert acme.serial() != serial and acme.reloads() == reloads + 1
            relay.wait_log("reload", after=log)
            wait_for(lambda old=before: relay.status()["certificate"]["not_after"] != old, "the new one")
            load.wait_more(20)
        assert agent.status()["sessions"][0]["id"] == session
        assert agent.status()["uplinks"][0]["connects"] == 1
        # Whoever comes now is shown the new one.
        bob = world.agent("bob", *forward, "--public-roots", roots, prefix=acme.prefix)
        wait_service(bob, "web")
        load.wait_more(20)
    finally:
        load.close()
        server.close()
    assert not load.failed and acme.serial() != first
    assert len(list(acme.cert_dir.glob("live-*"))) == 1, "the old ones are cleared away"

    # Without public roots, by other ones, or by another name: no.
    wrong = world.agent("alice", wait=False, prefix=acme.prefix, daemon_name="no-roots")
    wrong.wait_log("no public roots are loaded (--public-roots FILE)")
    other = world.agent("alice", "--public-roots", str(acme.tls), wait=False, prefix=acme.prefix,
                        daemon_name="other-roots")
    other.wait_log(f'the public certificate does not prove the host \\"{NAME}\\"')
    world.intermediates = [("127.0.0.1", int(port))]
    other = world.agent("alice", "--public-roots", roots, wait=False, daemon_name="other-name")
    other.wait_log('the public certificate does not prove the host \\"127.0.0.1\\"')


def test_obtaining_goes_on_after_a_failure(world):
    acme = Acme(world)
    folder = acme.folder / "certs of a relay"  # quoted for the shell that certbot gives its hook to
    shutil.copytree(acme.cert_dir, folder)
    acme.cert_dir = folder
    (acme.folder / "pid").write_text("999999999")  # it runs, and cannot be reloaded
    assert acme.obtain().returncode != 0
    serial, placed = acme.serial(), (folder / "key.pem").read_text()
    (acme.folder / "pid").unlink()
    # A hook that was cut short between the two links.
    (folder / "cert.pem").unlink()
    shutil.copy(world.path("intermediate-relay/cert.pem"), folder)
    (folder / "cert.pem.new").symlink_to("live/cert.pem")
    done = acme.obtain()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (acme.serial(), (folder / "key.pem").read_text()) == (serial, placed), "the one that certbot had"
    done = acme.renew()
    assert done.returncode == 0 and acme.serial() != serial, done.stdout + done.stderr


# --- the hook by itself


@pytest.fixture
def place(tmp_path):
    """A --cert-dir with files of a private CA, and a lineage as certbot keeps it."""
    folder, lineage = tmp_path / "certs", tmp_path / "lineage"
    folder.mkdir()
    lineage.mkdir()
    for name in ("cert.pem", "key.pem", "ca-cert.pem"):
        (folder / name).write_text(f"the private CA's {name}")
    make_pair(lineage)
    (tmp_path / "systemctl").write_text(SYSTEMCTL.format(folder=tmp_path))
    (tmp_path / "systemctl").chmod(0o755)
    return tmp_path


def make_pair(lineage: pathlib.Path, *options: str):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-days", "2", "-keyout",
            lineage / "privkey.pem", "-out", lineage / "fullchain.pem", *options)


def hook(place: pathlib.Path, *arguments: str, lineage: str | None = None) -> subprocess.CompletedProcess:
    env = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}",
           "RENEWED_LINEAGE": str(place / "lineage") if lineage is None else lineage}
    return subprocess.run([HOOK, *(arguments or [str(place / "certs")])], env=env, capture_output=True,
                          text=True, timeout=30)


def test_the_hook_replaces_both_files_in_one_step(place):
    certs = place / "certs"
    done = hook(place)
    assert done.returncode == 0, done.stderr
    assert "does not run; it finds the certificate when it starts" in done.stdout
    assert os.readlink(certs / "cert.pem") == "live/cert.pem"
    assert os.readlink(certs / "key.pem") == "live/key.pem"
    assert (certs / "key.pem").read_text() == (place / "lineage/privkey.pem").read_text()
    assert (certs / "key.pem").stat().st_mode & 0o777 == 0o640
    assert (certs / "ca-cert.pem").read_text() == "the private CA's ca-cert.pem"
    make_pair(place / "lineage")
    assert hook(place).returncode == 0
    assert (certs / "cert.pem").read_text() == (place / "lineage/fullchain.pem").read_text()
    (certs / "live-left").mkdir()  # by one that was cut short
    shown = (certs / "live").resolve()
    # A daemon that has the folder open keeps its files: the same once more comes into another.
    assert hook(place).returncode == 0 and (certs / "live").resolve() != shown
    assert sorted(p.name for p in certs.iterdir() if not p.name.startswith("live-")) == [
        "ca-cert.pem", "cert.pem", "key.pem", "live"]
    assert len(list(certs.glob("live-*"))) == 1


@pytest.mark.parametrize("trouble", ["foreign key", "no lineage", "no roots", "no certificate"])
def test_what_does_not_fit_is_left_out(place, trouble):
    certs, lineage = place / "certs", None
    if trouble == "foreign key":
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                place / "lineage/privkey.pem")
    elif trouble == "no lineage":
        lineage = ""
    elif trouble == "no roots":
        (certs / "ca-cert.pem").unlink()
    else:
        (place / "lineage/fullchain.pem").unlink()
    done = hook(place, lineage=lineage)
    assert done.returncode == 1 and done.stderr.startswith("ztna-certbot-hook: "), done.stderr
    assert (certs / "cert.pem").read_text() == "the private CA's cert.pem"
    assert not (certs / "live").exists()


def test_usage(place):
    assert hook(place, "--help").returncode == 2
    env = place / "a.env"
    script = ROOT / "deploy/certbot/obtain.sh"
    for text, expected in (("INTERMEDIATE_HOST=192.0.2.7\n", "public CAs certify DNS names"),
                           ("INTERMEDIATE_HOST=<cloud-ip>\n", "is still a placeholder")):
        env.write_text(text)
        done = subprocess.run([script, "--env", env, "--cert-dir", place / "certs"], capture_output=True,
                              text=True, timeout=30)
        assert done.returncode in (1, 2) and expected in done.stderr
    assert subprocess.run([script, "--env", env], capture_output=True, timeout=30).returncode == 2


def test_needed_programs():
    for name in ("certbot", "pebble", "openssl"):
        assert shutil.which(name), f"{name} is not installed: run ./setup --tests"
